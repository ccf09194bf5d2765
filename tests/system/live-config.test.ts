/**
 * Goal: settings are changed while the daemon runs: judged as a whole, kept over restarts, in force at once where that can be, and said
 * truthfully where it cannot. Whatever goes wrong leaves the old ones.
 * Method: the real daemon and hl-cloud; a change is made from outside and seen by what the daemon then does.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { http } from "@hl/testkit/http.ts";
import { CallFailed, type Message, type MessageClient } from "@hl/testkit/message-client.ts";
import { startSystem, TestDaemon } from "@hl/testkit/system.ts";
import { until, within } from "@hl/testkit/waiting.ts";

const overridesOf = (daemon: TestDaemon): string => join(daemon.home, "data/state/config-overrides.json");

const update = (client: MessageClient, section: string, data: unknown, more: object = {}): Promise<Message> =>
  client.call("system/config/update", { config_section: section, config_data: data, ...more });

async function refusal(call: Promise<Message>): Promise<CallFailed["error"]> {
  const outcome: unknown = await call.catch((error: unknown) => error);
  assert.ok(outcome instanceof CallFailed, `not refused: ${JSON.stringify(outcome).slice(0, 300)}`);
  return outcome.error;
}

describe("what holds at once", () => {
  let daemon: TestDaemon;
  let client: MessageClient;
  let commands = 0;
  const execute = (command: string, args: string[] = [], more: object = {}): Promise<Message> =>
    client.call("command/execute", { command_id: `c-${(commands += 1)}`, command, args, ...more });
  const plan = async (): Promise<Message> => (await execute("echo", [], { dry_run: true })).plan.limits;
  const set = async (key: string, value: unknown): Promise<Message> => {
    const result = await update(client, key, value);
    assert.deepEqual([result.success, result.restart_required], [true, false], key);
    return result;
  };

  before(async () => {
    daemon = await TestDaemon.start();
    client = await daemon.connect();
  });
  after(() => daemon[Symbol.asyncDispose]());

  const limits: [string, unknown, string, unknown][] = [
    ["process_management.resource_limits.max_memory_mb", 77, "memory_mb", 77],
    ["process_management.resource_limits.max_child_processes", 78, "processes", 78],
    ["process_management.resource_limits.max_open_files", 79, "open_files", 79],
    ["process_management.resource_limits.max_execution_time", 80, "timeout", 80],
    ["process_management.process_timeout", 81, "timeout", 81],
    ["process_management.idle_timeout", 82, "idle_timeout", 82],
    ["process_management.log_bytes_max", 65_539, "log_bytes", 65_539],
  ];
  for (const [key, value, name, seen] of limits)
    test(key, async () => {
      // The one before would keep it from being set.
      if (key.endsWith("process_timeout")) await set("process_management.resource_limits.max_execution_time", 1_000);
      assert.notDeepEqual((await plan())[name], seen);
      await set(key, value);
      assert.deepEqual((await plan())[name], seen);
    });

  test("process_management.resource_limits.max_cpu_percent", async () => {
    const whole = (await plan()).cpu_percent / 80;
    await set("process_management.resource_limits.max_cpu_percent", 50);
    assert.equal((await plan()).cpu_percent, Math.round(whole * 50));
  });

  test("process_management.allowed_commands, blocked_commands and environment", async () => {
    await set("process_management", { environment: { NEW_NAME: "new value" } });
    assert.match((await execute("cat", ["/proc/self/environ"])).stdout, /NEW_NAME=new value/);
    await set("process_management", { allowed_commands: ["cat", "tail"] });
    assert.equal((await refusal(execute("echo"))).code, 1102);
    await set("process_management", { blocked_commands: ["cat"] });
    assert.equal((await refusal(execute("cat"))).code, 1101);
    await client.call("system/config/update", {
      config_section: "process_management",
      reset: ["allowed_commands", "blocked_commands", "environment"],
    });
    assert.equal((await execute("echo", ["back"])).stdout, "back\n");
  });

  test("process_management.stop_grace_seconds: so long a command that is ended may take for it", async () => {
    await set("process_management", { allowed_commands: ["sh"] });
    const script = `trap 'sleep 0.3; echo tidied; exit 7' TERM; echo ready; while :; do sleep 0.02; done`;
    const endedWith = async (seconds: number): Promise<[string, number | undefined]> => {
      await set("process_management.stop_grace_seconds", seconds);
      const { command_id } = await execute("sh", ["-c", script], { stream_output: true });
      const status = async (): Promise<Message> => client.call("command/status", { command_id });
      await until("its trap", async () => (await status()).stdout_bytes > 0);
      await client.call("command/cancel", { command_id });
      const end = await until("its end", async () => {
        const now = await status();
        return now.reason !== undefined && now;
      });
      return [end.stdout, end.exit_code];
    };
    assert.deepEqual(await endedWith(60), ["ready\ntidied\n", 7]);
    assert.deepEqual(await endedWith(0), ["ready\n", undefined]);
    await client.call("system/config/update", { config_section: "process_management", reset: ["allowed_commands"] });
  });

  test("process_management.max_processes, max_reply_bytes and what finished commands may take", async () => {
    await set("process_management", { max_processes: 1, stop_grace_seconds: 0 });
    const { command_id } = await execute("tail", ["-f", "/dev/null"], { stream_output: true });
    assert.equal((await refusal(execute("echo"))).code, 1104);
    await client.call("command/cancel", { command_id });
    await set("process_management", { max_processes: 64, max_reply_bytes: 1_024 });
    assert.equal((await execute("echo", ["x".repeat(5_000)])).stdout_truncated, true);
    await set("process_management", { finished_retention_commands: 0 });
    await until("finished commands to be removed", async () => {
      return (await client.call("system/health")).commands.finished === 0;
    });
  });

  test("logging.level and levels", async () => {
    const marked = async (mark: string): Promise<boolean> => {
      await client.call("system/ping");
      await update(client, "health_monitoring.check_interval", 1); // A line that is written at any level before `fatal`.
      return daemon.log.includes(mark);
    };
    assert.equal(await marked('"method":"system/ping"'), false);
    await set("logging.level", "debug");
    await until("a line of debug", () => marked('"method":"system/ping"'));
    await set("logging", { level: "INFO", levels: { audit: "FATAL" } });
    const lines = daemon.log.split("\n").length;
    await set("health_monitoring.check_interval", 2);
    await set("logging.levels", {});
    await set("health_monitoring.check_interval", 1);
    await until(
      "the audit",
      () =>
        daemon.log
          .split("\n")
          .slice(lines)
          .filter((line) => line.includes('"kind":"config"')).length > 0,
    );
    assert.ok(
      !daemon.log.includes('"pointer":"/health_monitoring/check_interval","reload":"live","before":1,"after":2'),
    );
  });

  test("event_streaming: what is taken and what is told", async () => {
    const event = (data: string): object => ({ event_id: crypto.randomUUID(), event_type: "x", timestamp: 0, data });
    await set("event_streaming", { max_event_bytes: 1_024 });
    assert.equal((await refusal(client.call("event/stream", event("x".repeat(2_000))))).code, 1402);
    // Several at once: without a cloud, room for the next one is made as soon as one is stored.
    const refusedOf3 = async (data: string): Promise<CallFailed["error"]> => {
      const calls = Array.from({ length: 3 }, () => client.call("event/stream", event(data)));
      const refused = (await Promise.allSettled(calls)).find((outcome) => outcome.status === "rejected");
      assert.ok(refused?.reason instanceof CallFailed, "all of them were taken");
      return refused.reason.error;
    };
    await set("event_streaming", { max_event_bytes: 262_144, max_queue_size: 1 });
    assert.equal((await refusedOf3("x")).code, 1401);
    await set("event_streaming", { max_queue_size: 10_000, max_queue_bytes: 262_144 });
    assert.equal((await refusedOf3("x".repeat(200_000))).code, 1401);
    await set("event_streaming", {
      max_queue_bytes: 512 * 2 ** 20,
      event_types: ["audit", "file_change"],
      file_change_paths: ["workspace"],
    });
    using watcher = await daemon.connect();
    await watcher.call("event/subscribe", { types: ["file_change"], after: 0 });
    await watcher.next(({ params }) => params?.event_type === "file_change"); // Somebody looks from now on.
    writeFileSync(join(daemon.workspace, "changed.txt"), "x");
    const told = ({ params }: Message): boolean =>
      params?.event_type === "file_change" && JSON.stringify(params.data).includes("changed.txt");
    await watcher.next(told);
    const { config } = await client.call("system/config/get", { config_section: "event_streaming.event_types" });
    assert.deepEqual(config, ["audit", "file_change"]);
    await set("event_streaming", { file_change_paths: [] });
  });

  test("health_monitoring", async () => {
    const metrics = async (): Promise<number> => (await http(`${daemon.url}/metrics`, { token: daemon.token })).status;
    assert.equal(await metrics(), 200);
    await set("health_monitoring.metrics_collection", false);
    assert.equal(await metrics(), 404);
    const alerts = async (): Promise<string> => JSON.stringify((await client.call("system/health")).alerts);
    await set("health_monitoring.alerts", { memory_threshold: 1, disk_threshold: 1 });
    await until("the alerts", async () => /memory_high.*disk_high/.test(await alerts()));
    await set("health_monitoring.alerts", { memory_threshold: 100, disk_threshold: 100 });
    await until("the alerts to end", async () => !/memory_high|disk_high/.test(await alerts()));
  });

  test("local_api: connections, origins and the time to log in", async () => {
    const ask = async (): Promise<number> =>
      (await http(`${daemon.url}/health`, { headers: { origin: "http://dashboard.example" } })).status;
    assert.equal(await ask(), 403);
    await set("local_api.allowed_origins", ["http://dashboard.example"]);
    assert.equal(await ask(), 200);
    await set("local_api", { max_connections: 1 });
    await assert.rejects(daemon.connect());
    await set("local_api", { max_connections: 256, login_timeout_seconds: 0.1 });
    const stranger = createConnection(daemon.program.ready.socket);
    stranger.resume();
    await within("a connection without a login to be closed", once(stranger, "close"));
    await set("local_api", { login_timeout_seconds: 10 });
  });

  test("claude_integration: whether there are agents, how many, and which program", async () => {
    const start = (): Promise<CallFailed["error"]> => refusal(client.call("claude/start", { workspace_path: "." }));
    await set("claude_integration", { binary_path: "/no/such/agent", protocol: "stream-json" });
    assert.match((await start()).message, /\/no\/such\/agent/);
    await set("claude_integration", { enabled: false });
    assert.match((await start()).message, /enabled is false/);
  });
});

describe("what a change is", () => {
  test("it survives a restart in the overrides file, 0640, under the environment and over the files", async () => {
    await using daemon = await TestDaemon.start({
      config: { process_management: { max_processes: 5 }, logging: { backup_count: 3 } },
      env: { HL_PROCESS_MANAGEMENT__PROCESS_TIMEOUT: "44" },
    });
    using client = await daemon.connect();
    const data = { max_processes: 6, process_timeout: 55 };
    const first = await update(client, "process_management", data, { restart_required: true });
    assert.deepEqual(first.overruled, [
      { pointer: "/process_management/process_timeout", variable: "HL_PROCESS_MANAGEMENT__PROCESS_TIMEOUT" },
    ]);
    assert.deepEqual([first.success, first.restart_required, first.waiting], [true, false, []]);
    assert.deepEqual(first.changes, [
      { file: "daemon.json", pointer: "/process_management/max_processes", before: 5, after: 6, reload: "live" },
    ]);
    const later = await update(client, "logging", { backup_count: 4 });
    const waits = { file: "daemon.json", pointer: "/logging/backup_count", before: 3, after: 4, reload: "restart" };
    assert.deepEqual([later.restart_required, later.changes, later.waiting], [true, [waits], [waits]]);
    assert.equal((await client.call("system/config/get", { config_section: "logging" })).config.backup_count, 3);
    assert.deepEqual((await client.call("system/config/get", { config_section: "logging" })).waiting, [waits]);
    assert.equal(statSync(overridesOf(daemon)).mode & 0o777, 0o640);
    await daemon.restart();
    using again = await daemon.connect();
    const { config, sources, waiting } = await again.call("system/config/get");
    assert.deepEqual(waiting, []);
    const { max_processes, process_timeout } = config.process_management;
    assert.deepEqual([max_processes, process_timeout, config.logging.backup_count], [6, 44, 4]);
    assert.equal(sources["/process_management/max_processes"], overridesOf(daemon));
    assert.equal(sources["/process_management/process_timeout"], "HL_PROCESS_MANAGEMENT__PROCESS_TIMEOUT");
    const reset = await again.call("system/config/update", {
      config_section: "",
      reset: ["process_management", "logging"],
    });
    assert.deepEqual(
      reset.changes.map(({ pointer, after }: Message) => [pointer, after]),
      [
        ["/process_management/max_processes", 5],
        ["/logging/backup_count", 3],
      ],
    );
    assert.deepEqual(JSON.parse(readFileSync(overridesOf(daemon), "utf8")), {});
  });

  test("what is wrong, closed or nowhere changes nothing, and every problem is said", async () => {
    await using daemon = await TestDaemon.start();
    using client = await daemon.connect();
    const cases: [string, unknown, number, RegExp][] = [
      ["process_management", { max_processes: 7, process_timeout: 1e9, levle: 1 }, 1301, /process_timeout.*levle/s],
      ["cloud_api.connection", { ping_interval: 50 }, 1301, /dead_after|ping_interval/],
      ["process_management", 7, 1301, /must be an object/],
      ["proces_management", {}, 1301, /did you mean "process_management"/],
      ["security", { sandbox_mode: false }, 1302, /security cannot be changed/],
      ["daemon", { instance_id: "me" }, 1302, /daemon cannot/],
      ["cloud_api", { auth: { method: "certificate" } }, 1302, /cloud_api\.auth/],
      ["", { logging: { level: "DEBUG" }, security: { sandbox_mode: false } }, 1302, /security/],
      ["authorization", { rbac_enabled: false }, 1302, /security\.json/],
      ["local_api", { token_file: "/tmp/mine" }, 1302, /local_api\.token_file/],
      ["local_api.tls_client_ca", "/tmp/mine", 1302, /local_api\.tls_client_ca/],
      ["local_api.tls_client_required", false, 1302, /local_api\.tls_client_required/],
    ];
    const shown = async (): Promise<string> => JSON.stringify((await client.call("system/config/get")).config);
    const before = await shown();
    for (const [section, data, code, said] of cases) {
      const error = await refusal(update(client, section, data));
      assert.equal(error.code, code, `${section}: ${error.message}`);
      assert.match(error.data.validation_errors.join("\n"), said, section);
    }
    const dry = await update(client, "logging.level", "DEBUG", { dry_run: true });
    assert.deepEqual([dry.dry_run, dry.changes[0].after], [true, "DEBUG"]);
    assert.equal(await shown(), before);
    assert.throws(() => statSync(overridesOf(daemon)), /ENOENT/);
  });

  test("a file that cannot be written leaves everything as it is; when it can be again, the change is made", async () => {
    await using daemon = await TestDaemon.start();
    using client = await daemon.connect();
    mkdirSync(join(overridesOf(daemon), "in the way"), { recursive: true });
    const error = await refusal(update(client, "logging.level", "DEBUG"));
    assert.deepEqual([error.code, error.data.error_type], [1303, "config_not_saved"]);
    assert.equal((await client.call("system/config/get", { config_section: "logging.level" })).config, "INFO");
    rmSync(overridesOf(daemon), { recursive: true });
    await update(client, "logging.level", "DEBUG");
    assert.equal((await client.call("system/config/get", { config_section: "logging.level" })).config, "DEBUG");
  });

  test("a start with broken overrides takes what holds, says so in health, and the next change repairs them", async () => {
    await using daemon = await TestDaemon.start();
    using client = await daemon.connect();
    await update(client, "", { process_management: { max_processes: 9 }, logging: { level: "WARN" } });
    const broken = readFileSync(overridesOf(daemon), "utf8").replace('"WARN"', '"LOUD"');
    writeFileSync(overridesOf(daemon), broken);
    chmodSync(overridesOf(daemon), 0o640);
    await daemon.restart();
    using again = await daemon.connect();
    const { config, rejected } = await again.call("system/config/get");
    assert.deepEqual([config.process_management.max_processes, config.logging.level], [9, "INFO"]);
    assert.match(rejected.join(), /logging\.level must be/);
    const health = await again.call("system/health");
    assert.equal(health.status, "degraded");
    assert.match(JSON.stringify(health.alerts), /config_overrides_rejected.*logging\.level/);
    // The files can be read again meanwhile.
    daemon.program.signal("SIGHUP");
    await until("the reload", () => daemon.log.includes("nothing new holds at once"));
    await update(again, "logging.level", "ERROR");
    assert.deepEqual(JSON.parse(readFileSync(overridesOf(daemon), "utf8")), {
      process_management: { max_processes: 9 },
      logging: { level: "ERROR" },
    });
    assert.equal(readFileSync(`${overridesOf(daemon)}.rejected`, "utf8"), broken);
    assert.equal((await again.call("system/health")).status, "healthy");
    writeFileSync(overridesOf(daemon), "{");
    await daemon.restart();
    using last = await daemon.connect();
    assert.equal((await last.call("system/config/get")).config.process_management.max_processes, 64);
  });

  test("a secret is masked in the answer, in what is shown, in the log and in events", async () => {
    const canary = "sk-canary-0123456789";
    await using daemon = await TestDaemon.start();
    using client = await daemon.connect();
    await client.call("event/subscribe", { types: ["audit"], after: 0 });
    const answer = await update(client, "claude_integration.environment", { ANTHROPIC_API_KEY: canary });
    const audit = await client.next(({ params }) => params?.event_type === "audit");
    const { kind, decision, caller, role, via, changes } = audit.params.data;
    assert.deepEqual([kind, decision, caller, role, via], ["config", "allow", "local-token", "admin", "socket"]);
    assert.deepEqual(changes[0].after, { ANTHROPIC_API_KEY: "********" });
    const { config, differences } = await client.call("system/config/get", {
      compare: "defaults",
      config_section: "claude_integration",
    });
    await until("the line of the audit", () => daemon.log.includes("the configuration was changed"));
    const everything = JSON.stringify([answer, audit, config, differences]) + daemon.log;
    assert.ok(!everything.includes(canary));
    // And it is kept out of events from then on.
    await client.call("event/stream", { event_id: "e-1", event_type: "x", timestamp: 0, data: `it is ${canary}` });
    await client.call("event/subscribe", { types: ["x"], after: 0 });
    const told = await client.next(({ params }) => params?.event_type === "x");
    assert.ok(!JSON.stringify(told).includes(canary));
  });
});

describe("several at once", () => {
  test("changes of two callers and a reload at the same moment all hold, in the files and in force", async () => {
    await using daemon = await TestDaemon.start();
    using one = await daemon.connect();
    using other = await daemon.connect();
    const file = join(daemon.home, "config/daemon.json");
    const config = JSON.parse(readFileSync(file, "utf8"));
    writeFileSync(file, JSON.stringify({ ...config, process_management: { max_processes: 33 } }));
    const limits = Array.from({ length: 20 }, (_, index) => index + 100);
    daemon.program.signal("SIGHUP");
    await Promise.all(
      limits.flatMap((limit) => [
        update(one, "process_management.resource_limits.max_open_files", limit),
        update(other, "process_management.finished_retention_commands", limit),
      ]),
    );
    await until("the reload", async () => {
      return (await one.call("system/config/get")).config.process_management.max_processes === 33;
    });
    const { config: shown } = await one.call("system/config/get", { config_section: "process_management" });
    const last = limits.at(-1);
    assert.deepEqual([shown.resource_limits.max_open_files, shown.finished_retention_commands], [last, last]);
    assert.deepEqual(JSON.parse(readFileSync(overridesOf(daemon), "utf8")), {
      process_management: { resource_limits: { max_open_files: last }, finished_retention_commands: last },
    });
  });

  test("P2: a change while the daemon stops is made and kept, or refused and not made", async () => {
    await using daemon = await TestDaemon.start();
    using client = await daemon.connect();
    await update(client, "process_management.max_processes", 10);
    daemon.program.signal("SIGTERM");
    const outcomes = await Promise.allSettled(
      Array.from({ length: 50 }, (_, index) => update(client, "process_management.max_processes", 11 + index)),
    );
    await daemon.program.exited;
    const made = outcomes.flatMap((outcome, index) => (outcome.status === "fulfilled" ? [11 + index] : []));
    const kept = JSON.parse(readFileSync(overridesOf(daemon), "utf8")).process_management.max_processes as number;
    const refused = outcomes.flatMap((outcome) =>
      outcome.status === "rejected" && outcome.reason instanceof CallFailed ? [outcome.reason.error.code] : [],
    );
    assert.ok(
      refused.every((code) => code === 1005),
      String(refused),
    );
    // An answer may be lost with the connection; what was answered is never ahead of what is kept.
    assert.ok(kept >= (made.at(-1) ?? 10), `${kept} is kept, ${made.at(-1)} was answered`);
  });
});

describe("SIGHUP", () => {
  test("takes over what is live, names the rest, and what a reload would change can be asked before", async () => {
    await using daemon = await TestDaemon.start();
    using client = await daemon.connect();
    await client.call("event/subscribe", { types: ["audit"], after: 0 });
    const file = join(daemon.home, "config/daemon.json");
    const config = JSON.parse(readFileSync(file, "utf8"));
    writeFileSync(
      file,
      JSON.stringify({ ...config, process_management: { max_processes: 12 }, logging: { backup_count: 9 } }),
    );
    const pointers = ["/process_management/max_processes", "/logging/backup_count"];
    const compared = await client.call("system/config/get", { compare: "files" });
    assert.deepEqual(
      compared.differences.map(({ pointer }: Message) => pointer),
      pointers,
    );
    assert.equal(compared.config.process_management.max_processes, 64);
    // Somebody else's change does not take over what is just being written there.
    await update(client, "process_management.idle_timeout", 5);
    assert.equal((await client.call("system/config/get")).config.process_management.max_processes, 64);
    await client.next(({ params }) => params?.data?.kind === "config");
    daemon.program.signal("SIGHUP");
    const { params } = await client.next(({ params: told }) => told?.data?.kind === "config");
    const { caller, via, changes, restart_required } = params.data;
    assert.deepEqual([caller, via, restart_required], ["SIGHUP", "signal", true]);
    assert.deepEqual(
      changes.map(({ pointer }: Message) => pointer),
      pointers,
    );
    const now = await client.call("system/config/get");
    assert.deepEqual(
      now.waiting.map(({ pointer }: Message) => pointer),
      ["/logging/backup_count"],
    );
    assert.deepEqual(
      [now.config.process_management.max_processes, now.config.process_management.idle_timeout],
      [12, 5],
    );
    writeFileSync(file, "{");
    const error = await refusal(client.call("system/config/get", { compare: "files" }));
    assert.equal(error.code, 1301);
    daemon.program.signal("SIGHUP");
    await until("the refusal", () => daemon.log.includes("the old one stays in force"));
    // The files as they were hold until they are right again.
    await update(client, "process_management.idle_timeout", 6);
    assert.equal((await client.call("system/config/get")).config.process_management.max_processes, 12);
  });
});

describe("from the cloud", () => {
  test("X3: the daemon judges by the role that it gives the cloud: refused by default, allowed where it says so", async () => {
    await using system = await startSystem();
    const asked = { config_section: "process_management", config_data: { max_processes: 3 } };
    const error = await refusal(system.operator.call("system/config/update", asked));
    assert.deepEqual([error.code, error.data.error_type], [1002, "permission_denied"]);
    const permissions = { "vm-instance": ["process:execute", "system:monitor", "system:configure"] };
    writeFileSync(join(system.daemon.home, "config/security.json"), JSON.stringify({ authorization: { permissions } }));
    await system.daemon.restart();
    await system.operator.online();
    const result = await system.operator.call("system/config/update", asked);
    assert.deepEqual([result.success, result.changes[0].after], [true, 3]);
    await system.operator.event(
      ({ event_type, data }) => event_type === "audit" && data.kind === "config" && data.via === "cloud",
    );
    const closed = await refusal(
      system.operator.call("system/config/update", {
        config_section: "security",
        config_data: { sandbox_mode: false },
      }),
    );
    assert.equal(closed.code, 1302);
  });

  test("event_streaming.enabled: events wait while it is off, and go out when it is on again", async () => {
    await using system = await startSystem();
    using local = await system.daemon.connect();
    await update(local, "event_streaming.enabled", false);
    const event_id = "33333333-3333-4333-8333-333333333333";
    await local.call("event/stream", { event_id, event_type: "x", timestamp: 0, data: {} });
    await system.operator.call("system/ping");
    const { spool, service_status } = await local.call("system/health");
    assert.ok(spool.depth > 0);
    assert.equal(service_status.event_streaming, "inactive");
    await update(local, "event_streaming.enabled", true);
    await system.operator.event((event) => event.event_id === event_id);
  });
});
