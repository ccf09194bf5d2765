/**
 * Goal: S4, C5: with a full disk the daemon stays up, says so, is connected, answers, cancels, takes what is critical, and is well again by
 * itself when there is room. With a corrupt database it starts, says so, and tells the cloud what is missing. Method: the real
 * programs, the daemon's data on a small file system that is filled to the last block.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { CallFailed, type Message, type MessageClient } from "@hl/testkit/message-client.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { startSystem, type TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";
import { SmallDisk, whyNoSmallDisk } from "../oracle/small-disk.ts";

const emit = (client: MessageClient, event_id: string): Promise<Message> =>
  client.call("event/stream", { event_id, event_type: "test.note", timestamp: Date.now() / 1000, data: {} });

const alertCodes = async (daemon: TestDaemon): Promise<string[]> => {
  const { result } = await daemon.post({ jsonrpc: "2.0", id: 1, method: "system/health", params: {} });
  return (result.alerts as { code: string }[]).map(({ code }) => code);
};

describe("the disk of the daemon", () => {
  test("S4, C5: full: connected, healthy enough to answer, commands are cancelled, and it recovers by itself", async (t) => {
    const probe = temporaryFolder("hl-mount");
    const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64m", "tmpfs", probe.path], { encoding: "utf8" });
    if (mounted.status !== 0) {
      probe[Symbol.dispose]();
      t.skip(`no small file system can be mounted: ${mounted.stderr || String(mounted.error)}`);
      return;
    }
    execFileSync("umount", [probe.path]);
    probe[Symbol.dispose]();
    await using system = await startSystem({ config: { process_management: { allowed_commands: ["sleep", "true"] } } });
    const { daemon, operator, cloud } = system;
    const state = join(daemon.home, "data/state");
    // The database moves to a disk of its own between two runs.
    await daemon.kill();
    const saved = join(daemon.home, "saved");
    execFileSync("cp", ["-a", state, saved]);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64m,mode=0750", "tmpfs", state]);
    try {
      execFileSync("cp", ["-a", `${saved}/.`, state]);
      await daemon.restart();
      await operator.online();
      using client = await daemon.connect();
      await emit(client, "before");
      const running = client.call("command/execute", { command_id: "long", command: "sleep", args: ["600"] });
      await until(
        "it to run",
        async () => (await client.call("command/status", { command_id: "long" })).process_id > 0,
      );
      await until("the ballast", () => spawnSync("test", ["-s", join(state, "daemon.db.ballast")]).status === 0);
      const filler = join(state, "filler");
      spawnSync("dd", ["if=/dev/zero", `of=${filler}`, "bs=4k"]);
      let taken = 0;
      const flood = async (): Promise<void> => {
        for (; taken < 5_000; taken += 1) {
          const data = { pad: "x".repeat(20_000) };
          await client.call("event/stream", { event_id: `f-${taken}`, event_type: "t", timestamp: 1, data });
        }
      };
      await assert.rejects(flood, (error) => error instanceof CallFailed && [1401, 1505].includes(error.error.code));
      await until("health to say so", async () => (await alertCodes(daemon)).includes("disk_full"));
      // What needs no disk.
      const pid = daemon.pid;
      assert.equal((await operator.call("system/ping", {})).status ?? "ok", "ok");
      await cloud.stop("SIGKILL");
      await cloud.restart();
      await operator.online();
      await client.call("command/cancel", { command_id: "long" });
      assert.equal((await running).reason, "cancelled");
      await assert.rejects(
        emit(client, "refused"),
        (error) => error instanceof CallFailed && error.error.code === 1505,
      );
      assert.equal(daemon.pid, pid);
      rmSync(filler);
      await until("it to be well again", async () => !(await alertCodes(daemon)).includes("disk_full"));
      await emit(client, "after");
      await operator.event(({ event_id }) => event_id === "after");
      const arrived = new Set((await operator.events()).map(({ event_id }) => event_id as string));
      for (let at = 0; at < taken; at += 1) assert.ok(arrived.has(`f-${at}`), `f-${at} was accepted and is not there`);
      await operator.event(({ event_type, data }) => event_type === "process_end" && data.command_id === "long");
    } finally {
      await daemon.kill();
      execFileSync("umount", ["-l", state]);
    }
  });

  test("S1, S2, S4: no inodes: events are taken, commands refused with a code or told to be cut short, health says so, a restart works", async (t) => {
    let disk: SmallDisk | undefined;
    const reason = whyNoSmallDisk(join(tmpdir(), `hl-probe-${process.pid}`));
    if (reason !== undefined) {
      t.skip(reason);
      return;
    }
    const prepare = (home: string): SmallDisk => (disk = SmallDisk.mount(join(home, "data")));
    await using system = await startSystem({
      prepare,
      config: { process_management: { allowed_commands: ["sh"] } },
    });
    const { daemon, operator } = system;
    disk?.takeInodes();
    await until("health to say so", async () => (await alertCodes(daemon)).includes("no_inodes"));
    {
      using client = await daemon.connect();
      await emit(client, "without");
      const refused: unknown[] = [];
      for (let number = 0; refused.length === 0; number += 1) {
        const params = { command_id: `c-${number}`, command: "sh", args: ["-c", "echo said"] };
        // One whose files were made ahead runs; its output may have no place, and then the answer says so (P2).
        const result = await client.call("command/execute", params).catch((error: unknown) => refused.push(error));
        if (typeof result === "object" && result.stdout !== "said\n") assert.equal(result.stdout_truncated, true);
      }
      const [error] = refused;
      assert.ok(error instanceof CallFailed && error.error.code === 1505, JSON.stringify(error));
    }
    await daemon.kill();
    await daemon.restart();
    disk?.freeInodes();
    await until("it to be well again", async () => (await alertCodes(daemon)).length === 0);
    using client = await daemon.connect();
    const params = { command_id: "after", command: "sh", args: ["-c", "echo said"] };
    assert.equal((await client.call("command/execute", params)).stdout, "said\n");
    await operator.event(({ event_id }) => event_id === "without");
  });

  test("S2, S3, S4: a corrupt database: the daemon starts, says so, goes on under a new epoch, and the cloud is told", async () => {
    await using system = await startSystem();
    const { daemon, operator, cloud } = system;
    await cloud.stop("SIGKILL");
    {
      using client = await daemon.connect();
      for (let at = 0; at < 300; at += 1) await emit(client, `e-${at}`);
    }
    await daemon.program.stop();
    const path = join(daemon.home, "data/state/daemon.db");
    const file = readFileSync(path);
    writeFileSync(path, file.subarray(0, Math.floor(file.length / 2)));
    await daemon.restart();
    assert.ok((await alertCodes(daemon)).includes("database_salvaged"));
    await cloud.restart();
    await operator.online();
    const gap = await operator.event(({ event_type }) => event_type === "gap");
    assert.match(gap.data.reason, /corrupt/);
    using client = await daemon.connect();
    await emit(client, "after");
    const after = await operator.event(({ event_id }) => event_id === "after");
    const epochs = new Set((await operator.events()).map(({ epoch }) => epoch as string));
    assert.ok(epochs.has(after.epoch));
  });
});
