/**
 * Goal: S1, P7: what was accepted while the cloud was away goes out exactly once when it is back, however much it is, and the daemon does not
 * grow by it. Method: the real programs; the cloud is stopped, events are handed over, the daemon is killed and started on them, the cloud
 * comes; the daemon's memory is read from /proc all the time.
 *
 * HL_TEST_BACKLOG_MB=1024 makes it a whole gigabyte (some minutes, and as much room below TMPDIR three times). Figures are printed.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { systemClock } from "@hl/core/clock.ts";
import { http } from "@hl/testkit/http.ts";
import { startSystem, testInstanceId, type TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

const mebibyte = 2 ** 20;
const backlogMb = Number(process.env["HL_TEST_BACKLOG_MB"] ?? 24);
const textBytes = 8_000;
const count = Math.ceil((backlogMb * mebibyte) / textBytes);
const atOnce = 64;
const answerMsMax = 120_000;
const drainMsMax = 60_000 + backlogMb * 2_000;
/** Batches, their compression and V8's own freedom; far below what a backlog that is held in memory would take. */
const growthMibMax = 128;

test(`S1, P7: ${backlogMb} MiB that waited for the cloud are delivered exactly once, and memory does not grow with them`, async (t) => {
  await using system = await startSystem({
    config: {
      event_streaming: {
        flush_interval: 0.05,
        max_queue_size: 10_000_000,
        max_queue_bytes: 4 * 2 ** 30,
        batch_size: 500,
      },
    },
  });
  const { cloud, daemon, operator } = system;
  await cloud.stop();

  await using accepting = new Memory(daemon);
  const acceptMs = await timed(() => handOver(daemon));
  report(t, `accepted ${count} events`, acceptMs, accepting);

  await daemon.kill();
  const startMs = await timed(() => daemon.restart());
  t.diagnostic(`started on them in ${(startMs / 1_000).toFixed(1)} s`);
  const depth = await depthOf(daemon);
  assert.ok(depth >= count, `${depth} of ${count} wait`);

  await using draining = new Memory(daemon);
  let quarterMib = 0;
  const drainMs = await timed(async () => {
    await cloud.restart();
    await operator.online();
    const below = (depth: number) => async (): Promise<boolean> => (await depthOf(daemon)) <= depth;
    await until("a quarter to be gone", below(depth * 0.75), drainMsMax);
    quarterMib = draining.mostMib;
    await until("the spool to be empty", below(0), drainMsMax);
  });
  report(t, "drained", drainMs, draining);
  t.diagnostic(
    `of that, RSS of the last three quarters: +${draining.mostMib - quarterMib} MiB over the first quarter's most`,
  );
  assert.ok(draining.growthMib < growthMibMax, `the daemon grew by ${draining.growthMib} MiB`);

  const copies = new Uint8Array(count);
  for (let after = 0; ;) {
    const path = `/v1/instances/${testInstanceId}/events?after=${after}&limit=500`;
    const { json } = await http(`${cloud.url}${path}`, { token: cloud.operatorToken });
    if (json.events.length === 0) break;
    for (const { event_id, data } of json.events) {
      const number = numberOf(event_id);
      if (number === undefined) continue;
      copies[number] = (copies[number] ?? 0) + 1;
      assert.equal(data.text, textOf(number), event_id);
    }
    after = json.next;
  }
  assert.equal(copies.filter((times) => times !== 1).length, 0, "events are missing or there twice");
});

async function handOver(daemon: TestDaemon): Promise<void> {
  using client = await daemon.connect();
  let next = 0;
  const work = async (): Promise<void> => {
    for (let number = next++; number < count; number = next++) {
      const event = {
        event_id: `backlog-${number}`,
        event_type: "test.backlog",
        timestamp: 1,
        data: { text: textOf(number) },
      };
      assert.equal((await client.call("event/stream", event, answerMsMax)).status, "accepted");
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}

/** A pure function of the number, which compresses about as ordinary text does. */
function textOf(number: number): string {
  const words = Array.from({ length: 40 }, (_, at) => ((number * 40 + at) * 2_654_435_761).toString(36)).join(" ");
  return words.repeat(Math.ceil(textBytes / words.length)).slice(0, textBytes);
}

function numberOf(id: string): number | undefined {
  const digits = /^backlog-(\d+)$/.exec(id)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

async function depthOf(daemon: TestDaemon): Promise<number> {
  return (await daemon.post({ jsonrpc: "2.0", id: 1, method: "system/health", params: {} })).result.spool.depth;
}

async function timed(work: () => Promise<void>): Promise<number> {
  const from = performance.now();
  await work();
  return performance.now() - from;
}

function report(t: { diagnostic: (text: string) => void }, what: string, ms: number, memory: Memory): void {
  const rate = `${(ms / 1_000).toFixed(1)} s, ${((backlogMb * 1_000) / ms).toFixed(1)} MiB/s`;
  t.diagnostic(
    `${what} in ${rate}; RSS ${memory.firstMib} MiB before, at most ${memory.mostMib}, +${memory.growthMib} MiB`,
  );
}

/** The resident memory of the daemon's process, from the beginning on and as long as somebody holds this. */
class Memory implements AsyncDisposable {
  readonly #daemon: TestDaemon;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  readonly firstMib: number;
  mostMib: number;

  constructor(daemon: TestDaemon) {
    this.#daemon = daemon;
    this.firstMib = rssMib(daemon.pid);
    this.mostMib = this.firstMib;
    this.#done = this.#watch();
  }

  get growthMib(): number {
    return this.mostMib - this.firstMib;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await systemClock.sleep(100, signal).catch(() => {});
      this.mostMib = Math.max(this.mostMib, rssMib(this.#daemon.pid));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }
}

/** 0 for a process that is gone. */
function rssMib(pid: number): number {
  try {
    const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return Math.round(Number(kilobytes ?? 0) / 1_024);
  } catch {
    return 0;
  }
}
