/**
 * Goal: P5, P6: a reader gets every byte that the log holds, once, in order and in its place, from any offset on any axis, and is
 * told how many are missing. Method: segments written byte by byte as docs/runner-protocol.md says, against a model of bytes that
 * knows which were ever written; and one log of the real hl-runner.
 */
import assert from "node:assert/strict";
import { appendFileSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import fc from "fast-check";
import { LogCursor, type LogAxis } from "./log-cursor.ts";

type Stream = "stdout" | "stderr";

interface Piece {
  readonly stream: Stream;
  readonly bytes: number;
  /** Counted, but never in the log: the disk was full. */
  readonly lost?: boolean | undefined;
  /** A new segment begins here. */
  readonly rotate?: boolean | undefined;
}

interface Kept {
  readonly stream: Stream;
  readonly offset: number;
  readonly value: number;
}

/** The byte at an offset of a stream: never the same for both streams, and never the same nearby. */
const byteAt = (stream: Stream, offset: number): number => (stream === "stdout" ? 0 : 128) + (offset % 127);

class Log {
  readonly directory: string;
  readonly at = { stdout: 0, stderr: 0 };
  /** Every byte that a reader must find, in order. */
  readonly kept: Kept[] = [];
  #segment = -1;

  constructor(directory: string) {
    this.directory = directory;
  }

  get position(): number {
    return this.at.stdout + this.at.stderr;
  }

  get #file(): string {
    return join(this.directory, `log.${String(this.#segment).padStart(6, "0")}`);
  }

  rotate(number = this.#segment + 1): void {
    this.#segment = number;
    const header = Buffer.alloc(32);
    header.write("HLLOG1\n\0", "latin1");
    for (const [at, value] of [this.position, this.at.stdout, this.at.stderr].entries()) {
      header.writeBigUInt64LE(BigInt(value), 8 + 8 * at);
    }
    writeFileSync(this.#file, header);
  }

  write({ stream, bytes, lost, rotate }: Piece): void {
    if (this.#segment === -1 || rotate === true) this.rotate();
    if (lost !== true) {
      appendFileSync(this.#file, this.record(stream, bytes));
      for (let at = 0; at < bytes; at += 1) {
        const offset = this.at[stream] + at;
        this.kept.push({ stream, offset, value: byteAt(stream, offset) });
      }
    }
    this.at[stream] += bytes;
  }

  record(stream: Stream, bytes: number): Buffer {
    const record = Buffer.alloc(16 + bytes);
    record[0] = stream === "stdout" ? 1 : 2;
    record.writeUInt32LE(bytes, 4);
    record.writeBigUInt64LE(BigInt(this.at[stream]), 8);
    for (let at = 0; at < bytes; at += 1) record[16 + at] = byteAt(stream, this.at[stream] + at);
    return record;
  }

  /** The shim is in the middle of writing this. */
  writePart(bytes: Buffer): void {
    appendFileSync(this.#file, bytes);
  }

  cursor(from: number, axis: LogAxis): LogCursor {
    return new LogCursor(this.directory, from, axis);
  }
}

interface Everything {
  readonly found: Kept[];
  readonly positions: number[];
  readonly gapBytes: number;
}

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
  }
}

function folder(): { readonly log: Log } & Disposable {
  const made = temporaryFolder("hl-log");
  return { log: new Log(realpathSync(made.path)), [Symbol.dispose]: () => made[Symbol.dispose]() };
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
      assert.deepEqual(await cursor.read(10), { chunks: [], gapBytes: 0 });
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

  test("P7: a record larger than the buffer comes whole, and no more than it", async () => {
    using made = folder();
    const { log } = made;
    const large = 1_200_000;
    log.write({ stream: "stderr", bytes: 3 });
    log.write({ stream: "stdout", bytes: large });
    log.write({ stream: "stderr", bytes: 3 });
    await using cursor = log.cursor(0, "position");
    const sizes: number[] = [];
    for (let read = await cursor.read(log.position); read.chunks.length > 0; read = await cursor.read(log.position)) {
      sizes.push(...read.chunks.map(({ data }) => data.length));
    }
    assert.deepEqual(sizes, [3, large, 3]);
    await using late = log.cursor(large - 1, "stdout");
    const { chunks } = await late.read(log.position);
    assert.deepEqual([chunks.length, chunks[0]!.offset, chunks[0]!.data.length], [1, large - 1, 1]);
  });

  test("a log that is not there yet, or has only begun, has nothing; numbers have six digits or more", async () => {
    using made = folder();
    const { log } = made;
    await using cursor = log.cursor(0, "position");
    assert.deepEqual(await cursor.read(0), { chunks: [], gapBytes: 0 });
    writeFileSync(join(log.directory, "log.000000"), "HLLOG1");
    assert.deepEqual(await cursor.read(10), { chunks: [], gapBytes: 0 });
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
    assert.deepEqual(await none.read(10), { chunks: [], gapBytes: 0 });
  });
});
