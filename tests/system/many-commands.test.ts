/**
 * Goal: the ten-thousandth command costs what the first did, and leaves nothing (P1, P7). Method: many short ones in a row, hundreds at
 * once and hundreds of sleepers, at the real daemon; what the kernel counts for daemon and resident, and what lies on disk, before and
 * after. `HL_TEST_COMMANDS=10000` runs as many in a row.
 */
import assert from "node:assert/strict";
import { readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Message, MessageClient } from "@hl/testkit/message-client.ts";
import { descendantsOf, descriptorCount, rssBytes, threadCount } from "@hl/testkit/processes.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";
import { Sleepers } from "./sleepers.ts";

const inARow = Number(process.env["HL_TEST_COMMANDS"] ?? 2_000);
const atOnce = 500;
const pipelined = 6;
const megabyte = 1024 * 1024;

const process_management = {
  allowed_commands: ["true", "sh", "sleep"],
  max_processes: atOnce,
  finished_retention_seconds: 1,
  cleanup_interval: 1,
};

/** Far fewer than the events of a run. */
const event_streaming = { max_queue_size: 4_000 };

/** What must not grow. */
interface Footprint {
  readonly descriptors: number;
  readonly threads: number;
  readonly residentDescriptors: number;
  readonly files: number;
  readonly daemonRssMb: number;
  readonly residentRssMb: number;
  readonly databaseMb: number;
}

