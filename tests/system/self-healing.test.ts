/**
 * Goal: what breaks is repaired, each step is told, and when the budget is spent it stops, says so, and the daemon goes on answering until
 * somebody gives the attempts back. Method: the real programs, broken from outside: processes killed, files and limits taken.
 */
import assert from "node:assert/strict";
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { calm } from "@hl/testkit/calm.ts";
import { FakeAgents, fakeAgentExitCode } from "@hl/testkit/fake-agent.ts";
import { CallFailed, type Message, type MessageClient } from "@hl/testkit/message-client.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { startSystem, TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

const alerts = { ...calm, disk_threshold: 100 };
const monitoring = { check_interval: 1, alerts, self_healing: { max_restart_attempts: 2, restart_delay: 0 } };

/** A runner of the daemon's own is its only child of this name. */
function residentOf(daemon: TestDaemon): number | undefined {
  const children = readFileSync(`/proc/${daemon.pid}/task/${daemon.pid}/children`, "utf8").trim().split(" ");
  return children
    .filter((pid) => pid !== "")
    .map(Number)
    .find(
      (pid) => existsSync(`/proc/${pid}/comm`) && readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("hl-runner"),
    );
}

const codesOf = async (client: MessageClient): Promise<string[]> =>
  (await client.call("system/health")).alerts.map(({ code }: Message) => code);

/** Waits for a step of self-healing and answers it. */
async function step(client: MessageClient, part: string, outcome: string): Promise<Message> {
  const { params } = await client.next(
    ({ method, params: event }) =>
      method === "event/event" &&
      event.event_type === "self_healing" &&
      event.data.part === part &&
      event.data.outcome === outcome,
    120_000,
  );
  return params.data;
}

async function following(daemon: TestDaemon): Promise<MessageClient> {
  const client = await daemon.connect();
  await client.call("event/subscribe", { types: ["self_healing", "health_alert"] });
  return client;
}

const run = (client: MessageClient, command_id: string): Promise<Message> =>
  client.call("command/execute", { command_id, command: "echo", args: ["hello"] });

/** Whole pages: of one that begins well SQLite takes the numbers for what they are, and sees no damage. */
function damageTheMiddle(path: string): void {
  const file = openSync(path, "r+");
  const pages = Math.floor(fstatSync(file).size / 4_096);
  const damage = Buffer.alloc(4_096, 0xff);
  for (let page = Math.floor(pages / 3); page < pages / 2; page += 1) writeSync(file, damage, 0, 4_096, page * 4_096);
  closeSync(file);
}

