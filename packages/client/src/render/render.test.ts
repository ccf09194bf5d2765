import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { agentText, finalAnswer } from "./agent-text.ts";
import { escapeLine, escapeText, jsonText } from "./escape.ts";
import { encoded } from "./output-view.ts";
import { paintFor } from "./paint.ts";
import { ago, bytes, duration, plural } from "./quantity.ts";
import { renderTable } from "./table.ts";
import { displayWidth, fit } from "./width.ts";

// Goal: what is printed for people is aligned, short and cannot command their terminal.
const plain = paintFor(false, {});

test("no control character, direction mark or lone surrogate survives escaping", () => {
  const unsafe = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u;
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      assert.doesNotMatch(escapeLine(text), unsafe);
      assert.doesNotMatch(escapeText(text).replace(/[\n\t]/g, ""), unsafe);
    }),
  );
  assert.equal(escapeLine("a\x1b[2J\n\u0085\u2028é日"), "a\\x1b[2J\\n\\x85\\u{2028}é日");
  assert.equal(escapeText("a\n\tb\r"), "a\n\tb\\r");
});

test("JSON says the same, and nothing in it commands a terminal", () => {
  assert.equal(jsonText({ a: "\u009b2J\u202e\u007f\u001b\né" }), '{"a":"\\u009b2J\\u202e\\u007f\\u001b\\né"}');
  assert.equal(jsonText({ a: [] }, 2), '{\n  "a": []\n}');
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const json = jsonText({ [text]: text });
      assert.deepEqual(JSON.parse(json), JSON.parse(JSON.stringify({ [text]: text })));
      assert.doesNotMatch(json, /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u);
    }),
  );
});

test("columns line up by what a terminal shows, not by code units", () => {
  assert.deepEqual(["abc", "日本", "e\u0301", "👍", ""].map(displayWidth), [3, 4, 1, 2, 0]);
  const columns = [{ title: "NAME" }, { title: "N", align: "right" }, { title: "TEXT" }] as const;
  const lines = renderTable(
    columns,
    [
      ["日本", "1", "x"],
      ["a", "100", "y"],
    ],
    plain,
    undefined,
  );
  assert.deepEqual(lines, ["NAME    N  TEXT", "日本    1  x", "a     100  y"]);
});

test("only the last column is cut, to the terminal's width", () => {
  const [, line] = renderTable([{ title: "ID" }, { title: "COMMAND" }], [["abc", "x".repeat(100)]], plain, 30);
  assert.equal(displayWidth(line!), 30);
  assert.match(line!, /^abc {2}x+…$/);
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.integer({ min: 1, max: 40 }), (text, width) => {
      assert.ok(displayWidth(fit(text, width)) <= width);
    }),
  );
});

test("colour surrounds a cell and does not move the next one", () => {
  const paint = paintFor(true, {});
  const rows = [
    [{ text: "ok", tone: "good" }, "x"],
    ["longer", "y"],
  ] as const;
  const lines = renderTable([{ title: "S" }, { title: "T" }], rows, paint, 80);
  assert.equal(lines[1], "\x1b[32mok\x1b[39m      x");
  assert.equal(lines[2], "longer  y");
  assert.equal(paintFor(true, { NO_COLOR: "1" })("bad", "x"), "x");
  assert.equal(paintFor(true, { TERM: "dumb" })("bad", "x"), "x");
});

test("times and sizes", () => {
  assert.deepEqual([0.0004, 0.85, 4.26, 59.9, 60, 200, 3_725, 187_200].map(duration), [
    "0 ms",
    "850 ms",
    "4.2 s",
    "59 s",
    "1 min",
    "3 min 20 s",
    "1 h 2 min",
    "2 d 4 h",
  ]);
  assert.deepEqual([0, 59, 61, 7_200, 90_000].map(ago), ["just now", "59 s ago", "1 min ago", "2 h ago", "1 d ago"]);
  assert.deepEqual([0, 1_023, 1_024, 1_536, 200 * 1_024 * 1_024].map(bytes), [
    "0 B",
    "1023 B",
    "1 KiB",
    "1.5 KiB",
    "200 MiB",
  ]);
  assert.deepEqual([plural(1, "gap"), plural(2, "gap")], ["1 gap", "2 gaps"]);
});

test("P6: bytes become text only where they are text", () => {
  assert.deepEqual(encoded(Buffer.from("\ufeffé")), { data: "\ufeffé", encoding: "utf8" });
  assert.deepEqual(encoded(Buffer.from([0xc3])), { data: "ww==", encoding: "base64" });
});

test("an agent's words in every shape; its thinking and its subagents are no part of the answer", () => {
  const raw = {
    type: "assistant",
    message: {
      content: [
        { type: "text", text: "a" },
        { type: "tool_use", id: "1" },
        { type: "text", text: "b" },
      ],
    },
  };
  assert.equal(agentText(raw), "ab");
  assert.equal(agentText({ event: { delta: { type: "text_delta", text: "c" } } }), "c");
  assert.equal(agentText({ kind: "text", text: "d" }), "d");
  assert.equal(agentText({ kind: "thinking", text: "e" }), undefined);
  assert.equal(agentText({ kind: "text", text: "f", subagentOf: "t1" }), undefined);
  assert.equal(agentText({ text: "g", raw: { parent_tool_use_id: "t1" } }), undefined);
  assert.equal(agentText({ text: "h", raw: { parent_tool_use_id: null } }), "h");
  assert.equal(agentText(7), undefined);
  assert.deepEqual(finalAnswer({ result: "x", is_error: true }), { text: "x", isError: true });
  assert.deepEqual(finalAnswer("x"), { text: "x", isError: false });
  assert.deepEqual(finalAnswer([1]), { text: "[1]", isError: false });
});
