/** Units, placeholders and suggestions: the small readers of text. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { interpolate } from "./interpolate.ts";
import { nearest } from "./suggest.ts";
import { formatQuantity, parseQuantity, type Unit } from "./units.ts";

describe("parseQuantity", () => {
  it("turns text into the key's unit", () => {
    const cases: [string, Unit, number][] = [
      ["100MB", "bytes", 100_000_000],
      ["10MiB", "bytes", 10_485_760],
      ["1.5 KiB", "bytes", 1536],
      ["0.1KB", "bytes", 100],
      ["2GiB", "MiB", 2048],
      ["2GB", "MiB", 1907],
      ["5s", "seconds", 5],
      ["250ms", "seconds", 0.25],
      ["1h", "seconds", 3600],
      ["10m", "seconds", 600],
      ["7d", "days", 7],
      ["30", "seconds", 30],
      ["100mb", "bytes", 100_000_000],
    ];
    for (const [text, unit, value] of cases) assert.deepEqual(parseQuantity(text, unit), { ok: true, value }, text);
  });

  it("refuses units of the other kind, unknown units, signs and words", () => {
    for (const text of ["5s", "10M", "-1MB", "MB", "", "1e3", "1 000", "constructorB", "1constructor"])
      assert.equal(parseQuantity(text, "bytes").ok, false, text);
    assert.equal(parseQuantity("5MB", "seconds").ok, false);
    assert.equal(parseQuantity("5", "percent").ok, false);
  });

  it("reads back what formatQuantity writes", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.nat(),
          fc.nat(4096).map((n) => n * 2 ** 20),
        ),
        (bytes) => {
          assert.deepEqual(parseQuantity(formatQuantity(bytes, "bytes"), "bytes"), { ok: true, value: bytes });
        },
      ),
    );
  });
});

describe("interpolate", () => {
  const environment = { NAME: "value", EMPTY: "", NESTED: "${NAME}" };
  const cases: [string, string][] = [
    ["a ${NAME} b ${NAME}", "a value b value"],
    ["${NAME:-other}", "value"],
    ["${MISSING:-other words: -}", "other words: -"],
    ["${EMPTY}", ""],
    ["${EMPTY:-other}", "other"],
    ["${MISSING:-}", ""],
    ["$${NAME}", "${NAME}"],
    ["$$${NAME}", "$${NAME}"],
    ["${NESTED}", "${NAME}"],
    ["$NAME $ $$ {NAME}", "$NAME $ $$ {NAME}"],
  ];
  for (const [text, expected] of cases)
    it(`${text} becomes ${expected}`, () => {
      assert.deepEqual(interpolate(text, environment), {
        ...interpolate(text, environment),
        text: expected,
        problems: [],
      });
    });

  it("names what is unset or broken", () => {
    assert.match(
      interpolate("${MISSING}", environment).problems[0]?.message ?? "",
      /environment variable MISSING, which is not set/,
    );
    assert.match(interpolate("${constructor}", environment).problems[0]?.message ?? "", /not set/);
    assert.match(interpolate("${NAME", environment).problems[0]?.message ?? "", /without "}"/);
    assert.match(interpolate("${A-B}", environment).problems[0]?.message ?? "", /not \${NAME}/);
    assert.equal(interpolate("${A} ${B} ${C:-c}", environment).problems.length, 2);
  });
});

describe("nearest", () => {
  const keys = [
    "max_processes",
    "process_timeout",
    "idle_timeout",
    "allowed_commands",
    "blocked_commands",
    "environment",
    "level",
    "levels",
  ];
  const cases: [string, string | undefined][] = [
    ["maxProcesses", "max_processes"],
    ["max-processes", "max_processes"],
    ["MAX_PROCESSES", "max_processes"],
    ["max_proceses", "max_processes"],
    ["proces_timeuot", "process_timeout"],
    ["allow_commands", "allowed_commands"],
    ["lvel", "level"],
    ["env", undefined],
    ["colour", undefined],
    ["x", undefined],
    ["", undefined],
  ];
  for (const [word, expected] of cases)
    it(`${word || "nothing"}: ${expected ?? "no suggestion"}`, () => assert.equal(nearest(word, keys), expected));

  // Goal: one slip in a known key always finds it again. Method: remove, double or swap one character of each key.
  it("finds a key after one slip", () => {
    for (const key of keys.filter((name) => name.length > 6))
      for (let at = 1; at < key.length - 1; at++) {
        const slips = [
          key.slice(0, at) + key.slice(at + 1),
          key.slice(0, at) + key.slice(at, at + 1) + key.slice(at),
          key.slice(0, at) + key.slice(at + 1, at + 2) + key.slice(at, at + 1) + key.slice(at + 2),
        ];
        for (const slip of slips) assert.equal(nearest(slip, keys), key, slip);
      }
  });

  it("is quick with long words", () => assert.equal(nearest("x".repeat(100_000), keys), undefined));
});
