/**
 * Goal: P5, S2: output that was lost at the very end of a log is a gap of its size for every reader, not silence. Method: logs of a few
 * records written as docs/runner-protocol.md says, and an end that counts more than they hold.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { Command } from "../commands/command.ts";
import { interruptedEnding } from "../commands/ending.ts";
import { readLogs } from "../commands/logs.ts";
import { followRun } from "./follow.ts";
import { logExtent } from "./log-extent.ts";
import { finishedOutput, type OutputSource } from "./output-source.ts";

type Piece = readonly [stream: "stdout" | "stderr", offset: number, text: string];

function logOf(pieces: readonly Piece[], start = { stdout: 0, stderr: 0 }): Buffer {
  const header = Buffer.alloc(32);
  header.write("HLLOG1\n\0", "latin1");
  header.writeBigUInt64LE(BigInt(start.stdout + start.stderr), 8);
  header.writeBigUInt64LE(BigInt(start.stdout), 16);
  header.writeBigUInt64LE(BigInt(start.stderr), 24);
  const records = pieces.flatMap(([stream, offset, text]) => {
    const record = Buffer.alloc(16);
    record[0] = stream === "stdout" ? 1 : 2;
    record.writeUInt32LE(text.length, 4);
    record.writeBigUInt64LE(BigInt(offset), 8);
    return [record, Buffer.from(text)];
  });
  return Buffer.concat([header, ...records]);
}

async function follow(source: OutputSource, from: number): Promise<string[]> {
  const seen: string[] = [];
  for await (const { chunks, gapBytes, expectedAt } of followRun(source, from, new AbortController().signal)) {
    if (gapBytes > 0) seen.push(`gap ${expectedAt}+${gapBytes}`);
    for (const { position, data } of chunks) seen.push(`${position} ${data.toString()}`);
  }
  return seen;
}

const mark = { position: 12, stdoutBytes: 8, stderrBytes: 4 };

test("P5, S2: a reader is told of bytes that were lost behind the last record, from wherever it began", async () => {
  using folder = temporaryFolder("hl-follow");
  const source = finishedOutput(folder.path, mark);
  assert.deepEqual(await follow(source, 0), ["gap 0+12"], "nothing is left of the log");
  writeFileSync(join(folder.path, "log.000000"), logOf([["stdout", 0, "abc"], ["stderr", 0, "E"], ["stdout", 5, "f"]])); // prettier-ignore
  assert.deepEqual(await follow(source, 0), ["0 abc", "3 E", "gap 4+2", "6 f", "gap 7+5"]);
  assert.deepEqual(await follow(source, 6), ["6 f", "gap 7+5"]);
  assert.deepEqual(await follow(source, 9), ["gap 9+3"]);
  assert.deepEqual(await follow(source, 12), []);
  const whole = finishedOutput(folder.path, { position: 7, stdoutBytes: 6, stderrBytes: 1 });
  assert.deepEqual(await follow(whole, 0), ["0 abc", "3 E", "gap 4+2", "6 f"]);
});

test("P5: command/logs counts what was lost at the end, reaches the end, and a reply says that it is cut", async () => {
  using folder = temporaryFolder("hl-follow");
  writeFileSync(join(folder.path, "log.000000"), logOf([["stdout", 0, "abc"], ["stderr", 0, "E"], ["stdout", 5, "f"]])); // prettier-ignore
  const facts = { id: "c", runId: "r", paramsHash: "", command: "sh", args: [], startedMs: 1 };
  const command = new Command(facts);
  assert.deepEqual(await readLogs(command, "position", 0, 100), {
    chunks: [],
    next_offset: 0,
    eof: false,
    skipped_bytes: 0,
  });
  command.end(interruptedEnding(1, 2, mark), finishedOutput(folder.path, mark));
  const page = async (axis: "position" | "stdout" | "stderr", offset: number, limit: number): Promise<unknown[]> => {
    const { chunks, next_offset, eof, skipped_bytes } = await readLogs(command, axis, offset, limit);
    return [chunks.map(({ data }) => data).join(""), next_offset, eof, skipped_bytes];
  };
  assert.deepEqual(await page("position", 0, 100), ["abcEf", 12, true, 7]);
  assert.deepEqual(await page("position", 0, 3), ["abc", 3, false, 0]);
  assert.deepEqual(await page("position", 7, 100), ["", 12, true, 5]);
  assert.deepEqual(await page("stdout", 0, 100), ["abcf", 8, true, 4]);
  assert.deepEqual(await page("stderr", 0, 100), ["E", 4, true, 3]);
  assert.deepEqual(await page("stderr", 4, 100), ["", 4, true, 0]);
  const result = await command.result(3, 100);
  assert.deepEqual([result.stdout, result.stdout_truncated, result.stdout_bytes], ["abcf", true, 8]);
  assert.deepEqual([result.stderr, result.stderr_truncated, result.stderr_bytes], ["E", true, 4]);

  const lost = new Command(facts); // Of one whose log has gone.
  lost.end(interruptedEnding(1, 2, mark));
  assert.deepEqual(await readLogs(lost, "stdout", 3, 100), {
    chunks: [],
    next_offset: 8,
    eof: true,
    skipped_bytes: 5,
  });
});

test("P2: how far a log reaches is read from it, and half a record at its end is not part of it", async () => {
  using folder = temporaryFolder("hl-extent");
  const none = { position: 0, stdoutBytes: 0, stderrBytes: 0 };
  assert.deepEqual(await logExtent(join(folder.path, "missing")), none);
  assert.deepEqual(await logExtent(folder.path), none);
  const log = logOf([["stdout", 0, "abc"], ["stderr", 0, "E"], ["stdout", 5, "f".repeat(300_000)], ["stderr", 1, "G"]]); // prettier-ignore
  writeFileSync(join(folder.path, "log.000000"), log);
  assert.deepEqual(await logExtent(folder.path), { position: 300_007, stdoutBytes: 300_005, stderrBytes: 2 });
  writeFileSync(join(folder.path, "log.000000"), log.subarray(0, -1));
  assert.deepEqual(await logExtent(folder.path), { position: 300_006, stdoutBytes: 300_005, stderrBytes: 1 });
  writeFileSync(join(folder.path, "log.000001"), Buffer.alloc(20)); // Just begun when the machine stopped.
  assert.deepEqual((await logExtent(folder.path)).position, 300_006);
  writeFileSync(join(folder.path, "log.000010"), logOf([["stderr", 9, "HI"]], { stdout: 400_000, stderr: 9 }));
  assert.deepEqual(await logExtent(folder.path), { position: 400_011, stdoutBytes: 400_000, stderrBytes: 11 });
});
