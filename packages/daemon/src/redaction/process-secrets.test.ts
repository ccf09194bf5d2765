/** Goal: X4: what is secret in the environment of a process that runs is known again. Method: a real process; one that is gone. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import type { LogFields } from "@hl/core/logger.ts";
import { silentLogger } from "@hl/core/logger.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { Redactor } from "./redactor.ts";
import { ProcessSecrets } from "./process-secrets.ts";
import { Secrets } from "./secrets.ts";

test("X4: takes up the secrets of a process that runs, until its owner is released; says so where it cannot", async () => {
  const secrets = new Secrets(new ManualClock());
  const redactor = new Redactor(secrets);
  const env = { API_TOKEN: "a=b=c-token", HARMLESS: "plain-value", EMPTY_KEY: "" };
  const child = spawn("sleep", ["60"], { env, stdio: "ignore" });
  const { pid } = child;
  assert.ok(pid !== undefined);
  await once(child, "spawn");
  const warnings: LogFields[] = [];
  const logger = { ...silentLogger, warn: (fields: LogFields) => void warnings.push(fields) };
  const held = new ProcessSecrets(secrets, logger);
  assert.equal(held.holdRunning("command x", pid), true);
  assert.equal(redactor.redact("a=b=c-token, plain-value"), "[redacted:API_TOKEN], plain-value");
  held.release("command x");
  assert.equal(secrets.size, 1, "it is looked for an hour longer");

  child.kill("SIGKILL");
  await once(child, "exit");
  assert.deepEqual(warnings, []);
  assert.equal(held.holdRunning("command y", pid), false);
  assert.deepEqual([warnings[0]?.["owner"], warnings[0]?.["pid"]], ["command y", pid]);
});
