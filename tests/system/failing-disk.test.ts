/**
 * Goal: S1, S2, S4, C1 with a disk that fails, of which nobody can say whether it has what it was given: what is accepted arrives, what
 * cannot be is refused with a code, health says so, and all is well again by itself. A sync that failed accepts nothing, and what
 * was refused by it and sent again is there once.
 * Method: the real programs; calls of the daemon on its own data fail with what a disk says (@hl/testkit/failing-disk.ts).
 */
import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { FailingDisk, type DiskFailures } from "@hl/testkit/failing-disk.ts";
import { CallFailed, type Message, type MessageClient } from "@hl/testkit/message-client.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { startSystem, type TestSystem } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";
import { SmallDisk, whyNoSmallDisk } from "../oracle/small-disk.ts";

const storeFailing = 1512;

const failures: Readonly<Record<string, DiskFailures>> = {
  "no byte can be written": { write: "EIO" },
  "nothing can be synced": { sync: "EIO" },
  "it is read-only": { write: "EROFS", sync: "EROFS", change: "EROFS" },
};

describe("a disk that fails", () => {
  for (const [name, failure] of Object.entries(failures)) {
    test(`S1, S2, S4, C1: ${name}: refused with a code, told in health, nothing lost, well again by itself`, async (t) => {
      using folder = temporaryFolder("hl-failing");
      const disk = diskIn(folder.path, t);
      if (disk === undefined) return;
      await using system = await startSystem({
        env: disk.env,
        config: { process_management: { allowed_commands: ["sh"] } },
      });
      const { daemon, operator } = system;
      disk.below(join(daemon.home, "data"));
      using client = await daemon.connect();
      const { pid } = daemon;
      const handedOver: string[] = [];
      for (let round = 0; round < 3; round += 1) {
        await emit(client, `well-${round}`);
        disk.set(failure);
        for (let number = 0; number < 5; number += 1) {
          handedOver.push(`again-${round}-${number}`);
          await assert.rejects(emit(client, `again-${round}-${number}`), refusedByTheDisk);
        }
        await assert.rejects(execute(client, `command-${round}`), refusedByTheDisk);
        await until("health to say so", async () => (await alerts(system)).includes("disk_failing"));
        assert.equal((await operator.call("system/ping")).status ?? "ok", "ok");
        disk.set({});
        for (const id of handedOver.splice(0)) await emit(client, id);
        const { status, stdout } = await execute(client, `command-${round}`);
        assert.deepEqual([status, stdout], ["completed", "done\n"]);
        await until("it to be well again", async () => (await alerts(system)).length === 0);
        // Nothing but this one is handed over: it must not need another one to be sent.
        await emit(client, `last-${round}`);
        await operator.event(({ event_id }) => event_id === `last-${round}`);
        await until("the spool to be empty", async () => (await health(system)).spool.depth === 0);
      }
      assert.equal(daemon.pid, pid);
      assert.ok(disk.failed > 0);
      const ids = (await operator.events()).map(({ event_id }) => event_id as string);
      const ours = ids.filter((id) => /^(?:well|again|last)-/.test(id)).sort();
      assert.deepEqual(ours, [...new Set(ours)], "an event is there twice");
      assert.equal(ours.length, 3 * 7);
      // Events of the daemon's own come at any time; between two of them there is nothing.
      await until("no byte to be left", async () => (await health(system)).spool.bytes === 0);
    });
  }
});

test("S1, S4: on a disk that is read-only the daemon ends and says why, and started after that it has what it had accepted", async (t) => {
  const reason = whyNoSmallDisk(join(tmpdir(), `hl-probe-${process.pid}`));
  if (reason !== undefined) {
    t.skip(reason);
    return;
  }
  let disk: SmallDisk | undefined;
  await using system = await startSystem({ prepare: (home) => (disk = SmallDisk.mount(join(home, "data"))) });
  const { daemon, cloud, operator } = system;
  await cloud.stop();
  {
    using client = await daemon.connect();
    await emit(client, "before");
  }
  await daemon.kill();
  // The kernel lets go of what a killed process had open for writing some moments after its end.
  await until("nobody to have a file open for writing", () => (disk?.remount("ro"), true));
  await assert.rejects(daemon.restart(), /ended with 69 before it was ready: .*read-only file system, open '.*data/);
  disk?.remount("rw");
  await cloud.restart();
  await daemon.restart();
  await operator.event(({ event_id }) => event_id === "before");
});

function diskIn(scratch: string, t: TestContext): FailingDisk | undefined {
  const disk = FailingDisk.build(scratch);
  if (typeof disk !== "string") return disk;
  t.skip(disk);
  return undefined;
}

const emit = (client: MessageClient, event_id: string): Promise<Message> =>
  client.call("event/stream", { event_id, event_type: "test.note", timestamp: 1, data: {} });

const execute = (client: MessageClient, command_id: string): Promise<Message> =>
  client.call("command/execute", { command_id, command: "sh", args: ["-c", "echo done"] });

const refusedByTheDisk = (error: unknown): boolean => error instanceof CallFailed && error.error.code === storeFailing;

async function health({ daemon }: TestSystem): Promise<Message> {
  return (await daemon.post({ jsonrpc: "2.0", id: 1, method: "system/health", params: { detailed: true } })).result;
}

async function alerts(system: TestSystem): Promise<string[]> {
  return ((await health(system)).alerts as { code: string }[]).map(({ code }) => code);
}
