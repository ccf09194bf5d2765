import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { variableOf } from "./environment.ts";
import { toText } from "./judge.ts";
import { defaultConfig } from "./load.ts";
import { daemonFile, keysBelow, securityFile } from "./schema.ts";
import { accepted, HOME, refused, short } from "./testing.ts";

describe("environment", () => {
  it("names are derived and unique", () => {
    const names = [...keysBelow(daemonFile), ...keysBelow(securityFile)].map(({ path }) => variableOf(path));
    assert.equal(new Set(names).size, names.length);
    assert.ok(names.includes("HL_LOCAL_API__HTTP_PORT") && names.includes("HL_AUTHENTICATION__JWT__ISSUER"));
    for (const name of names) assert.match(name, /^HL_[A-Z_]+__[A-Z0-9_]+$/);
  });

  // Goal: every key can be set by its variable. Method: each key's default is written as text, set, and read back.
  it("every value reads back from its text", () => {
    const config = defaultConfig(HOME);
    for (const [tree, root] of [
      ["daemon", daemonFile],
      ["security", securityFile],
    ] as const)
      for (const { path } of keysBelow(root)) {
        const at = (from: object): unknown =>
          path.reduce<unknown>((parent, name) => (parent as Record<string, unknown>)[name], from);
        const again = accepted({}, { env: { [variableOf(path)]: toText(at(config[tree])) } });
        assert.deepEqual(at(again[tree]), at(config[tree]), path.join("."));
        assert.deepEqual(again.sources[tree][`/${path.join("/")}`], {
          kind: "environment",
          variable: variableOf(path),
        });
      }
  });

  it("is read by the key's type", () => {
    const { daemon, security } = accepted(
      {},
      {
        env: {
          HL_LOCAL_API__HTTP_PORT: "0",
          HL_LOGGING__MAX_SIZE: "10MiB",
          HL_LOGGING__COMPRESSION: "No",
          HL_PROCESS_MANAGEMENT__ALLOWED_COMMANDS: '["ls", "cat"]',
          HL_PROCESS_MANAGEMENT__ENVIRONMENT: '{"A": "${B}"}',
          HL_PROCESS_MANAGEMENT__IDLE_TIMEOUT: "250ms",
          HL_HEALTH_MONITORING__ALERTS__LOAD_THRESHOLD: "0.5",
          HL_SECURITY__TLS_VERSION: "1.2",
          HL_AUTHENTICATION__JWT__ISSUER: "me",
          HL_DAEMON_CONFIG: "not a setting",
          HL_ENROLLMENT_TOKEN: "not a setting",
          HL_UNSET__KEY: undefined,
          OTHER__KEY: "x",
        },
      },
    );
    assert.equal(daemon.local_api.http_port, 0);
    assert.deepEqual([daemon.logging.max_size, daemon.logging.compression], [10_485_760, false]);
    assert.deepEqual(daemon.process_management.allowed_commands, ["ls", "cat"]);
    assert.equal(daemon.process_management.environment.A, "${B}");
    assert.equal(daemon.process_management.idle_timeout, 0.25);
    assert.equal(daemon.health_monitoring.alerts.load_threshold, 0.5);
    assert.equal(daemon.security.tls_version, "1.2");
    assert.equal(security.authentication.jwt.issuer, "me");
  });

  it("that cannot be read says what is allowed", () => {
    const env = {
      HL_LOCAL_API__HTTP_PORT: "eighty",
      HL_LOCAL_API__HTTP_ENABLED: "maybe",
      HL_LOGGING__MAX_SIZE: "100 parsecs",
      HL_PROCESS_MANAGEMENT__ALLOWED_COMMANDS: "ls,cat",
      HL_PROCESS_MANAGEMENT__MAX_PROCESSES: "",
      HL_LOGGING__LEVLE: "INFO",
      HL_LOGGING: "not a key, but no setting either",
    };
    assert.deepEqual(short(refused({}, { env })), [
      "HL_LOCAL_API__HTTP_ENABLED: must be true or false",
      "HL_LOCAL_API__HTTP_PORT: must be a number",
      "HL_LOGGING__LEVLE: names no key of the configuration",
      'HL_LOGGING__MAX_SIZE: has the unknown unit "parsecs"',
      'HL_PROCESS_MANAGEMENT__ALLOWED_COMMANDS: must be JSON such as ["a", "b"]; at character 1 it has "l" where a value is expected',
      "HL_PROCESS_MANAGEMENT__MAX_PROCESSES: must be a number",
    ]);
    assert.equal(refused({}, { env: { HL_LOGGING__LEVLE: "" } })[0]?.suggestion, "did you mean HL_LOGGING__LEVEL?");
  });

  it("of somebody else with the same prefix is only a warning", () => {
    const { warnings } = accepted({}, { env: { HL_SOMETHING_ELSE__ENTIRELY: "1" } });
    assert.deepEqual(short(warnings), ["HL_SOMETHING_ELSE__ENTIRELY: names no key of the configuration"]);
  });
});
