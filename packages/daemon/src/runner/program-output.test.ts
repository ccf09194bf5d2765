/**
 * Goal: P5, P7: a program is read no faster than what comes of it is dealt with, in pieces of the configured size, and meanwhile no buffer is held.
 * Method: logs of the test's.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { settled } from "@hl/testkit/manual-clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { finishedOutput } from "./output-source.ts";
import { ProgramOutput } from "./program-output.ts";
import type { Run } from "./run.ts";

for (const way of ["follow", "catchUp"] as const) {
  test(`${way} waits behind each read for the pace that it is given`, async () => {
    const lines = ["one\n", "two\n"];
    let released = 0;
    let at = 0;
    const read = () => {
      const text = lines[at / 4];
      if (text === undefined) return { chunks: [], gapBytes: 0, release: () => {} };
      const chunk = { stream: "stdout", offset: at, position: at, data: Buffer.from(text) };
      at += 4;
      return { chunks: [chunk], gapBytes: 0, release: () => void (released += 1) };
    };
    const run = {
      ...{ isComplete: true, output: { position: 8 }, onOutput: () => () => {} },
      cursor: () => ({ read: async () => read(), [Symbol.asyncDispose]: async () => {} }),
    } as unknown as Run;
    const got: string[] = [];
    const reader = { receive: (line: Uint8Array) => void got.push(String(line)), lost: () => {} };
    const room = Promise.withResolvers<undefined>();
    const pace = (): Promise<undefined> | undefined => (got.length === 1 ? room.promise : undefined);
    const done = new ProgramOutput({ run, reader, from: 0, pace })[way]();
    await settled();
    assert.deepEqual([got, released], [["one\n"], 1]);
    room.resolve(undefined);
    await done;
    assert.deepEqual(got, lines);
  });
}

for (const way of ["follow", "catchUp"] as const) {
  test(`${way} reads no more at a time than readBytesMax, and loses nothing by it`, async () => {
    using folder = temporaryFolder("hl-program-output");
    const lines = Array.from({ length: 300 }, (_, at) => `${at} ${"x".repeat(at * 17)}\n`).join("");
    const header = Buffer.alloc(32);
    header.write("HLLOG1\n\0", "latin1");
    const record = Buffer.alloc(16);
    record[0] = 1;
    record.writeUInt32LE(lines.length, 4);
    writeFileSync(join(folder.path, "log.000000"), Buffer.concat([header, record, Buffer.from(lines)]));
    const mark = { position: lines.length, stdoutBytes: lines.length, stderrBytes: 0 };
    const run = finishedOutput(folder.path, mark) as unknown as Run;
    const sizes: number[] = [];
    for (const readBytesMax of [512, 8_192, undefined]) {
      const got: Buffer[] = [];
      let largest = 0;
      let since = 0;
      const reader = {
        receive: (chunk: Uint8Array) => {
          got.push(Buffer.from(chunk));
          since += chunk.length;
        },
        lost: () => {},
      };
      const pace = (): undefined => {
        largest = Math.max(largest, since);
        since = 0;
      };
      await new ProgramOutput({ run, reader, from: 0, readBytesMax, pace })[way]();
      assert.equal(Buffer.concat(got).toString(), lines);
      sizes.push(largest);
    }
    assert.deepEqual(sizes.slice(0, 2), [512, 8_192]);
    assert.ok((sizes[2] ?? 0) > 8_192, String(sizes[2]));
  });
}