describe("self-healing", () => {
  test("kill -9 of the runner: started again within the budget; then it stops, says so, stays reachable, and a reset is enough", async () => {
    await using daemon = await TestDaemon.start({
      config: { health_monitoring: monitoring, process_management: { allowed_commands: ["echo"] } },
    });
    using client = await following(daemon);
    for (const attempt of [1, 2]) {
      await until("a resident", () => residentOf(daemon) !== undefined);
      process.kill(residentOf(daemon)!, "SIGKILL");
      const begun = await step(client, "runner", "begun");
      assert.deepEqual([begun.attempt, begun.attempts_max], [attempt, 2]);
      assert.match(begun.why, /SIGKILL/);
      assert.equal((await step(client, "runner", "recovered")).attempt, attempt);
      assert.equal((await run(client, `after-${attempt}`)).stdout, "hello\n");
    }
    assert.deepEqual(await codesOf(client), []);

    process.kill(residentOf(daemon)!, "SIGKILL");
    assert.equal((await step(client, "runner", "exhausted")).attempt, 2);
    await until("health to say both", async () => {
      const codes = await codesOf(client);
      return codes.includes("self_healing_exhausted") && codes.includes("runner_lost");
    });
    assert.equal((await client.call("system/health")).status, "unhealthy");
    await assert.rejects(
      async () => {
        for (let n = 0; n < 40; n += 1) await run(client, `shim-${n}`); // Shims that were forked ahead still start something.
      },
      (error) => error instanceof CallFailed && error.error.code === 1111,
    );
    assert.equal(residentOf(daemon), undefined);
    assert.match(daemon.log, /self-healing: exhausted/);

    assert.deepEqual(await client.call("system/healing/reset", {}), { reset: ["runner"] });
    await step(client, "runner", "recovered");
    await until("health", async () => (await codesOf(client)).length === 0);
    assert.equal((await run(client, "again")).stdout, "hello\n");
  });

  test("restart_on_failure: false leaves the runner alone, until it is switched on", async () => {
    const self_healing = { ...monitoring.self_healing, restart_on_failure: false };
    await using daemon = await TestDaemon.start({
      config: {
        health_monitoring: { ...monitoring, self_healing },
        process_management: { allowed_commands: ["echo"] },
      },
    });
    using client = await following(daemon);
    process.kill(residentOf(daemon)!, "SIGKILL");
    await until("health", async () => (await codesOf(client)).includes("runner_lost"));
    assert.equal(residentOf(daemon), undefined);
    const config_data = { restart_on_failure: true };
    await client.call("system/config/update", { config_section: "health_monitoring.self_healing", config_data });
    await step(client, "runner", "recovered");
    assert.equal((await run(client, "again")).stdout, "hello\n");
  });

  test("logs that grow are cut back, but for the audit's; growth that it cannot cut back uses the budget up", async () => {
    const alerts = { ...calm, disk_threshold: 100, log_size_threshold_mb: 1 };
    await using daemon = await TestDaemon.start({ config: { health_monitoring: { ...monitoring, alerts } } });
    using client = await following(daemon);
    const logs = join(daemon.home, "logs");
    writeFileSync(join(logs, "daemon.log.7"), "x".repeat(2 ** 21));
    writeFileSync(join(logs, "someone.log.7"), "x".repeat(2 ** 21));
    const begun = await step(client, "logs", "begun");
    assert.match(begun.action, /oldest rotated/);
    await step(client, "logs", "recovered");
    assert.ok(!readdirSync(logs).includes("daemon.log.7"));
    assert.ok(readdirSync(logs).includes("someone.log.7"));

    const audit = join(logs, "audit.log.7");
    writeFileSync(audit, "x".repeat(2 ** 21));
    await step(client, "logs", "exhausted");
    assert.ok(existsSync(audit));
    assert.ok((await codesOf(client)).includes("self_healing_exhausted"));
    assert.equal((await client.call("system/ping")).pong, true);
    rmSync(audit);
    await until("the end of the alert", async () => !(await codesOf(client)).includes("logs_large"));
  });

  test("a disk over its threshold: what is kept of finished commands is cut to a quarter; what does not help stops", async () => {
    await using daemon = await TestDaemon.start({
      config: {
        health_monitoring: monitoring,
        process_management: { allowed_commands: ["echo"], finished_retention_commands: 8 },
      },
    });
    using client = await following(daemon);
    for (let n = 0; n < 8; n += 1) await run(client, `c-${n}`);
    const kept = async (): Promise<number> => (await client.call("system/health")).commands.finished;
    await until("all to be kept", async () => (await kept()) === 8);
    // Every disk is fuller than that.
    const config_data = { disk_threshold: 1 };
    await client.call("system/config/update", { config_section: "health_monitoring.alerts", config_data });
    assert.match((await step(client, "disk", "begun")).action, /quarter/);
    await until("what is kept", async () => (await kept()) === 2);
    assert.equal((await step(client, "disk", "failed")).attempt, 1);
    await step(client, "disk", "exhausted");
    assert.equal((await client.call("system/ping")).pong, true);
    await client.call("system/config/update", {
      config_section: "health_monitoring.alerts",
      config_data: { disk_threshold: 100 },
    });
    await until("the end of the alert", async () => !(await codesOf(client)).includes("disk_high"));
  });

  test("an agent that dies at each start: tried as often as configured; then it stops, says so, stays reachable, and a person starts it again", async () => {
    using folder = temporaryFolder("hl-agent");
    await using agents = await FakeAgents.start();
    const attempts = 2;
    const claude_integration = {
      ...agents.config(folder.path),
      ...{ max_restart_attempts: attempts, restart_delay: 0 },
    };
    await using daemon = await TestDaemon.start({ config: { health_monitoring: monitoring, claude_integration } });
    using client = await following(daemon);
    const start = async (more: object = {}): Promise<Message> => {
      const starting = client.call("claude/start", { workspace_path: daemon.workspace, ...more });
      const agent = await agents.next();
      await agent.initialized(1);
      return { ...(await starting), agent };
    };
    const { agent: first, process_id, session_id } = await start();
    first.end();
    for (let attempt = 1; attempt <= attempts; attempt += 1) (await agents.next()).end();

    const spent = await step(client, "agent", "exhausted");
    assert.deepEqual([spent.attempt, spent.attempts_max], [attempts, attempts]);
    assert.match(spent.why, new RegExp(`^${process_id} ended with exit code ${fakeAgentExitCode}$`));
    const health = await client.call("system/health");
    assert.deepEqual(
      health.alerts.map(({ code, remedy }: Message) => [code, /doctor --retry/.test(remedy)]),
      [["self_healing_exhausted", true]],
    );
    assert.equal(health.status, "degraded");
    const { processes } = await client.call("claude/list");
    assert.deepEqual(
      processes.map((agent: Message) => [agent.process_id, agent.status]),
      [[process_id, "ended"]],
    );

    assert.deepEqual(await client.call("system/healing/reset", {}), { reset: ["agent"] });
    await until("health", async () => (await codesOf(client)).length === 0);
    const again = await start({ resume: session_id });
    assert.equal(again.session_id, session_id);
  });

  test("a database that is met corrupt: what can be read is saved, told from beginning to end, and the daemon goes on", async () => {
    await using daemon = await TestDaemon.start({ config: { health_monitoring: monitoring } });
    using client = await daemon.connect();
    const emit = (event_id: string, data: object = {}): Promise<Message> =>
      client.call("event/stream", { event_id, event_type: "test.note", timestamp: 1, data });
    // 100 MB, which SQLite does not hold in its cache. Saving them may be over before a round of checks has seen it.
    const pad = "x".repeat(50_000);
    for (let at = 0; at < 2_000; at += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, index) => emit(`e-${at + index}`, { pad })));
    }
    const path = join(daemon.home, "data/state/daemon.db");
    damageTheMiddle(path);
    using reader = await daemon.connect();
    await reader.call("event/subscribe", { after: 0, types: ["test.note"] }).catch(() => {}); // It may be the one that meets it.
    await until("health", async () => (await codesOf(client)).join() === "database_salvaged", 120_000);
    // Who followed events meanwhile may have been refused; from the beginning all is there.
    using told = await daemon.connect();
    await told.call("event/subscribe", { after: 0, types: ["self_healing"] });
    assert.match((await step(told, "store", "begun")).action, /save what can be read/);
    await step(told, "store", "recovered");
    assert.equal((await emit("after")).status, "accepted");
    const aside = readdirSync(join(daemon.home, "data/state")).filter((name) => name.startsWith("daemon.db.corrupt-"));
    assert.equal(aside.length, 1);
    for (const name of aside) rmSync(join(daemon.home, "data/state", name));
    await daemon.restart();
    using again = await daemon.connect();
    assert.deepEqual(await codesOf(again), []);
  });

  test("a cloud that is gone and comes back: told as an alert and as a repair, from beginning to end", async () => {
    await using system = await startSystem({ config: { health_monitoring: monitoring } });
    const { daemon, cloud } = system;
    using client = await following(daemon);
    await cloud.stop("SIGKILL");
    assert.match((await step(client, "cloud", "begun")).action, /connect again/);
    assert.ok((await codesOf(client)).includes("cloud_disconnected"));
    await cloud.restart();
    await step(client, "cloud", "recovered");
    const cleared = await client.next(
      ({ method, params }) =>
        method === "event/event" && params.event_type === "health_alert" && params.data.state === "cleared",
      60_000,
    );
    assert.equal(cleared.params.data.code, "cloud_disconnected");
    assert.deepEqual(await codesOf(client), []);
  });
});
