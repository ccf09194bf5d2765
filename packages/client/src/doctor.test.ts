/** Goal: doctor says what is wrong and what to do, with and without a daemon, and exits by it. Method: the real client against a fake daemon. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { FakeDaemon } from "./testing/fake-daemon.ts";
import { inProcess } from "./testing/in-process.ts";
import { diskAlert, healthSample } from "./testing/samples.ts";

test("doctor: each finding with what was seen and what to do; the exit code is the verdict's", async () => {
  const alerts = [{ ...diskAlert, remedy: "Remove \u001b[2Jwhat is not needed." }];
  await using daemon = await FakeDaemon.start({
    "system/health": async () => ({ ...healthSample, status: "degraded", alerts }),
    "system/healing/reset": async () => ({ reset: ["runner"] }),
  });
  const { code, stdout } = await inProcess([...daemon.local, "doctor"]);
  assert.equal(code, 2);
  assert.match(stdout, /^degraded\n {2}warning: .*\(disk_low\)\n {6}seen: Free some space\.\n {6}do: {3}Remove /);
  assert.ok(!stdout.includes("\u001b"));
  assert.equal(daemon.countOf("system/healing/reset"), 0);
  const retried = await inProcess([...daemon.local, "doctor", "--retry"]);
  assert.match(retried.stdout, /^tried again: runner\n/);
});

test("doctor: a daemon that belongs to no cloud is healthy, and it is said, since who has installed a fleet means another", async () => {
  for (const configured of [false, true]) {
    const health = { ...healthSample, cloud: { ...healthSample.cloud, configured } };
    await using daemon = await FakeDaemon.start({ "system/health": async () => health });
    const { code, stdout } = await inProcess([...daemon.local, "doctor"]);
    assert.equal(code, 0);
    assert.equal(/note: no cloud is configured.*\n.*configure\.sh --cloud/.test(stdout), !configured, stdout);
    const { stdout: json } = await inProcess([...daemon.local, "doctor", "--json"]);
    assert.equal(JSON.parse(json).cloud_configured, configured);
  }
});

test("doctor: without a daemon it says what it found on the way to it, and what is wrong with the configuration", async () => {
  using folder = temporaryFolder("hl-doctor");
  const env = { HL_DAEMON_HOME: folder.path };
  const missing = await inProcess(["doctor"], { env });
  assert.equal(missing.code, 69);
  assert.match(missing.stdout, /^unreachable\n.*no such socket\n {6}do: {3}Start the daemon/);
  mkdirSync(join(folder.path, "config"));
  writeFileSync(join(folder.path, "config/daemon.json"), JSON.stringify({ health_monitoring: { check_intervall: 1 } }));
  const { code, stdout } = await inProcess(["doctor"], { env });
  assert.equal(code, 78);
  assert.match(stdout, /configuration is not valid[^]*check_intervall/);
  const { stdout: json } = await inProcess(["doctor", "--json"], { env });
  assert.equal(JSON.parse(json).status, "unreachable");
});
