/** Goal: X4: what a newer configuration makes a secret is one before anybody is told of it, and what still holds of the old one stays a secret. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { loadConfig, type Config } from "@hl/config/load.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { Redactor } from "../redaction/redactor.ts";
import { Secrets } from "../redaction/secrets.ts";
import { LiveConfig } from "./live-config.ts";
import { holdConfigured, holdTaken } from "./secrets.ts";

function configWith(overrides: object): Config {
  const readFile = (): never => {
    throw Object.assign(new Error("no file"), { code: "ENOENT" });
  };
  const loaded = loadConfig({ home: "/tmp/hl-secrets", env: {}, readFile, overrides: { ...overrides } });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return loaded.config;
}
const named = (token: string, password: string): Config =>
  configWith({
    process_management: { environment: { API_TOKEN: token } },
    local_api: { http_host: `http://vm:${password}@host` }, // Any text that holds at the next start.
  });

test("X4: a newer configuration adds its secrets first; those of keys that wait for a restart stay, the others go an hour later", async () => {
  const clock = new ManualClock();
  const secrets = new Secrets(clock);
  const redactor = new Redactor(secrets);
  const told: string[] = [];
  const first = named("token-of-before", "password-of-before");
  holdConfigured(secrets, first);
  const live = new LiveConfig(first, (inForce, newest) => holdTaken(secrets, inForce, newest));
  live.follow(
    ({ daemon }) => daemon.process_management.environment["API_TOKEN"],
    (token) => told.push(redactor.redactText(token ?? "")),
  );
  live.take(named("token-of-now", "password-of-now"));
  assert.deepEqual(told, ["[redacted:API_TOKEN]", "[redacted:API_TOKEN]"]);
  await clock.advance(2 * 3_600_000);
  const text = redactor.redactText("token-of-now password-of-before password-of-now token-of-before");
  assert.match(text, /^\[redacted:API_TOKEN\] \[redacted:[^ ]+\] \[redacted:[^ ]+\] token-of-before$/);
});

test("X4: where somebody cannot take his part, the secrets of what stays in force are still known", () => {
  const secrets = new Secrets(new ManualClock());
  const first = named("token-of-before", "password-of-before");
  holdConfigured(secrets, first);
  const live = new LiveConfig(first, (inForce, newest) => holdTaken(secrets, inForce, newest));
  live.follow(
    ({ daemon }) => daemon.process_management.environment["API_TOKEN"],
    (token) => assert.equal(token, "token-of-before"),
  );
  assert.throws(() => live.take(named("token-of-now", "password-of-now")));
  const text = new Redactor(secrets).redactText("token-of-before password-of-before");
  assert.ok(!text.includes("before"), text);
});
