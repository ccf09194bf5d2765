/**
 * Goal: X4: no secret that is known, in none of its forms, is left in what is redacted, and what holds none is not touched. Method:
 * values and secrets by chance, the secrets hidden in them in every encoding; and the cases that were thought of.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { Redactor } from "./redactor.ts";
import { formsOf, secretBytesMin } from "./secret-forms.ts";
import { bareMark, Secrets } from "./secrets.ts";

function redactorOf(variables: Readonly<Record<string, string>>): Redactor {
  const secrets = new Secrets(new ManualClock());
  secrets.holdOwn("test", variables);
  return new Redactor(secrets);
}

/** Every key, text and number in a value. */
function leavesOf(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [String(value)];
  if (Array.isArray(value)) return value.flatMap(leavesOf);
  return Object.entries(value).flatMap(([key, item]) => [key, ...leavesOf(item)]);
}

/** What somebody reads who undoes an encoding, of whatever there is in a text. */
const decoders: readonly ((text: string) => Buffer)[] = [
  (text) => Buffer.from(text),
  (text) =>
    Buffer.from(
      text.replace(/\\(?:u([0-9a-f]{4})|(.))/gi, (_all, code: string | undefined, one: string | undefined) =>
        code === undefined
          ? one === "n"
            ? "\n"
            : one === "t"
              ? "\t"
              : (one ?? "")
          : String.fromCharCode(parseInt(code, 16)),
      ),
    ),
  (text) =>
    Buffer.from(
      text
        .replaceAll("+", " ")
        .replace(/(?:%[0-9a-f]{2})+/gi, (all) => Buffer.from(all.replaceAll("%", ""), "hex").toString()),
    ),
  ...[0, 1, 2, 3].map((from) => (text: string) => Buffer.from(text.slice(from), "base64")),
];

const percent = (text: string): string =>
  Array.from(Buffer.from(text), (byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");

const encoders: readonly ((text: string) => string)[] = [
  (text) => text,
  (text) => JSON.stringify(text),
  (text) => JSON.stringify({ [text]: text }),
  (text) => JSON.stringify(text).replaceAll("/", "\\/"),
  (text) => Buffer.from(text).toString("base64"),
  (text) => Buffer.from(`a${text}b`).toString("base64"),
  (text) => Buffer.from(`ab${text}`).toString("base64url"),
  (text) => Buffer.from(`{"x":"${text}"}`).toString("base64"),
  encodeURIComponent,
  (text) => encodeURIComponent(text).replace(/%../g, (one) => one.toLowerCase()),
  (text) => new URLSearchParams({ q: text }).toString(),
];

const secretText = fc.oneof(
  fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 }),
  fc.string({ unit: fc.constantFrom(...Array.from('abc01+/%"\\ é😀')), minLength: 3, maxLength: 12 }),
  fc.base64String({ minLength: 8, maxLength: 300 }),
  fc.nat().map((number) => String(1_000_000 + number)),
);
const secretTexts = fc.array(
  secretText.filter((text) => !bareMark.includes(text.trim())),
  { minLength: 1, maxLength: 6 },
);

const hidden = (secrets: readonly string[]): fc.Arbitrary<string> =>
  fc
    .tuple(fc.string(), fc.constantFrom(...secrets), fc.constantFrom(...encoders), fc.string())
    .map(([before, secret, encode, behind]) => `${before}${encode(secret)}${behind}`);

/** JSON of any shape, some of whose texts hold secrets. */
const jsonWith = (secrets: readonly string[]): fc.Arbitrary<unknown> => {
  const text = fc.oneof(fc.string(), hidden(secrets));
  const numbers = secrets.filter((one) => /^\d{6,15}$/.test(one)).map(Number);
  const leaf = fc.oneof(text, fc.constantFrom(null, true, -0.5, ...numbers), fc.double({ noNaN: true }));
  return fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.array(tie("value"), { maxLength: 4 }),
      fc.dictionary(fc.oneof(text, fc.constant("__proto__")), tie("value"), { maxKeys: 4 }),
    ),
  })).value;
};

