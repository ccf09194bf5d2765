/**
 * Goal: what happened to commands is told whatever else is said, and a cloud that forgets gets it again. Method: the real programs;
 * the cloud away until the queue is full, and the cloud's database put back to what it was.
 */
import assert from "node:assert/strict";
import { copyFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { CallFailed, type Message, type MessageClient } from "@hl/testkit/message-client.ts";
import { startSystem, type TestSystem } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

const emit = (client: MessageClient, event_id: string, event_type = "test.note"): Promise<Message> =>
  client.call("event/stream", { event_id, event_type, timestamp: Date.now() / 1000, data: {} });

const refusedWith =
  (code: number) =>
  (error: unknown): boolean =>
    error instanceof CallFailed && error.error.code === code;

const delivered = ({ daemon }: TestSystem): Promise<unknown> =>
  until("everything to be delivered", async () => {
    const health = await daemon.post({ jsonrpc: "2.0", id: 1, method: "system/health", params: {} });
    return health.result.spool.depth === 0;
  });

describe("event lanes", () => {
  test("S2: while the cloud is away callers' events and then new commands are refused, and nothing that was accepted is missing", async () => {
    const queue = { max_queue_size: 64, flush_interval: 0.05 };
    const allowed = { allowed_commands: ["true"] };
    await using system = await startSystem({ config: { event_streaming: queue, process_management: allowed } });
    const { cloud, daemon, operator } = system;
    await delivered(system);
    await cloud.stop("SIGKILL");
    using client = await daemon.connect();
    const accepted: string[] = [];
    const fill = async (): Promise<void> => {
      for (let number = 0; number < 100; number += 1) {
        await emit(client, `note-${number}`, "audit");
        accepted.push(`note-${number}`);
      }
    };
    await assert.rejects(fill, refusedWith(1401));
    assert.ok(accepted.length >= 40, String(accepted.length));
    const commands: string[] = [];
    const run = async (): Promise<void> => {
      for (let number = 0; number < 100; number += 1) {
        await client.call("command/execute", { command_id: `c-${number}`, command: "true" });
        commands.push(`c-${number}`);
      }
    };
    await assert.rejects(run, refusedWith(1401));
    assert.ok(commands.length > 0, "the room that is kept for them was not there");
    // One that is known is answered still.
    assert.equal((await client.call("command/execute", { command_id: "c-0", command: "true" })).status, "completed");
    await cloud.restart();
    await operator.online();
    await delivered(system);
    assert.equal((await client.call("command/execute", { command_id: "later", command: "true" })).status, "completed");
    for (const id of [...commands, "later"]) {
      await operator.event(({ event_type, data }) => event_type === "process_end" && data.command_id === id);
    }
    const arrived = new Set((await operator.events()).map(({ event_id }) => event_id as string));
    assert.deepEqual(
      accepted.filter((id) => !arrived.has(id)),
      [],
    );
  });

  test("S1: a cloud that was put back to a backup gets again what it had taken since", async () => {
    await using system = await startSystem();
    const { cloud, daemon, operator } = system;
    using client = await daemon.connect();
    const ids = (from: number, to: number): string[] =>
      Array.from({ length: to - from }, (_, at) => `e-${String(from + at).padStart(3, "0")}`);
    for (const id of ids(0, 50)) await emit(client, id);
    await delivered(system);
    await cloud.stop(); // In order, so that its file is whole.
    const database = join(cloud.home, "cloud.db");
    copyFileSync(database, `${database}.backup`);
    await cloud.restart();
    await operator.online();
    for (const id of ids(50, 120)) await emit(client, id);
    await delivered(system);
    await cloud.stop("SIGKILL");
    for (const suffix of ["-wal", "-shm"]) rmSync(`${database}${suffix}`, { force: true });
    copyFileSync(`${database}.backup`, database);
    await cloud.restart();
    await operator.online();
    await operator.event(({ event_id }) => event_id === "e-119");
    await delivered(system);
    const notes = (await operator.events()).filter(({ event_type }) => event_type === "test.note");
    assert.deepEqual(notes.map(({ event_id }) => event_id as string).sort(), ids(0, 120));
  });
});
