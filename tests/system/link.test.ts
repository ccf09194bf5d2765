/**
 * Goal: C3, C4, C5 from outside: a copied VM is turned away and merged nowhere, a revoked one stops its work and keeps its events,
 * a lost answer to a refresh locks nobody out, and a stop of hl-cloud is announced.
 * Method: the real programs; between them, where something has to be lost, a proxy on a socket.
 */
import assert from "node:assert/strict";
import { cpSync, existsSync, lstatSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { connectSocket } from "@hl/testkit/message-client.ts";
import { noProcessOf } from "@hl/testkit/processes.ts";
import { runProgram, startDaemon, temporaryFolder } from "@hl/testkit/programs.ts";
import { startSystem, TestCloud, TestDaemon, testInstanceId } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";
import { FaultProxy } from "./fault-proxy.ts";

/** Asks again soon, and beats often, so that nobody has to wait for what is measured in minutes. */
const quick = {
  retry_delay: 0.05,
  max_retry_delay: 0.2,
  reconnect_spread: 0.1,
  drain_spread_max: 0.5,
  refused_retry_delay: 0.2,
  refused_retry_delay_max: 0.4,
  revoked_retry_delay: 0.2,
  revoked_retry_delay_max: 0.4,
  heartbeat_interval: 1,
  heartbeat_interval_min: 0.1,
  heartbeat_interval_max: 0.2,
};
const config = {
  cloud_api: { connection: quick },
  process_management: { allowed_commands: ["sleep", "echo"] },
};

const event = (id: string): object => ({ event_id: id, event_type: "test_mark", timestamp: 0, data: { id } });

describe("the link to the cloud", () => {
  test("C3: what waits for the network is sent when the channel is back, however long its own wait is", async () => {
    // The first window of requests is a day, so that nothing but the channel ends a wait in it.
    const connection = { ...quick, max_retry_delay: 86_400, retry_attempts: 0 };
    await using system = await startSystem({
      config: { cloud_api: { connection }, event_streaming: { flush_interval: 0.05 } },
    });
    const { daemon, cloud } = system;
    using client = await daemon.connect();
    await cloud.stop("SIGKILL");
    await client.call("event/stream", event("33333333-3333-4333-8333-333333333333"));
    await until("the event to wait", () => daemon.log.includes('"msg":"sending events failed"'));
    await cloud.restart();
    await until("nothing to wait", async () => (await client.call("system/health")).spool.depth === 0);
  });

  test("C5: a daemon on a copied home is turned away, nothing of it is merged, and the first one goes on", async () => {
    await using system = await startSystem({ config });
    const { daemon, operator } = system;
    using copy = temporaryFolder("hl-copy");
    const filter = (path: string): boolean => !lstatSync(path).isSocket();
    cpSync(daemon.home, copy.path, { recursive: true, filter });
    const env = {
      HL_CLOUD_API__BASE_URL: system.cloud.url,
      HL_DAEMON__INSTANCE_ID: testInstanceId,
      HL_DAEMON__WORKSPACE_ID: "test-workspace-001",
    };
    {
      await using second = await startDaemon(copy.path, { env });
      using local = await connectSocket(second.ready.socket, daemon.token);
      await local.call("event/stream", event("11111111-1111-4111-8111-111111111111"));
      await until("the copy to be told", async () => {
        const { alerts } = await local.call("system/health");
        return alerts.some(({ code }: { code: string }) => code === "cloud_identity_in_use");
      });
      using first = await daemon.connect();
      await first.call("event/stream", event("22222222-2222-4222-8222-222222222222"));
      await operator.event(({ event_id }) => event_id === "22222222-2222-4222-8222-222222222222");
      assert.equal((await operator.call("system/ping")).pong, true);
      const shown = await operator.instance();
      assert.equal(shown.online, true);
      assert.equal(typeof shown.identity_in_use_at, "number");
      const ids = (await operator.events()).map(({ event_id }) => event_id);
      assert.ok(!ids.includes("11111111-1111-4111-8111-111111111111"), "an event of the copy was taken in");
      assert.equal((await local.call("system/health")).spool.depth > 0, true);
    }
    await noProcessOf(copy.path);
  });

  test("a revoked VM ends what runs, keeps its events and asks seldom; a new enrolment brings it back with all of them", async () => {
    await using system = await startSystem({ config });
    const { daemon, operator, cloud } = system;
    using local = await daemon.connect();
    void local.call("command/execute", { command_id: "long", command: "sleep", args: ["600"] }).catch(() => {});
    await until("the command to run", async () => (await local.call("system/health")).commands.running === 1);
    const revoked = await runProgram("hl-cloud", ["revoke", "--home", cloud.home, "--instance", testInstanceId]);
    assert.equal(revoked.code, 0, revoked.stderr);
    await until("the daemon to be told", async () => {
      const { alerts } = await local.call("system/health");
      return alerts.some(({ code }: { code: string }) => code === "cloud_instance_revoked");
    });
    const ended = await until("the command to be ended", async () => {
      const status = await local.call("command/status", { command_id: "long" });
      return status.status === "started" ? undefined : status;
    });
    assert.equal(ended.reason, "cancelled");
    await until("the connection to end", async () => (await operator.instance()).online === false);
    assert.equal((await operator.instance()).credentials, "revoked");
    await local.call("event/stream", event("33333333-3333-4333-8333-333333333333"));
    assert.ok((await local.call("system/health")).spool.depth > 0);

    writeFileSync(join(daemon.home, "data/auth/enrollment_token"), await cloud.enroll(testInstanceId));
    await operator.online();
    await operator.event(({ event_id }) => event_id === "33333333-3333-4333-8333-333333333333");
    const { alerts } = await local.call("system/health");
    assert.deepEqual(alerts, []);
  });

  test("C4: whatever is lost of a refresh, also with a crash of the daemon at that moment, the VM stays in", async () => {
    await using cloud = await TestCloud.start({ args: ["--access-token-ttl", "2"] });
    await using proxy = await FaultProxy.start(cloud.url);
    const env = {
      HL_CLOUD_API__BASE_URL: proxy.url,
      HL_ENROLLMENT_TOKEN: await cloud.enroll(testInstanceId),
      HL_DAEMON__INSTANCE_ID: testInstanceId,
      HL_DAEMON__WORKSPACE_ID: "test-workspace-001",
    };
    await using daemon = await TestDaemon.start({ config, env });
    const operator = cloud.operator(testInstanceId);
    await operator.online();
    for (const fault of ["before", "after", "cut", "page", "after", "cut"] as const) {
      const before = proxy.count("/v1/vm/token");
      proxy.faults.push({ to: "/v1/vm/token", fault });
      await until(`a refresh whose answer is lost (${fault})`, () => proxy.faults.length === 0);
      if (fault === "after") {
        await daemon.kill();
        await daemon.restart();
      }
      // It asks again, is answered, and goes on beyond the life of every token that it had.
      await until("two more refreshes", () => proxy.count("/v1/vm/token") >= before + 3);
    }
    await operator.online();
    assert.equal((await operator.call("system/ping")).pong, true);
    assert.equal((await operator.instance()).credentials, "valid");
  });

  for (const crashes of [false, true]) {
    const also = crashes ? ", and the daemon is killed then" : "";
    test(`C1, C2: the answer of a command is lost on its way${also}: the cloud has its result exactly once`, async () => {
      await using cloud = await TestCloud.start();
      await using proxy = await FaultProxy.start(cloud.url);
      const env = {
        HL_CLOUD_API__BASE_URL: proxy.url,
        HL_ENROLLMENT_TOKEN: await cloud.enroll(testInstanceId),
        HL_DAEMON__INSTANCE_ID: testInstanceId,
        HL_DAEMON__WORKSPACE_ID: "test-workspace-001",
      };
      const shell = { ...config, process_management: { allowed_commands: ["sh"] } };
      await using daemon = await TestDaemon.start({ config: shell, env });
      const operator = cloud.operator(testInstanceId);
      await operator.online();
      const script = ["-c", "echo run >> runs; while [ ! -e go ]; do sleep 0.02; done; cat runs"];
      const asked = operator.call("command/execute", { command_id: "once", command: "sh", args: script });
      await until("it to run", () => existsSync(join(daemon.workspace, "runs")));
      proxy.isDeaf = true;
      writeFileSync(join(daemon.workspace, "go"), "");
      const local = await daemon.connect();
      await until("it to end", async () => {
        return (await local.call("command/status", { command_id: "once" })).status === "completed";
      });
      if (crashes) await daemon.kill();
      proxy.isDeaf = false;
      proxy.cut();
      if (crashes) await daemon.restart();
      assert.equal((await asked).stdout, "run\n");
      await operator.online();
      await operator.event(({ event_type, data }) => event_type === "process_end" && data.command_id === "once");
      const ends = (await operator.events()).filter(({ event_type, data }) => {
        return event_type === "process_end" && data.command_id === "once";
      });
      assert.equal(ends.length, 1);
    });
  }

  test("C3: a stop of hl-cloud is announced to the daemon, which says so and comes back", async () => {
    await using system = await startSystem({ config });
    await system.cloud.restart();
    await system.operator.online();
    assert.match(system.daemon.log, /the cloud is going to stop/);
  });

  test("C1, C2: behind a proxy that refuses WebSockets everything goes over polls, and back to one when it can", async () => {
    await using cloud = await TestCloud.start();
    await using proxy = await FaultProxy.start(cloud.url);
    proxy.refusesUpgrades = true;
    const env = {
      HL_CLOUD_API__BASE_URL: proxy.url,
      HL_ENROLLMENT_TOKEN: await cloud.enroll(testInstanceId),
      HL_DAEMON__INSTANCE_ID: testInstanceId,
      HL_DAEMON__WORKSPACE_ID: "test-workspace-001",
    };
    const polls = { long_poll_after: 2, long_poll_wait: 5, websocket_retry: 0.5 };
    await using daemon = await TestDaemon.start({
      config: {
        cloud_api: { connection: { ...quick, ...polls } },
        process_management: { allowed_commands: ["sleep", "seq", "sh"] },
      },
      env,
    });
    const operator = cloud.operator(testInstanceId);
    await operator.online();
    assert.ok(proxy.count("POST /v1/vm/commands") >= 1);

    // A stream, whole and in order, and a cancel while a poll is under way.
    const target = {
      HL_CLOUD: cloud.url,
      HL_INSTANCE: testInstanceId,
      HL_OPERATOR_TOKEN_FILE: cloud.operatorTokenFile,
    };
    const listed = await runProgram("hl-client", ["exec", "--", "seq", "1", "60000"], { env: target });
    assert.equal(listed.code, 0, listed.stderr);
    const numbers = Array.from({ length: 60_000 }, (_, index) => `${index + 1}\n`);
    assert.equal(listed.stdout.toString("utf8"), numbers.join(""));
    const long = operator.call("command/execute", { command_id: "long", command: "sleep", args: ["600"] });
    await until("it to run", async () => (await operator.call("command/list")).commands.length >= 2);
    await operator.call("command/cancel", { command_id: "long" });
    assert.equal((await long).reason, "cancelled");

    // Polls that break in the middle of a request: it is delivered again, runs once, and its answer arrives.
    const once = ["-c", "echo run >> runs; while [ ! -e go ]; do sleep 0.02; done; cat runs"];
    const broken = operator.call("command/execute", { command_id: "once", command: "sh", args: once });
    await until("it to run", () => existsSync(join(daemon.workspace, "runs")));
    proxy.cut();
    writeFileSync(join(daemon.workspace, "go"), "");
    assert.equal((await broken).stdout, "run\n");

    proxy.refusesUpgrades = false;
    await until("the WebSocket", () => daemon.log.includes('"path":"websocket"'));
    await operator.online();
    const before = proxy.count("/v1/vm/commands?");
    assert.equal((await operator.call("system/ping")).pong, true);
    assert.equal(proxy.count("/v1/vm/commands?"), before, "no poll goes on beside the WebSocket");
    assert.equal((await operator.instance()).identity_in_use_at, null, "changing the path is no copy");
  });
});