describe("redaction", () => {
  test("X4: no known secret in any of its forms is left, and it is JSON still", () => {
    const cases = secretTexts.chain((secrets) => fc.tuple(fc.constant(secrets), jsonWith(secrets)));
    fc.assert(
      fc.property(cases, ([secrets, value]) => {
        const redactor = redactorOf(Object.fromEntries(secrets.map((secret, at) => [`TOKEN_${at}`, secret])));
        const redacted: unknown = JSON.parse(JSON.stringify(redactor.redact(value)));
        const leaves = leavesOf(redacted);
        const forms = secrets.flatMap(formsOf).filter((form) => !bareMark.includes(form));
        for (const secret of secrets.map((one) => Buffer.from(one.trim()))) {
          if (secret.length < secretBytesMin) continue;
          const isTold = (leaf: string): boolean => decoders.some((decode) => decode(leaf).includes(secret));
          assert.ok(!leaves.some(isTold), `${secret.toString()} in ${JSON.stringify(redacted)}`);
        }
        for (const form of forms)
          assert.ok(!leaves.some((leaf) => leaf.includes(form)), `${form} in ${JSON.stringify(redacted)}`);
      }),
      { numRuns: 1_000 },
    );
  });

  test("X4: a value without a secret is the same value, and every other text beside one stays", () => {
    const redactor = redactorOf({ TOKEN: "Z9Z9Z9Z9" });
    const plain = fc.string({ unit: fc.constantFrom(...Array.from('abc %"\\é😀\n')) });
    fc.assert(
      fc.property(fc.jsonValue(), plain, plain, (value, before, behind) => {
        fc.pre(!JSON.stringify(value).includes("Z9Z9"));
        assert.equal(redactor.redact(value), value);
        const mixed = { [before]: value, list: [value, `${before}Z9Z9Z9Z9${behind}`] };
        const expected = { [before]: value, list: [value, `${before}[redacted:TOKEN]${behind}`] };
        assert.equal(JSON.stringify(redactor.redact(mixed)), JSON.stringify(expected));
      }),
    );
  });

  test("X4: the mark names the variable and not the value", () => {
    const redactor = redactorOf({ SECRET_TOKEN: "hunter2-hunter2", API_KEY: "API_KEY", MY_SECRET: "redacted" });
    assert.equal(redactor.redact("a hunter2-hunter2 b"), "a [redacted:SECRET_TOKEN] b");
    assert.equal(redactor.redact("an API_KEY"), `an ${bareMark}`);
    assert.equal(redactor.redact("redacted"), "redacted"); // Nothing could stand in its place.
  });

  test("X4: keys are redacted too, and two that become the same both stay", () => {
    const redactor = redactorOf({ TOKEN: "s3cr3t-value" });
    const value = {
      "s3cr3t-value": 1,
      "s3cr3t%2Dvalue": 2,
      [JSON.stringify("s3cr3t-value")]: 3,
      "[redacted:TOKEN]": 4,
    };
    assert.deepEqual(redactor.redact(value), {
      "[redacted:TOKEN]": 1,
      "s3cr3t%2Dvalue": 2, // No encoder writes a dash so.
      '"[redacted:TOKEN]"': 3,
      "[redacted:TOKEN]#2": 4,
    });
  });

  test("X4: secrets that overlap go as one, and of one that is larger than a piece every whole piece goes", () => {
    const overlapping = redactorOf({ A_TOKEN: "abcdefgh", B_TOKEN: "fghijklm" });
    assert.equal(overlapping.redact("<abcdefghijklm>"), "<[redacted:A_TOKEN]>");
    const long = Array.from({ length: 300 }, (_, at) => String.fromCharCode(97 + ((at * at) % 26))).join("");
    const redactor = redactorOf({ TOKEN: long });
    assert.equal(redactor.redact(`<${long}>`), "<[redacted:TOKEN]>");
    assert.equal(redactor.redact(`<${long.slice(0, 128)}`), "<[redacted:TOKEN]"); // The output was cut off.
  });

  test("a value shorter than 6 bytes is no secret, and one of 6 bytes is, however few its characters", () => {
    const redactor = redactorOf({ A_KEY: "12345", B_KEY: "654321", C_KEY: "密码", D_KEY: "  ab \n" });
    assert.equal(redactor.redact("12345 654321 密码 ab"), "12345 [redacted:B_KEY] [redacted:C_KEY] ab");
  });

  test("what turns itself into JSON is looked at as that", () => {
    const redactor = redactorOf({ TOKEN: "2001-02-03" });
    assert.deepEqual(redactor.redact({ at: new Date("2001-02-03T00:00:00Z") }), {
      at: "[redacted:TOKEN]T00:00:00.000Z",
    });
    const other = { at: new Date("2002-02-03T00:00:00Z") };
    assert.equal(redactor.redact(other), other);
  });

  test("what was percent-encoded by somebody thorough is out of reach, and that is known", () => {
    assert.equal(redactorOf({ TOKEN: "abcdef" }).redact(percent("abcdef")), percent("abcdef"));
  });
});
