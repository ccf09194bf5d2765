/** Goal: P5, P7: a program is read no faster than what comes of it is dealt with, and meanwhile no buffer is held. Method: a log of the test's. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { settled } from "@hl/testkit/manual-clock.ts";
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
    const done = new ProgramOutput(run, reader, 0, () => (got.length === 1 ? room.promise : undefined))[way]();
    await settled();
    assert.deepEqual([got, released], [["one\n"], 1]);
    room.resolve(undefined);
    await done;
    assert.deepEqual(got, lines);
  });
}
