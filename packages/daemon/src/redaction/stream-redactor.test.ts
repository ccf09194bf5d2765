/**
 * Goal: X4: a secret that is split over pieces is found wherever it is split, and everything else comes out as it went in.
 * Method: by chance, compared with the redactor of whole texts.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { Redactor } from "./redactor.ts";
import { bareMark, Secrets } from "./secrets.ts";
import { formCharactersMax } from "./secret-forms.ts";
import { StreamRedactor } from "./stream-redactor.ts";

function secretsOf(values: readonly string[]): Secrets {
  const secrets = new Secrets(new ManualClock());
  secrets.holdValues("o", Object.fromEntries(values.map((value, at) => [`N${at}`, value])));
  return secrets;
}

function through(secrets: Secrets, pieces: readonly string[]): string {
  const stream = new StreamRedactor(secrets);
  return pieces.map((piece) => stream.push(piece)).join("") + stream.end();
}

describe("stream redactor", () => {
  test("X4: the same as of the whole text, however it is cut", () => {
    const letters = fc.constantFrom("a", "b", "A", "/", '"', "é");
    const value = fc.string({ unit: letters, minLength: 6, maxLength: 9 });
    const world = fc.array(value, { minLength: 1, maxLength: 4 }).chain((values) => {
      const some = fc.oneof(
        fc.constantFrom(...values),
        fc.constantFrom(...values).map((one) => one.slice(0, -1)),
        fc.constantFrom(...values).map((one) => one.slice(2)),
        fc.constantFrom(...values).map((one) => Buffer.from(one).toString("base64")),
        fc.string({ unit: letters, maxLength: 12 }),
        fc.constant("-"),
      );
      return fc.tuple(
        fc.constant(values),
        fc.array(some, { maxLength: 8 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 12 })),
      );
    });
    let compared = 0;
    fc.assert(
      fc.property(world, ([values, parts, lengths]) => {
        const secrets = secretsOf(values);
        const text = parts.join("");
        const pieces: string[] = [];
        for (let at = 0; at < text.length;) {
          const length = lengths.next().value as number;
          pieces.push(text.slice(at, at + length));
          at += length;
        }
        const out = through(secrets, pieces);
        assert.equal(new Redactor(secrets).holdsSecret(out), false, out);
        const whole = new Redactor(secrets).redactText(text);
        // Where marks and what is left make a secret again, the one drops all and the other a piece.
        if (whole.includes(bareMark) || out.includes(bareMark)) return;
        compared += 1;
        assert.equal(out, whole);
      }),
      { numRuns: 3_000 },
    );
    assert.ok(compared > 1_500, `${compared} were compared`);
  });

  test("X4: a secret in single characters", () => {
    const secrets = secretsOf(["sk-ant-0123456789"]);
    assert.equal(through(secrets, Array.from("it is sk-ant-0123456789, yes")), "it is [redacted:N0], yes");
    assert.equal(through(secrets, Array.from("it is sk-ant-012345678")), "it is sk-ant-012345678");
    assert.equal(through(secrets, Array.from("sk-ant-0123456789sk-ant-0123456789")), "[redacted:N0]");
  });

  test("P7: what is held back is less than the longest form, and nothing where nothing can be a secret", () => {
    const long = Array.from({ length: 40 }, (_, at) => `${at}~`).join("");
    const stream = new StreamRedactor(secretsOf([long, "abcdef"]));
    assert.equal(stream.push("what is no secret"), "what is no secret");
    assert.equal(stream.held, 0);
    assert.equal(stream.push("abcde"), "");
    assert.equal(stream.held, 5);
    assert.equal(stream.push("x"), "abcdex");
    for (const piece of [long.repeat(3), "abcdef".repeat(1_000), long.slice(0, 63)]) {
      stream.push(piece);
      assert.ok(stream.held < formCharactersMax, String(stream.held));
    }
  });

  test("X4: secrets that become known, or are forgotten, meanwhile", () => {
    const secrets = new Secrets(new ManualClock());
    const stream = new StreamRedactor(secrets);
    assert.equal(stream.push("abc"), "abc");
    secrets.holdValues("o", { N: "abcdef" });
    assert.equal(stream.push("abcd"), "");
    assert.equal(stream.push("ef."), "[redacted:N].");
    secrets.holdValues("other", { M: "redacted:N" }); // It has been told already: nothing that follows is kept back for it.
    assert.equal(stream.push(" and also"), " and also");
    assert.equal(stream.end(), "");
  });
});
