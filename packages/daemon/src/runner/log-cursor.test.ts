/**
 * Goal: P5, P6: a reader gets every byte that the log holds, once, in order and in its place, from any offset on any axis, and is
 * told how many are missing. Method: segments written byte by byte as docs/runner-protocol.md says, against a model of bytes that
 * knows which were ever written; and one log of the real hl-runner.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { LogCursor, type LogAxis, type LogRead } from "./log-cursor.ts";
import { folder, type Kept, type Piece, type Stream } from "./log-model.fixture.test.ts";

interface Everything {
  readonly found: Kept[];
  readonly positions: number[];
  readonly gapBytes: number;
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

async function readAll(cursor: LogCursor, published: number, bytesMax: number): Promise<Everything> {
  const found: Kept[] = [];
  const positions: number[] = [];
  let gapBytes = 0;
  for (;;) {
    const read = await cursor.read(published, bytesMax);
    gapBytes += read.gapBytes;
    if (read.chunks.length === 0) return { found, positions, gapBytes };
    for (const { stream, offset, position, data } of read.chunks) {
      for (const [at, value] of data.entries()) {
        found.push({ stream, offset: offset + at, value });
        positions.push(position + at);
      }
    }
    read.release();
  }
}

async function nothingOf(read: Promise<LogRead>): Promise<[chunks: number, gapBytes: number]> {
  const { chunks, gapBytes } = await read;
  return [chunks.length, gapBytes];
}

const axes: readonly LogAxis[] = ["position", "stdout", "stderr"];
const stream = fc.constantFrom<Stream>("stdout", "stderr");
const bytes = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: 1, max: 40 }) },
  fc.integer({ min: 3_000, max: 9_000 }),
);
const flag = fc.constantFrom(false, false, false, true);

describe("log cursor", () => {
  test("P5, P6: every byte once and in its place, from any offset on any axis, in reads of any size", async () => {
    const piece: fc.Arbitrary<Piece> = fc.record({ stream, bytes, rotate: flag });
    const pieces = fc.array(piece, { maxLength: 15 });
    await fc.assert(
      fc.asyncProperty(
        pieces,
        fc.constantFrom(...axes),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer({ min: 1, max: 10_000 }),
        async (written, axis, where, bytesMax) => {
          using made = folder();
          const { log } = made;
          for (const one of written) log.write(one);
          const total = axis === "position" ? log.position : log.at[axis];
          const from = Math.floor(where * total);
          await using cursor = log.cursor(from, axis);
          const read = await readAll(cursor, log.position, bytesMax);
          const all = log.kept.map((one, position) => ({ ...one, position }));
          const wanted = axis === "position" ? all.slice(from) : all.filter((one) => one.stream === axis).slice(from);
          assert.deepEqual(
            read.found,
            wanted.map(({ position: _, ...one }) => one),
          );
          assert.deepEqual(
            read.positions,
            wanted.map(({ position }) => position),
          );
          assert.equal(read.gapBytes, 0);
          assert.equal(cursor.offset, total);
        },
      ),
      { numRuns: 150 },
    );
  });

  test("P5, S4: bytes that were never in the log are a gap of their number; what comes behind is in its place", async () => {
    const piece: fc.Arbitrary<Piece> = fc.record({ stream, bytes, lost: flag, rotate: flag });
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 12 }),
        fc.constantFrom<Stream>("stdout", "stderr"),
        async (written, axis) => {
          using made = folder();
          const { log } = made;
          for (const one of written) log.write(one);
          await using cursor = log.cursor(0, axis);
          const read = await readAll(cursor, log.position, 5_000);
          const wanted = log.kept.filter((one) => one.stream === axis);
          assert.deepEqual(read.found, wanted);
          const last = wanted.at(-1);
          assert.equal(read.gapBytes, (last === undefined ? 0 : last.offset + 1) - wanted.length);
          await using whole = log.cursor(0, "position");
          const both = await readAll(whole, log.position, 5_000);
          assert.deepEqual(both.found, log.kept);
          assert.ok(both.positions.every((position, at) => at === 0 || position > both.positions[at - 1]!));
          assert.ok(both.positions.every((position) => position < log.position));
        },
      ),
      { numRuns: 100 },
    );
  });

  test("P5: what rotation removed is one gap with its size, also when it goes while the reader is in the middle", async () => {
    using made = folder();
    const { log } = made;
    log.write({ stream: "stdout", bytes: 10 });
    await using reader = log.cursor(0, "position");
    assert.equal((await readAll(reader, 10, 100)).found.length, 10);
    // Segments 1 and 2 held 50 bytes and are gone; the third begins, and nothing of it is announced yet.
    log.at.stdout += 30;
    log.at.stderr += 20;
    log.rotate(3);
    const before = await reader.read(60);
    assert.deepEqual([before.chunks.length, before.gapBytes], [0, 0], "a gap is told once, with what comes behind it");
    log.write({ stream: "stdout", bytes: 5 });
    const read = await reader.read(65);
    assert.equal(read.gapBytes, 50);
    assert.deepEqual([read.chunks[0]!.offset, read.chunks[0]!.position], [40, 60]);
    assert.equal((await reader.read(65)).gapBytes, 0);
    for (const [axis, from, gap] of [
      ["position", 0, 50],
      ["position", 10, 50],
      ["position", 30, 30],
      ["stdout", 12, 28],
      ["stdout", 40, 0],
    ] as const) {
      await using cursor = log.cursor(from, axis);
      assert.equal((await readAll(cursor, 65, 7)).gapBytes, gap, `${axis} from ${from}`);
    }
  });

  test("P5: nothing behind the announced position is read, also when half a record lies there", async () => {
    using made = folder();
    const { log } = made;
    log.write({ stream: "stdout", bytes: 10 });
    const next = log.record("stdout", 100_000);
    await using cursor = log.cursor(0, "position");
    assert.equal((await readAll(cursor, 10, 100)).found.length, 10);
    for (const [from, to] of [
      [0, 3],
      [3, 16],
      [16, 50_000],
      [50_000, next.length],
    ]) {
      assert.deepEqual(await nothingOf(cursor.read(10)), [0, 0]);
      log.writePart(next.subarray(from, to));
    }
    assert.equal((await readAll(cursor, 100_010, 1_000)).found.length, 100_000);
  });

  test("S4: half a record behind bytes that were lost is waited for and is no failure", async () => {
    using made = folder();
    const { log } = made;
    log.write({ stream: "stdout", bytes: 10 });
    log.write({ stream: "stderr", bytes: 500, lost: true });
    const next = log.record("stdout", 400);
    log.writePart(next.subarray(0, 100));
    await using cursor = log.cursor(0, "position");
    assert.equal((await readAll(cursor, log.position, 100)).found.length, 10);
    assert.deepEqual((await cursor.read(log.position)).chunks, []);
    log.writePart(next.subarray(100));
    assert.equal((await readAll(cursor, log.position + 400, 100)).found.length, 400);
  });

  test("P6, P7: a record larger than the buffer comes in pieces, none longer than the buffer or cut inside a character", async () => {
    using made = folder();
    const { log } = made;
    const text = "aé€😀".repeat(40_000);
    const large = Buffer.byteLength(text);
    log.write({ stream: "stdout", bytes: 0 });
    log.writeText("stdout", text);
    await using cursor = log.cursor(0, "position");
    const parts: string[] = [];
    for (let read = await cursor.read(log.position); read.chunks.length > 0; read = await cursor.read(log.position)) {
      for (const { data } of read.chunks) {
        assert.ok(data.length <= 64 * 1024);
        parts.push(utf8.decode(data));
      }
      read.release();
    }
    assert.equal(parts.join(""), text);
    await using late = log.cursor(large - 1, "stdout");
    const { chunks } = await late.read(log.position);
    assert.deepEqual([chunks.length, chunks[0]!.offset, chunks[0]!.data.length], [1, large - 1, 1]);
  });

  test("a log that is not there yet, or has only begun, has nothing; numbers have six digits or more", async () => {
    using made = folder();
    const { log } = made;
    await using cursor = log.cursor(0, "position");
    assert.deepEqual(await nothingOf(cursor.read(0)), [0, 0]);
    writeFileSync(join(log.directory, "log.000000"), "HLLOG1");
    assert.deepEqual(await nothingOf(cursor.read(10)), [0, 0]);
    log.rotate(0);
    log.write({ stream: "stdout", bytes: 5 });
    log.rotate(999_999);
    log.write({ stream: "stdout", bytes: 5 });
    log.rotate(1_000_000);
    log.write({ stream: "stdout", bytes: 5 });
    log.rotate(1_000_002); // One in between is gone.
    log.write({ stream: "stdout", bytes: 5 });
    assert.equal((await readAll(cursor, 20, 100)).found.length, 20);
    await using none = new LogCursor(join(log.directory, "missing"), 0);
    assert.deepEqual(await nothingOf(none.read(10)), [0, 0]);
  });
});
