import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { diffConfig } from "./diff.ts";
import { maskSecrets } from "./mask.ts";
import { formatProblems, MASK } from "./problem.ts";
import { isRemotelyChangeable } from "./schema.ts";
import { accepted } from "./testing.ts";

const secret = (value: string): Record<string, unknown> => ({
  "daemon.json": { claude_integration: { environment: { ANTHROPIC_API_KEY: value } } },
});

describe("maskSecrets", () => {
  it("X4: hides the values and keeps the names, without touching the original", () => {
    const config = accepted(secret("sk-1"));
    const masked = maskSecrets(config);
    assert.deepEqual({ ...masked.daemon.claude_integration.environment }, { ANTHROPIC_API_KEY: MASK });
    assert.doesNotMatch(JSON.stringify(masked), /sk-1/);
    assert.equal(config.daemon.claude_integration.environment.ANTHROPIC_API_KEY, "sk-1");
    assert.deepEqual({ ...masked.daemon, claude_integration: 0 }, { ...config.daemon, claude_integration: 0 });
  });
});

describe("diffConfig", () => {
  it("lists each key that differs, with whether a running daemon can take it", () => {
    const before = accepted({ "daemon.json": { logging: { level: "INFO" } } });
    const after = accepted({
      "daemon.json": { logging: { level: "DEBUG" }, local_api: { http_port: 1 } },
      "security.json": { authentication: { jwt: { issuer: "me" } } },
    });
    assert.deepEqual(diffConfig(before, after), [
      { tree: "daemon", pointer: "/logging/level", before: "INFO", after: "DEBUG", reload: "live" },
      { tree: "daemon", pointer: "/local_api/http_port", before: 8080, after: 1, reload: "restart" },
      {
        tree: "security",
        pointer: "/authentication/jwt/issuer",
        before: "humanlayer.dev",
        after: "me",
        reload: "restart",
      },
    ]);
    assert.deepEqual(diffConfig(after, after), []);
  });
  it("X4: sees that a secret changed without showing it", () => {
    const [change] = diffConfig(accepted(secret("sk-1")), accepted(secret("sk-2")));
    assert.deepEqual([change?.before, change?.after], [{ ANTHROPIC_API_KEY: MASK }, { ANTHROPIC_API_KEY: MASK }]);
  });
});

describe("isRemotelyChangeable", () => {
  it("closes what the design closes", () => {
    for (const path of [
      "security",
      "daemon",
      "cloud_api.auth",
      "cloud_api.auth.method",
      "security.sandbox.network",
      "authentication",
      "nothing",
      "logging.nothing",
      "constructor",
    ])
      assert.ok(!isRemotelyChangeable(path.split(".")), path);
    for (const path of ["logging", "logging.level", "cloud_api", "cloud_api.connection.timeout", "process_management"])
      assert.ok(isRemotelyChangeable(path.split(".")), path);
  });
});

describe("formatProblems", () => {
  it("says where, what, the value, what is allowed and what was meant", () => {
    const text = formatProblems([
      {
        file: "/c/daemon.json",
        pointer: "/a/b",
        line: 3,
        column: 7,
        message: "must be a number",
        value: "x",
        allowed: "number",
        suggestion: "try 1",
      },
      { file: "environment", variable: "HL_A__B", pointer: "", message: "names no key" },
    ]);
    assert.equal(
      text,
      '/c/daemon.json:3:7 /a/b\n    must be a number\n    value:   "x"\n    allowed: number\n    hint:    try 1\nHL_A__B\n    names no key\n2 problems in the configuration.\n',
    );
    assert.equal(formatProblems([]), "The configuration is valid.\n");
  });
});
