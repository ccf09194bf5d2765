import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DEFAULT_HOME, defaultConfig, overridesFile } from "./load.ts";
import { accepted, HOME, refused, short } from "./testing.ts";

describe("defaults", () => {
  it("hold without any file, hang from home, and assume no cloud away from the installation", () => {
    const { daemon, sources, home } = defaultConfig(HOME);
    assert.equal(home, HOME);
    assert.equal(daemon.logging.file, "/srv/hl/logs/daemon.log");
    assert.equal(daemon.local_api.socket_path, "/srv/hl/data/state/daemon.sock");
    assert.deepEqual(daemon.security.file_access.allowed_paths, ["/srv/hl/workspace", "/srv/hl/data/cache/tmp"]);
    assert.equal(daemon.cloud_api.base_url, undefined);
    assert.equal(daemon.daemon.instance_id, undefined);
    assert.deepEqual(sources.daemon["/logging/file"], { kind: "default" });
  });
  it("are the specification's in the installed home; test mode only leaves the cloud out", () => {
    assert.equal(defaultConfig().daemon.cloud_api.base_url, "https://api.humanlayer.dev");
    const { daemon } = accepted({}, { home: DEFAULT_HOME, testMode: true });
    assert.equal(daemon.cloud_api.base_url, undefined);
    assert.equal(daemon.security.file_access.allowed_paths[0], "/home/developer/workspace");
  });
  it("are frozen at every level", () => {
    const config = defaultConfig(HOME);
    assert.throws(() => ((config.daemon.process_management.allowed_commands as string[])[0] = "sh"), TypeError);
    assert.throws(() => ((config.daemon.logging as { level: string }).level = "DEBUG"), TypeError);
  });
});

describe("precedence", () => {
  const files = {
    "daemon.json": {
      logging: { level: "WARN", format: "text", backup_count: 1 },
      cloud_api: { base_url: "https://one.example" },
    },
    "logging.json": { level: "debug", backup_count: 2 },
    "api-endpoints.json": { cloud_api: { base_url: "https://two.example", endpoints: { status: "/s" } } },
    [overridesFile(HOME)]: { logging: { level: "TRACE", backup_count: 3 } },
  };
  it("defaults < daemon.json < its companions < overrides < environment, key by key", () => {
    const { daemon, sources, warnings } = accepted(files, { env: { HL_LOGGING__LEVEL: "critical" } });
    assert.deepEqual(
      [daemon.logging.level, daemon.logging.format, daemon.logging.backup_count, daemon.logging.max_size],
      ["FATAL", "text", 3, 100_000_000],
    );
    assert.equal(daemon.cloud_api.base_url, "https://two.example");
    assert.equal(daemon.cloud_api.endpoints.status, "/s");
    assert.equal(daemon.cloud_api.endpoints.events, "/v1/vm/events");
    assert.deepEqual(sources.daemon["/logging/level"], { kind: "environment", variable: "HL_LOGGING__LEVEL" });
    assert.deepEqual(sources.daemon["/logging/backup_count"], {
      kind: "override",
      file: overridesFile(HOME),
      pointer: "/logging/backup_count",
    });
    assert.deepEqual(sources.daemon["/cloud_api/base_url"], {
      kind: "file",
      file: "/srv/hl/config/api-endpoints.json",
      pointer: "/cloud_api/base_url",
    });
    const replaced = warnings.filter(({ message }) => message.startsWith("replaces the value"));
    assert.deepEqual(replaced.map(({ file, pointer }) => `${file}${pointer}`).sort(), [
      "/srv/hl/config/api-endpoints.json/cloud_api/base_url",
      "/srv/hl/config/logging.json/backup_count",
      "/srv/hl/config/logging.json/level",
    ]);
  });
  it("null takes an optional key back, and is wrong for others", () => {
    const { daemon } = accepted({ ...files, [overridesFile(HOME)]: { process_management: { idle_timeout: null } } });
    assert.equal(daemon.process_management.idle_timeout, undefined);
    assert.deepEqual(short(refused({ "daemon.json": { logging: { level: null } } })), [
      '/logging/level: must be "TRACE" or "DEBUG" or "INFO" or "WARN" or "ERROR" or "FATAL"',
    ]);
  });
  it("overrides cannot touch what is closed to remote changes, nor read the environment", () => {
    const problems = refused({
      [overridesFile(HOME)]: {
        security: { sandbox_mode: false },
        daemon: { instance_id: "other" },
        cloud_api: { auth: { method: "jwt" }, connection: { timeout: 1 } },
      },
    });
    assert.deepEqual(
      short(problems),
      ["/security", "/daemon", "/cloud_api/auth"].map((pointer) => `${pointer}: cannot be changed by overrides`),
    );
    const { daemon } = accepted(
      { [overridesFile(HOME)]: { claude_integration: { args: ["${SECRET}"] } } },
      { env: { SECRET: "s" } },
    );
    assert.deepEqual(daemon.claude_integration.args, ["${SECRET}"]);
  });
  it("a candidate for the overrides file is judged in its place", () => {
    assert.equal(accepted(files, { overrides: { logging: { level: "ERROR" } } }).daemon.logging.level, "ERROR");
    assert.deepEqual(short(refused(files, { overrides: { logging: { level: 3 } } })).length, 1);
  });
});