describe("many commands", () => {
  let daemon: TestDaemon;
  let client: MessageClient;
  let start: Footprint;
  /** process_end events by command. */
  const ends = new Map<string, number>();

  const execute = (command_id: string, command: string, args: string[] = [], more: object = {}): Promise<Message> =>
    client.call("command/execute", { command_id, command, args, ...more }, 120_000);

  const resident = (): number =>
    descendantsOf(daemon.pid).find(({ parent, zombie }) => parent === daemon.pid && !zombie)!.pid;

  const zombies = (): Set<string> =>
    new Set(
      descendantsOf(daemon.pid)
        .filter(({ zombie }) => zombie)
        .map(({ pid, startTicks, name }) => `${pid} ${startTicks} ${name}`),
    );

  /** Short commands, a few under way at any time; each has one result. Whoever was a zombie is waited for while others run. */
  const runMany = async (prefix: string, count: number): Promise<void> => {
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let index = next++; index < count; index = next++) {
        const { command_id, status, process_id } = await execute(`${prefix}-${index}`, "true");
        assert.deepEqual([command_id, status, process_id > 0], [`${prefix}-${index}`, "completed", true]);
        if (index % 100 !== 99) continue;
        const seen = zombies();
        await until("the zombies to be waited for", () => [...zombies()].every((one) => !seen.has(one)), 5_000);
      }
    };
    await Promise.all(Array.from({ length: pipelined }, worker));
    await eachHasEndedOnce(prefix, count);
  };

  const eachHasEndedOnce = async (prefix: string, count: number): Promise<void> => {
    const tally = (): number[] => [...ends].filter(([id]) => id.startsWith(`${prefix}-`)).map(([, times]) => times);
    await until("their ends", () => tally().length === count);
    assert.deepEqual(new Set(tally()), new Set([1]));
  };

  /** After the retention: nothing of them is left but what the daemon itself needs. */
  const footprint = async (): Promise<Footprint> => {
    const runs = join(daemon.home, "data/runner");
    await until(
      "the finished to be forgotten",
      async () => {
        const { commands } = await client.call("command/list");
        return commands.length === 0 && readdirSync(runs).every((name) => name.startsWith("."));
      },
      180_000,
    );
    const privateFolders = readdirSync(join(daemon.home, "data/cache/tmp")).filter((name) => !name.startsWith("."));
    assert.deepEqual(privateFolders, ["home"]);
    return until("a steady number of processes and files", () => {
      const shims = descendantsOf(daemon.pid).filter(({ pid }) => pid !== resident());
      if (shims.length !== 2 || shims.some(({ zombie }) => zombie)) return undefined; // The two that wait for work.
      return {
        descriptors: descriptorCount(daemon.pid),
        threads: threadCount(daemon.pid),
        residentDescriptors: descriptorCount(resident()),
        files: readdirSync(join(daemon.home, "data"), { recursive: true }).filter((file) => !isSpare(String(file)))
          .length,
        daemonRssMb: rssBytes(daemon.pid) / megabyte,
        residentRssMb: rssBytes(resident()) / megabyte,
        databaseMb: databaseBytes(daemon.home) / megabyte,
      };
    });
  };

  const nothingHasGrown = async (): Promise<void> => {
    const end = await footprint();
    const { spool } = await client.call("system/health", { detailed: true });
    assert.equal(spool.rejected, 0, "without a cloud the oldest events make room");
    for (const key of ["descriptors", "threads", "residentDescriptors", "files"] as const) {
      assert.ok(end[key] <= start[key] + 4, `${key}: ${start[key]}, then ${end[key]}`);
    }
    // A heap takes what it is given before it collects; the database keeps the events that wait for a cloud, up to their limit.
    const slackMb = { daemonRssMb: 96, residentRssMb: 1, databaseMb: 24 };
    for (const [key, slack] of Object.entries(slackMb) as [keyof typeof slackMb, number][]) {
      assert.ok(end[key] < start[key] + slack, `${key}: ${start[key].toFixed(1)}, then ${end[key].toFixed(1)}`);
    }
  };

  before(async () => {
    daemon = await TestDaemon.start({ config: { process_management, event_streaming } });
    client = await daemon.connect();
    client.listener = ({ method, params }: Message) => {
      if (method !== "event/event") return false;
      const id = params.data.command_id as string;
      ends.set(id, (ends.get(id) ?? 0) + 1);
      return true;
    };
    await client.call("event/subscribe", { types: ["process_end"] });
    // Code is compiled, pools and buffers reach the size they keep.
    await runMany("warm-up", 500);
    start = await footprint();
  });

  after(async () => {
    client[Symbol.dispose]();
    await daemon[Symbol.asyncDispose]();
  });

  test(`P1, P7: ${inARow} in a row: each has one result and one end, and nothing grows`, async () => {
    await runMany("row", inARow);
    await nothingHasGrown();
  });

  test(`P1, P7: ${atOnce} at once: each has one result and one end, and nothing is left`, async () => {
    const ids = Array.from({ length: atOnce }, (_, index) => `once-${index}`);
    const results = await Promise.all(ids.map((id) => execute(id, "sh", ["-c", "echo $0", id])));
    for (const [index, { stdout, status }] of results.entries()) {
      assert.deepEqual([status, stdout], ["completed", `${ids[index]}\n`]);
    }
    await eachHasEndedOnce("once", atOnce);
    await nothingHasGrown();
  });

  test(`P1: ${atOnce} sleepers at once; one more is refused; cancel all: nothing is left`, async () => {
    const sleepers = new Sleepers();
    const ids = Array.from({ length: atOnce }, (_, index) => `sleeper-${index}`);
    await Promise.all(ids.map((id) => execute(id, "sleep", [sleepers.seconds], { stream_output: true })));
    await sleepers.areThere(atOnce);
    await assert.rejects(execute("one more", "true"), /500 commands are running, which is max_processes/);
    // Each obeys at once; five hundred shims that look for their trees at one moment need their time.
    const cancel = (command_id: string): Promise<Message> =>
      client.call("command/cancel", { command_id, grace: 30 }, 120_000);
    const results = await Promise.all(ids.map(cancel));
    assert.deepEqual(sleepers.all(), []);
    assert.deepEqual(new Set(results.map(({ reason }) => reason)), new Set(["cancelled"]));
    await eachHasEndedOnce("sleeper", atOnce);
    await nothingHasGrown();
  });
});

function databaseBytes(home: string): number {
  const state = join(home, "data/state");
  return readdirSync(state)
    .map((name) => statSync(join(state, name)))
    .filter((file) => file.isFile())
    .reduce((sum, { size }) => sum + size, 0);
}

/** An empty folder that the next command gets; there are never more than sixteen. */
function isSpare(path: string): boolean {
  return basename(path).startsWith(".spare-");
}
