/**
 * Goal: what was promised survives a crash of either side. Method: kill -9 of the real daemon, stop and start of the real cloud, and
 * then a look from outside at what the cloud has, what ran, and how often.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { CallFailed, type Message } from "@hl/testkit/message-client.ts";
import { isRunning } from "@hl/testkit/processes.ts";
import { startSystem, TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

const withShell = { process_management: { allowed_commands: ["sh"] } };
const crashes = 20;
const eventsInFlight = 12;

describe("durability", () => {
  test(`S1: an accepted event is in the cloud once, after kill -9 right behind the answer, ${crashes} times`, async () => {
    await using system = await startSystem();
    const { daemon, operator } = system;
    const accepted = new Set<string>();
    for (let crash = 0; crash < crashes; crash += 1) {
      using client = await daemon.connect();
      const nth = Promise.withResolvers<undefined>();
      let answers = 0;
      for (let number = 0; number < eventsInFlight; number += 1) {
        const event_id = `crash-${crash}-${number}`;
        const params = { event_id, event_type: "test.crash", timestamp: Date.now() / 1000, data: { crash, number } };
        client.call("event/stream", params).then(
          ({ status }: Message) => {
            assert.equal(status, "accepted");
            accepted.add(event_id);
            answers += 1;
            // Behind another answer each time, so that the crash meets other states of the store and of the shipment.
            if (answers === 1 + (crash % eventsInFlight)) nth.resolve(undefined);
          },
          () => {}, // Not accepted: nothing was promised.
        );
      }
      await nth.promise;
      await daemon.kill();
      await daemon.restart();
    }
    const after = { event_id: "after", event_type: "test.crash", timestamp: Date.now() / 1000, data: {} };
    assert.equal(
      (await daemon.post({ jsonrpc: "2.0", id: 1, method: "event/stream", params: after })).result.status,
      "accepted",
    );
    await operator.event(({ event_id }) => event_id === "after");

    const events = await operator.events();
    const arrived = events.map((event) => event.event_id as string);
    assert.ok(accepted.size >= crashes);
    assert.deepEqual(
      [...accepted].filter((id) => !arrived.includes(id)),
      [],
      "accepted and lost",
    );
    assert.equal(new Set(arrived).size, arrived.length, "stored more than once");
    // S3: one epoch, and no sequence number was given twice.
    const positions = events.map((event) => `${event.epoch} ${event.seq}`);
    assert.equal(new Set(positions).size, positions.length);
    assert.equal(new Set(events.map((event) => event.epoch)).size, 1);
  });

  test("S1: events accepted while the cloud is away arrive when it is back, also over a crash of the daemon", async () => {
    await using system = await startSystem();
    const { cloud, daemon, operator } = system;
    await cloud.stop("SIGKILL");
    const ids = Array.from({ length: 250 }, (_, number) => `away-${number}`);
    {
      using client = await daemon.connect();
      for (const event_id of ids) {
        const params = { event_id, event_type: "test.away", timestamp: Date.now() / 1000, data: {} };
        assert.equal((await client.call("event/stream", params)).status, "accepted");
      }
    }
    await daemon.kill();
    await daemon.restart();
    await cloud.restart();
    await operator.event(({ event_id }) => event_id === ids.at(-1), 60_000);
    const arrived = (await operator.events()).filter((event) => event.event_type === "test.away");
    assert.deepEqual(
      arrived.map((event) => event.event_id),
      ids,
    );
  });

  test("C2: a result that was computed while the cloud was away arrives when it is back", async () => {
    await using system = await startSystem({ config: withShell });
    const { cloud, daemon, operator } = system;
    // Queued while the VM is away: the answer names the request, so that its fate can be looked up afterwards.
    await daemon.kill();
    await until("the cloud to notice", async () => (await operator.instance()).online === false);
    const args = ["-c", "touch running; while [ ! -e go ]; do sleep 0.02; done; echo computed; echo once >> runs"];
    const params = { command_id: "meanwhile", command: "sh", args };
    const queued = await operator.post({ jsonrpc: "2.0", id: 1, method: "command/execute", params }, 0);
    assert.equal(queued.error.code, 1701);
    const rpcId = queued.error.data.rpc_id as string;
    await daemon.restart();
    const inWorkspace = (name: string): string => join(daemon.workspace, name);
    await until("the command to run", () => existsSync(inWorkspace("running")));

    await cloud.stop("SIGKILL");
    writeFileSync(inWorkspace("go"), "");
    using local = await daemon.connect();
    await until(
      "its end",
      async () => (await local.call("command/status", { command_id: "meanwhile" })).status === "completed",
    );

    await cloud.restart();
    await operator.online();
    const recorded = await until("the answer", async () => {
      const request = await operator.request(rpcId);
      return request.state === "answered" ? request : undefined;
    });
    assert.equal(recorded.answer.result.stdout, "computed\n");
    assert.equal(recorded.answer.result.status, "completed");
    assert.equal(readFileSync(inWorkspace("runs"), "utf8"), "once\n");
  });

  test("C3: hl-cloud stopped and started again: the daemon is back by itself and takes commands", async () => {
    await using system = await startSystem();
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      await system.cloud.stop(signal);
      await system.cloud.restart();
      await system.operator.online();
      const result = await system.operator.call("command/execute", {
        command_id: signal,
        command: "echo",
        args: ["back"],
      });
      assert.equal(result.stdout, "back\n");
    }
  });

  test("C1: a command_id runs once, whoever repeats it, also across a crash; with other parameters it is a conflict", async () => {
    await using system = await startSystem({ config: withShell });
    const { daemon, operator } = system;
    const params = { command_id: "once", command: "sh", args: ["-c", "echo run >> runs; echo done"] };
    {
      using one = await daemon.connect();
      using two = await daemon.connect();
      const results = await Promise.all([
        one.call("command/execute", params),
        two.call("command/execute", params),
        operator.call("command/execute", params),
      ]);
      for (const result of results) assert.equal(result.stdout, "done\n");
    }
    await daemon.kill();
    await daemon.restart();
    await operator.online();
    using client = await daemon.connect();
    const again = [await client.call("command/execute", params), await operator.call("command/execute", params)];
    for (const result of again) assert.deepEqual([result.stdout, result.exit_code], ["done\n", 0]);
    assert.equal(readFileSync(join(daemon.workspace, "runs"), "utf8"), "run\n");

    const other = { ...params, args: ["-c", "echo other >> runs"] };
    await assert.rejects(client.call("command/execute", other), (error) => {
      assert.ok(error instanceof CallFailed);
      assert.equal(error.error.code, 1106);
      return true;
    });
    assert.equal(readFileSync(join(daemon.workspace, "runs"), "utf8"), "run\n");
  });

  test("P3: a running command outlives kill -9 of the daemon; after the restart its output is whole and its end is told", async () => {
    await using daemon = await TestDaemon.start({ config: withShell });
    const lines = 2_000;
    const script = `i=0; while [ $i -lt ${lines} ]; do echo line $i; i=$((i+1)); [ $i -eq 500 ] && touch half; [ $i -eq 1000 ] && while [ ! -e go ]; do sleep 0.02; done; done; exit 3`;
    const params = { command_id: "long", command: "sh", args: ["-c", script], stream_output: true };
    let pid: number;
    {
      using client = await daemon.connect();
      pid = (await client.call("command/execute", params)).process_id;
      await until("the command to be under way", () => existsSync(join(daemon.workspace, "half")));
    }
    await daemon.kill();
    assert.ok(isRunning(pid), "the command ended with the daemon");
    await daemon.restart();
    assert.ok(isRunning(pid));
    using client = await daemon.connect();
    const { commands } = await client.call("command/list");
    assert.deepEqual(
      commands.map((command: Message) => [command.command_id, command.status]),
      [["long", "started"]],
    );

    let output = "";
    client.listener = ({ method, params: chunk }: Message) => {
      if (method !== "command/output") return false;
      output += String(chunk.data);
      return true;
    };
    const found = await client.call("command/subscribe", { command_id: "long", offset: 0 });
    assert.deepEqual([found.status, found.process_id], ["started", pid]);
    writeFileSync(join(daemon.workspace, "go"), "");
    const exited = await client.next(({ method }) => method === "command/exited");
    assert.deepEqual([exited.params.exit_code, exited.params.reason], [3, "exited"]);
    assert.equal(output, Array.from({ length: lines }, (_, number) => `line ${number}\n`).join(""));
    assert.ok(!isRunning(pid));
  });

  test("P3: the end of a command that ended while there was no daemon is told by the next one", async () => {
    await using daemon = await TestDaemon.start({ config: withShell });
    const script = "touch running; while [ ! -e go ]; do sleep 0.02; done; echo alone; exit 4";
    let pid: number;
    {
      using client = await daemon.connect();
      const params = { command_id: "alone", command: "sh", args: ["-c", script], stream_output: true };
      pid = (await client.call("command/execute", params)).process_id;
      await until("the command to run", () => existsSync(join(daemon.workspace, "running")));
    }
    await daemon.kill();
    writeFileSync(join(daemon.workspace, "go"), "");
    await until("the command to end", () => !isRunning(pid));
    await daemon.restart();
    using client = await daemon.connect();
    const status = await until("its end", async () => {
      const seen = await client.call("command/status", { command_id: "alone" });
      return seen.status === "started" ? undefined : seen;
    });
    assert.deepEqual([status.exit_code, status.reason, status.stdout], [4, "exited", "alone\n"]);
  });
});