describe("values in files", () => {
  it("take comments at any level, placeholders and units", () => {
    const { daemon } = accepted(
      {
        "daemon.json": {
          "// file": "",
          daemon: { instance_id: "${VM}", "// why": 1 },
          local_api: { http_port: "${PORT:-0}", http_enabled: "${HTTP}" },
          logging: { max_size: "10MiB", file: "other/${VM}.log" },
          process_management: {
            process_timeout: "5m",
            allowed_commands: "${ALLOWED}",
            environment: { "// x": "y", A: "$${A}" },
          },
          claude_integration: {
            approvals: { rules: [{ "// rule": "", tool: "Bash", decision: "ask" }] },
            binary_path: "claude",
            config_path: "/opt/freestyle/hl-daemon/c",
          },
        },
      },
      { env: { VM: "vm-1", HTTP: "off", ALLOWED: '["ls"]' } },
    );
    assert.equal(daemon.daemon.instance_id, "vm-1");
    assert.deepEqual([daemon.local_api.http_port, daemon.local_api.http_enabled], [0, false]);
    assert.deepEqual([daemon.logging.max_size, daemon.logging.file], [10_485_760, "/srv/hl/other/vm-1.log"]);
    assert.equal(daemon.process_management.process_timeout, 300);
    assert.deepEqual(daemon.process_management.allowed_commands, ["ls"]);
    assert.deepEqual({ ...daemon.process_management.environment }, { A: "${A}" });
    assert.deepEqual(daemon.claude_integration.approvals.rules, [{ tool: "Bash", decision: "ask" }]);
    assert.deepEqual(
      [daemon.claude_integration.binary_path, daemon.claude_integration.config_path],
      ["claude", "/opt/freestyle/hl-daemon/c"],
    );
  });
  it("X4: a placeholder's value and secrets appear in no problem", () => {
    const problems = refused(
      {
        "daemon.json": {
          daemon: { instance_id: "${TOKEN}" },
          logging: { levels: { cloud: "${TOKEN}" } },
          claude_integration: { environment: { KEY: 5, "BAD NAME": "s3cret" } },
        },
      },
      { env: { TOKEN: "s3cret token", HL_PROCESS_MANAGEMENT__ENVIRONMENT: '{"A": "s3cret", "B": 1}' } },
    );
    assert.equal(problems.length, 5);
    assert.doesNotMatch(JSON.stringify(problems), /s3cret/);
  });
  it("are all judged, and each problem says where, what, what is allowed and what was meant", () => {
    const problems = refused({
      "daemon.json": `{
  "loging": {},
  "http_port": 3,
  "authentication": {},
  "security": { "tls_version": "1.1", "allowed_networks": ["a b"] },
  "process_management": { "proces_timeout": 3, "max_processes": 0, "idle_timeout": "5 parsecs", "environment": { "A=B": "x" } },
  "claude_integration": { "approvals": { "rules": [{ "tol": "x", "decision": "alow" }] } },
  "local_api": []
}`,
    });
    assert.deepEqual(
      problems.map(({ line, pointer, suggestion }) => [line, pointer, suggestion]),
      [
        [2, "/loging", 'did you mean "logging"?'],
        [3, "/http_port", "did you mean /local_api/http_port?"],
        [4, "/authentication", "did you mean /authentication in security.json?"],
        [5, "/security/tls_version", 'did you mean "1.2"?'],
        [5, "/security/allowed_networks/0", undefined],
        [6, "/process_management/proces_timeout", 'did you mean "process_timeout"?'],
        [6, "/process_management/max_processes", undefined],
        [6, "/process_management/idle_timeout", undefined],
        [6, "/process_management/environment/A=B", undefined],
        [7, "/claude_integration/approvals/rules/0/tool", undefined],
        [7, "/claude_integration/approvals/rules/0/decision", 'did you mean "allow"?'],
        [7, "/claude_integration/approvals/rules/0/tol", 'did you mean "tool"?'],
        [8, "/local_api", undefined],
      ],
    );
    assert.equal(problems[6]?.allowed, "whole number from 1 to 10000, in processes");
    assert.equal(problems[6].value, 0);
  });
});
