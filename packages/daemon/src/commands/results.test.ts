/**
 * Goal: P2, P6: a result says how it ended and carries exact bytes, cut between characters; a refusal says in the words of the error
 * table why nothing started. Method: tables, and a log of one record written as docs/runner-protocol.md says.
 */
import assert from "node:assert/strict";
import { realpathSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { HlError, type ErrorType } from "@hl/protocol/errors.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import fc from "fast-check";
import { LogCursor } from "../runner/log-cursor.ts";
import { StartFailed, type EndRecord } from "../runner/records.ts";
import { endingOf, interruptedEnding, signalName, signalNumber, statusOf, usageOf } from "./ending.ts";
import { replyOutput, type ReplyOutput } from "./reply-output.ts";
import { startError } from "./start-error.ts";

/** What a reply makes of an output; `lost` bytes behind it were counted and never written. */
async function reply(output: Buffer, bytesMax: number, lost = 0): Promise<ReplyOutput> {
  using folder = temporaryFolder("hl-reply");
  const directory = realpathSync(folder.path);
  const log = Buffer.alloc(48 + output.length);
  log.write("HLLOG1\n\0", "latin1");
  log[32] = 1;
  log.writeUInt32LE(output.length, 36);
  output.copy(log, 48);
  writeFileSync(join(directory, "log.000000"), log);
  const bytes = output.length + lost;
  const source = {
    cursor: (from: number, axis: "stdout" | "stderr") => new LogCursor(directory, from, axis),
    output: { position: bytes },
  };
  return await replyOutput(source, "stdout", bytes, bytesMax);
}

describe("reply output", () => {
  test("P6: what fits is whole: text where it is UTF-8, base64 where it is not, at the limit too", async () => {
    assert.deepEqual(await reply(Buffer.from(""), 10), { text: "", encoding: "utf8", truncated: false });
    assert.deepEqual(await reply(Buffer.from("é\0\n"), 4), { text: "é\0\n", encoding: "utf8", truncated: false });
    const odd = Buffer.from([0x61, 0xff, 0x00, 0xc3]);
    assert.deepEqual(await reply(odd, 4), { text: odd.toString("base64"), encoding: "base64", truncated: false });
  });

  test("P6: head and tail, each cut between characters", async () => {
    assert.deepEqual(await reply(Buffer.from("0123456789"), 4), { text: "0189", encoding: "utf8", truncated: true });
    assert.deepEqual(await reply(Buffer.from("ab世界xyz世界ab"), 8), {
      text: "abab",
      encoding: "utf8",
      truncated: true,
    });
    assert.deepEqual(await reply(Buffer.from("🙂🙂🙂🙂"), 10), { text: "🙂🙂", encoding: "utf8", truncated: true });
    const odd = Buffer.from([1, 2, 0xff, 4, 5, 6, 7, 8]);
    const cut = Buffer.from([1, 2, 7, 8]);
    assert.deepEqual(await reply(odd, 4), { text: cut.toString("utf8"), encoding: "utf8", truncated: true });
    const tail = Buffer.from([1, 2, 3, 4, 0xff, 0xff]);
    assert.equal((await reply(tail, 4)).encoding, "base64");
  });

  test("P2: what is not in the log any more is said to be cut", async () => {
    assert.deepEqual(await reply(Buffer.from("abc"), 100, 5), { text: "abc", encoding: "utf8", truncated: true });
    assert.equal((await reply(Buffer.from("abcdef"), 4, 50)).truncated, true);
  });

  test("P6: never a broken character, never more than the limit, and always a beginning and an end of the output", async () => {
    const text = fc.string({ unit: "grapheme", maxLength: 40 }).filter((value) => value.isWellFormed());
    await fc.assert(
      fc.asyncProperty(text, fc.integer({ min: 8, max: 60 }), async (written, bytesMax) => {
        const { text: got, encoding, truncated } = await reply(Buffer.from(written), bytesMax);
        assert.equal(encoding, "utf8");
        assert.ok(Buffer.byteLength(got) <= bytesMax);
        assert.equal(truncated, Buffer.byteLength(written) > bytesMax);
        if (!truncated) assert.equal(got, written);
        const joints = Array.from({ length: got.length + 1 }, (_, at) => at);
        assert.ok(joints.some((at) => written.startsWith(got.slice(0, at)) && written.endsWith(got.slice(at))));
      }),
      { numRuns: 100 },
    );
  });
});

describe("endings", () => {
  const end: EndRecord = {
    reason: "exited",
    exitCode: 0,
    signal: undefined,
    pid: 7,
    startedMs: 10,
    endedMs: 30,
    durationMs: 20,
    maxRssMb: 1,
    memoryPeakMb: undefined,
    usageSource: undefined,
    oomKills: 0,
    cpuMs: 2,
    position: 3,
    stdoutBytes: 1,
    stderrBytes: 2,
    pipesStillOpen: false,
    droppedBytes: 0,
  };

  test("P2: success is exit code 0 and nothing else", () => {
    const status = (changes: Partial<EndRecord>): string => statusOf(endingOf({ ...end, ...changes }, 1, 2));
    assert.equal(status({}), "completed");
    const failures: Partial<EndRecord>[] = [
      { exitCode: 1 },
      { exitCode: undefined },
      { reason: "unknown" },
      { reason: "unknown", exitCode: undefined },
      { reason: "cancelled" }, // It ended by itself with 0, but only because it was told to.
      { reason: "signalled", exitCode: undefined, signal: 9 },
      { reason: "oom" },
      { reason: "shutdown" },
      { reason: "daemon_lost" },
    ];
    for (const one of failures) assert.equal(status(one), "failed", JSON.stringify(one));
    for (const reason of ["timeout", "idle_timeout"] as const) assert.equal(status({ reason }), "timeout");
    assert.equal(statusOf(interruptedEnding(1, 2)), "failed");
  });

  test("P2: usage is the tree's where somebody measured that, and says who; a kill by a limit is told", () => {
    const usage = (changes: Partial<EndRecord>): object => usageOf(endingOf({ ...end, ...changes }, 1, 2));
    assert.deepEqual(usage({}), { max_memory: 1, cpu_time: 2 });
    assert.deepEqual(usage({ usageSource: "wait4" }), { max_memory: 1, cpu_time: 2, source: "wait4" });
    const watched = {
      memoryPeakMb: 64,
      usageSource: "watch",
      reason: "oom",
      exitCode: undefined,
      oomKills: 1,
    } as const;
    assert.deepEqual(usage(watched), { max_memory: 64, cpu_time: 2, source: "watch", oom_kills: 1 });
    assert.equal(statusOf(endingOf({ ...end, ...watched }, 1, 2)), "failed");
  });

  test("P2: an end that nobody saw is dated by what the daemon knows, never 1970", () => {
    const unseen = endingOf({ ...end, reason: "unknown", startedMs: 0, endedMs: 0 }, 100, 200);
    assert.deepEqual([unseen.startedMs, unseen.endedMs], [100, 200]);
    const seen = endingOf(end, 100, 200);
    assert.deepEqual([seen.startedMs, seen.endedMs], [10, 30]);
    const interrupted = interruptedEnding(100, 200);
    assert.deepEqual([interrupted.startedMs, interrupted.endedMs], [100, 200]);
  });

  test("signals have names both ways, and one that has none keeps its number", () => {
    for (const name of ["SIGTERM", "SIGKILL", "SIGHUP"]) assert.equal(signalName(signalNumber(name)!), name);
    assert.equal(signalName(64), "SIG64");
    for (const none of ["SIGNONE", "toString", "constructor", ""])
      assert.equal(typeof signalNumber(none), "undefined", none);
    assert.equal(endingOf({ ...end, reason: "signalled", signal: 15 }, 1, 2).signal, "SIGTERM");
  });
});

test("start errors: each stage in the words of the table, with the reason; our own refusals as they are", () => {
  const { E2BIG, ENOENT, EAGAIN, ENOSPC } = constants.errno;
  const table: [stage: string, errno: number, type: ErrorType][] = [
    ["sandbox", ENOENT, "sandbox_unavailable"],
    ["cwd", ENOENT, "cwd_invalid"],
    ["exec", ENOENT, "command_not_found"],
    ["exec", E2BIG, "invalid_params"],
    ["limits", EAGAIN, "process_limit"],
    ["fork", EAGAIN, "process_limit"],
    ["log", ENOENT, "runner_unavailable"],
    ["log", ENOSPC, "no_space"],
    ["protocol", 0, "runner_unavailable"],
    ["something new", 0, "runner_unavailable"],
  ];
  for (const [stage, errno, type] of table) {
    const cause = new StartFailed(stage, errno, "the reason");
    const error = startError(cause, "tool");
    assert.ok(error instanceof HlError && error.type === type, `${stage}: ${String(error)}`);
    assert.equal(error.cause, cause);
    assert.equal(error.facts["reason"], "the reason");
  }
  const own = new HlError("path_denied", "no");
  assert.equal(startError(own, "tool"), own);
  const lost = startError(new Error("connect ECONNREFUSED"), "tool");
  assert.ok(lost instanceof HlError && lost.type === "runner_unavailable" && /ECONNREFUSED/.test(lost.message));
});
