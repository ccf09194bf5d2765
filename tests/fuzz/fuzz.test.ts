/**
 * Goal: no bytes of anybody crash a parser, hang it, or are understood in two ways. Method: every input that fuzzing has kept, and some
 * thousands made of them by a fixed seed. `npm run fuzz` goes on from there for as long as one likes.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAuthority } from "@hl/daemon/network/destination.ts";
import { readCorpus } from "./corpus.ts";
import { fuzz, tryOne, type Target } from "./fuzzer.ts";
import { targets } from "./targets.ts";

const inputsMax = Number(process.env["HL_TEST_FUZZ_INPUTS"] ?? 2_000);

for (const [name, target] of Object.entries(targets)) {
  test(`X4, S4: ${name}: ${target.promise}`, async (t) => {
    const corpus = readCorpus(name);
    assert.ok(corpus.length > 0, "there is a corpus");
    const { inputs, findings } = await fuzz(target, { seed: 1, inputsMax, corpus, guided: false });
    t.diagnostic(`${name}: ${inputs} inputs, ${findings.length} findings`);
    assert.deepEqual(
      findings.map(({ kind, input, what }) => [kind, input.toString("latin1"), what]),
      [],
    );
  });
}

test("a parser that crashes, and one that hangs, are found", async () => {
  const broken: Target = {
    promise: "",
    seeds: ["h:80"],
    words: ["[::1]:8"],
    run: (input) => {
      if (parseAuthority(input.toString("latin1"))?.host === "::1") throw new Error("the loopback address");
    },
  };
  const { findings } = await fuzz(broken, { seed: 7, inputsMax: 20_000, corpus: [], guided: true });
  assert.match(findings[0]?.what ?? "", /the loopback address/);
  const slow: Target = {
    ...broken,
    run: () => {
      const until = performance.now() + 1_100;
      while (performance.now() < until);
    },
  };
  assert.equal(tryOne(slow, Buffer.from("x"))?.kind, "hang");
});
