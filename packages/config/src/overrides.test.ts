/** What an update makes of the overrides, and what a start makes of overrides that do not hold. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadForStart, type StartResult } from "./load-for-start.ts";
import { loadConfig, overridesFile, type LoadOptions } from "./load.ts";
import { changeOverrides, overruled, type ChangeOutcome, type OverridesChange } from "./overrides.ts";
import { rememberingReader } from "./source-file.ts";
import { accepted, HOME, load } from "./testing.ts";

const change = (before: object, asked: OverridesChange): ChangeOutcome =>
  changeOverrides(before as Record<string, unknown>, asked);
const changed = (before: object, asked: OverridesChange): unknown => {
  const outcome = change(before, asked);
  assert.ok(outcome.ok, JSON.stringify(outcome));
  return outcome.overrides;
};

describe("changeOverrides", () => {
  it("sets keys of a section and lets the others be, at any depth", () => {
    const before = { process_management: { max_processes: 3, resource_limits: { max_open_files: 99 } } };
    const data = { idle_timeout: 5, resource_limits: { max_memory_mb: 64 }, "// why": "a comment" };
    assert.deepEqual(changed(before, { at: ["process_management"], data }), {
      process_management: {
        max_processes: 3,
        idle_timeout: 5,
        resource_limits: { max_open_files: 99, max_memory_mb: 64 },
      },
    });
    assert.deepEqual(changed({}, { at: ["logging", "level"], data: "DEBUG" }), { logging: { level: "DEBUG" } });
    const both = { logging: { level: "WARN" }, health_monitoring: { check_interval: 5 } };
    assert.deepEqual(changed({}, { at: [], data: both }), both);
  });

  it("replaces lists and maps whole", () => {
    const before = { claude_integration: { environment: { A: "1", B: "2" } } };
    const data = { environment: { C: "3" } };
    assert.deepEqual(changed(before, { at: ["claude_integration"], data }), { claude_integration: data });
  });

  it("gives keys and sections back, with what is empty around them", () => {
    const before = {
      process_management: { max_processes: 3, resource_limits: { max_open_files: 99 } },
      logging: { level: "WARN" },
    };
    const without = (reset: string[][]): unknown => changed(before, { at: ["process_management"], reset });
    assert.deepEqual(without([["max_processes"], ["resource_limits", "max_open_files"]]), {
      logging: { level: "WARN" },
    });
    assert.deepEqual(without([["resource_limits"]]), {
      process_management: { max_processes: 3 },
      logging: { level: "WARN" },
    });
    assert.deepEqual(changed(before, { at: [], reset: [[]] }), {});
    assert.deepEqual(before.process_management.max_processes, 3);
  });

  it("refuses what is closed to remote changes, wherever it is named", () => {
    const closed: [string[], unknown, RegExp][] = [
      [["security"], { sandbox_mode: false }, /^security cannot be changed/],
      [["security", "sandbox", "network"], "host", /^security cannot/],
      [["daemon"], { instance_id: "other" }, /^daemon cannot/],
      [["cloud_api"], { connection: { timeout: 5 }, auth: { method: "jwt" } }, /^cloud_api\.auth cannot/],
      [[], { logging: { level: "DEBUG" }, security: {} }, /^security cannot/],
      [["local_api", "token_file"], "/tmp/mine", /^local_api\.token_file cannot be changed remotely/],
      [["local_api"], { max_connections: 9, tls_client_ca: "/tmp/mine" }, /^local_api\.tls_client_ca cannot/],
      [["local_api"], { tls_client_required: false }, /^local_api\.tls_client_required cannot/],
      [[], { local_api: { tls_certificate: "/tmp/mine", tls_key: null } }, /tls_certificate cannot.*tls_key cannot/],
      [["authorization"], { rbac_enabled: false }, /security\.json/],
      [["security_file", "authorization"], { rbac_enabled: false }, /security\.json/],
      [[], { authorization: { rbac_enabled: false } }, /security\.json/],
    ];
    for (const [at, data, said] of closed) {
      const outcome = change({}, { at, data });
      assert.ok(!outcome.ok && outcome.reason === "read_only", `${at.join(".")} ${JSON.stringify(outcome)}`);
      assert.match(outcome.messages.join(), said);
    }
    const reset = change({ security: { sandbox_mode: false } }, { at: [], reset: [["security"]] });
    assert.ok(!reset.ok && reset.reason === "read_only");
    const key = change({ local_api: { token_file: "/tmp/mine" } }, { at: ["local_api"], reset: [["token_file"]] });
    assert.ok(!key.ok && key.reason === "read_only");
  });

  it("refuses a place where nothing is", () => {
    const nowhere: [string[], RegExp][] = [
      [["proces_management"], /did you mean "process_management"/],
      [["logging", "levle"], /no section or key logging\.levle: did you mean "level"/],
      [["claude_integration", "environment", "HOME"], /environment is one value/],
      [["__proto__"], /no section or key __proto__/],
    ];
    for (const [at, said] of nowhere) {
      const outcome = change({}, { at, data: 1 });
      assert.ok(!outcome.ok && outcome.reason === "no_place", at.join("."));
      assert.match(outcome.messages.join(), said);
    }
  });

  it("leaves unknown names and wrong values to the loader, also a name that changes prototypes", () => {
    const data = JSON.parse('{"__proto__": {"level": "DEBUG"}, "levle": 1}') as object;
    const overrides = changed({}, { at: ["logging"], data }) as Record<string, unknown>;
    const loaded = loadConfig({ home: HOME, env: {}, readFile: none, overrides });
    assert.ok(!loaded.ok);
    assert.deepEqual(
      loaded.problems.map(({ pointer }) => pointer),
      ["/logging/__proto__", "/logging/levle"],
    );
    assert.equal(({} as Record<string, unknown>)["level"], undefined);
  });
});

it("a variable of the environment is stronger, and that is said", () => {
  const env = { HL_LOGGING__LEVEL: "ERROR" };
  const overrides = { logging: { level: "DEBUG", backup_count: 2 } };
  const config = accepted({}, { env, overrides });
  assert.deepEqual(overruled(config, overrides), [{ pointer: "/logging/level", variable: "HL_LOGGING__LEVEL" }]);
  assert.equal(config.daemon.logging.level, "ERROR");
});

const none = (path: string): string => {
  throw Object.assign(new Error(`no ${path}`), { code: "ENOENT" });
};

describe("a start with overrides that do not hold", () => {
  const started = (overrides: string, daemon = "{}"): StartResult => {
    const files: Record<string, string> = { [overridesFile(HOME)]: overrides, [`${HOME}/config/daemon.json`]: daemon };
    const options: LoadOptions = { home: HOME, env: {}, readFile: (path) => files[path] ?? none(path) };
    return loadForStart(options);
  };
  const ok = (result: StartResult): Extract<StartResult, { ok: true }> => {
    assert.ok(result.ok, JSON.stringify(result));
    return result;
  };

  it("all of it holds: nothing is rejected", () => {
    const { config, rejected, overrides } = ok(started('{"logging": {"level": "DEBUG"}}'));
    assert.deepEqual(
      [config.daemon.logging.level, rejected, overrides],
      ["DEBUG", [], { logging: { level: "DEBUG" } }],
    );
  });

  it("keeps the keys that hold and names the others", () => {
    const text =
      '{"logging": {"level": "DEBUG", "levle": 1}, "local_api": {"http_port": "x"}, "security": {"sandbox_mode": false}}';
    const { config, rejected, overrides } = ok(started(text));
    assert.deepEqual([config.daemon.logging.level, config.daemon.security.sandbox_mode], ["DEBUG", true]);
    assert.deepEqual(overrides, { logging: { level: "DEBUG" } });
    assert.deepEqual(rejected.map(({ pointer }) => pointer).sort(), [
      "/local_api/http_port",
      "/logging/levle",
      "/security",
    ]);
    assert.equal(rejected[0]?.file, overridesFile(HOME));
  });

  it("a value that is wrong in one part goes as a whole", () => {
    const text =
      '{"claude_integration": {"approvals": {"rules": [{"tool": "Bash", "decision": "maybe"}], "timeout_seconds": 5}}}';
    const { config, overrides } = ok(started(text));
    assert.deepEqual(overrides, { claude_integration: { approvals: { timeout_seconds: 5 } } });
    assert.deepEqual(config.daemon.claude_integration.approvals.rules, []);
  });

  it("starts without a file that nobody can read", () => {
    for (const text of ["{", "[]", "", "null", "\u0000"]) {
      const { config, rejected, overrides } = ok(started(text, '{"logging": {"level": "WARN"}}'));
      assert.deepEqual([config.daemon.logging.level, overrides], ["WARN", {}]);
      assert.ok(rejected.length > 0, JSON.stringify(text));
    }
  });

  it("without any where they contradict a file", () => {
    const overrides = '{"process_management": {"resource_limits": {"max_execution_time": 10}}}';
    const result = ok(started(overrides, '{"process_management": {"process_timeout": 100}}'));
    assert.equal(result.config.daemon.process_management.process_timeout, 100);
    assert.deepEqual(result.overrides, {});
    assert.match(result.rejected[0]?.message ?? "", /longer than/);
    assert.equal(result.rejected[0]?.file, overridesFile(HOME));
  });

  it("a broken file of the operator is an error as ever", () => {
    const result = started('{"logging": {"level": "DEBUG"}}', "{");
    assert.ok(!result.ok);
  });
});

it("a remembering reader sees a file as it was, also one that was missing", () => {
  const files = new Map([["a", "1"]]);
  const read = rememberingReader((path) => files.get(path) ?? none(path));
  const code = (): unknown => {
    try {
      return read("b");
    } catch (error) {
      return (error as NodeJS.ErrnoException).code;
    }
  };
  assert.deepEqual([read("a"), code()], ["1", "ENOENT"]);
  files.set("a", "2").set("b", "3");
  assert.deepEqual([read("a"), code()], ["1", "ENOENT"]);
  assert.ok(load({}).ok);
});
