/**
 * Goal: a person reads a conversation as it goes, nothing twice and nothing missing, and nothing in it commands their terminal. Method:
 * items in, text out.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { paintFor } from "../render/paint.ts";
import { agentItemOf } from "./agent-item.ts";
import { Transcript } from "./transcript.ts";
import { turnOutcomeOf } from "./turn-outcome.ts";

const newTranscript = (options: { color?: boolean; thinking?: boolean; columns?: number } = {}): Transcript =>
  new Transcript({
    paint: paintFor(options.color === true, {}),
    showThinking: options.thinking ?? true,
    columns: () => options.columns,
  });

type Told = readonly (readonly [type: string, data: unknown])[];

const told = (items: Told, transcript = newTranscript()): string =>
  items.map(([type, data]) => transcript.item(agentItemOf(type, data))).join("");

const text = (piece: string): Told[number] => ["delta", { kind: "text", text: piece }];

test("attack: no member of any item reaches the terminal as a control character or a direction mark", () => {
  const unsafe = /[^\P{Cc}\n\t]|[\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;
  const evil = fc.oneof(
    fc.constantFrom(
      "\u001b]0;owned\u0007",
      "\u001b[2J\u001b[H",
      "\u009b31m",
      "a\rb",
      "\u202egpj.exe",
      "\u001b[6n",
      "\u0008\u0008",
      "\ud800",
    ),
    fc.string({ unit: "binary" }),
  );
  fc.assert(
    fc.property(evil, evil, evil, (a, b, c) => {
      const transcript = newTranscript();
      const items: Told = [
        ["delta", { kind: "thinking", text: a }],
        text(a),
        text(b),
        ["message", { text: c, thinking: b }],
        ["tool_call", { toolUseId: a, toolName: b, input: { command: c, [a]: b } }],
        ["tool_call", { toolUseId: b, toolName: "Bash", input: { [a]: b } }],
        ["tool_result", { toolUseId: a, isError: false, content: c }],
        ["tool_result", { toolUseId: b, isError: true, content: [{ type: a, text: c }, { type: b }] }],
        ["tool_result", { toolUseId: "?", isError: true, content: { [a]: b } }],
        ["log", { text: a }],
        ["notification", { method: b }],
        ["nobody knows", { text: c }],
      ];
      const failed = { text: b, is_error: true, error: { kind: c, message: a } };
      const ends = [turnOutcomeOf(failed), turnOutcomeOf({ text: c }), turnOutcomeOf(a)];
      const all = told(items, transcript) + ends.map((outcome) => transcript.end(outcome, 1)).join("");
      assert.doesNotMatch(all, unsafe);
    }),
  );
});

test("text streams and is not told again as a whole; of what was told in part the rest is; what was lost is told whole", () => {
  const message = (whole: string): Told[number] => ["message", { text: whole, thinking: "" }];
  assert.equal(told([text("Hel"), text("lo"), message("Hello"), text("next")]), "Hello\nnext");
  assert.equal(told([text("Hel"), message("Hello there")]), "Hello there\n");
  assert.equal(told([text("lo"), message("Hello")]), "lo\nHello\n");
  assert.equal(told([message("One"), message("Two")]), "One\nTwo\n");
  const transcript = newTranscript();
  assert.equal(told([text("a\nb\n"), message("a\nb\n")], transcript), "a\nb\n\n");
});

test("thinking is dimmed line by line, or hidden; a subagent's words are not told", () => {
  const items: Told = [
    ["delta", { kind: "thinking", text: "hm\nyes" }],
    text("So"),
    ["delta", { kind: "text", text: "inner", subagentOf: "t1" }],
    ["message", { text: "inner", thinking: "", raw: { parent_tool_use_id: "t1" } }],
    ["message", { text: "inner", thinking: "", subagentOf: "t1" }],
    ["message", { text: "So", thinking: "hm\nyes", raw: { parent_tool_use_id: null } }],
  ];
  assert.equal(told(items, newTranscript({ color: true })), "\x1b[2mhm\x1b[22m\n\x1b[2myes\x1b[22m\nSo\n");
  assert.equal(told(items, newTranscript({ thinking: false })), "So\n");
  assert.equal(told([["message", { text: "", thinking: "whole" }]]), "whole\n");
});

test("a tool call is one line with its most telling argument, its result one with a cut of it", () => {
  const call = (id: string, name: string, input: object, raw?: object): Told[number] => [
    "tool_call",
    { toolUseId: id, toolName: name, input, raw },
  ];
  const result = (id: string, content: unknown, isError = false): Told[number] => [
    "tool_result",
    { toolUseId: id, content, isError },
  ];
  assert.equal(
    told([
      text("Let me look."),
      call("1", "Bash", { command: "ls\n-la", description: "d" }),
      result("1", "a\nb\nc\n"),
      call("2", "Read", { file_path: "/w/a", limit: 5 }),
      call("3", "Task", { description: "look" }),
      call("4", "Grep", { pattern: "x+" }, { parent_tool_use_id: "3" }),
      result("2", [{ type: "text", text: "no such file" }, { type: "image" }], true),
      result("4", ""),
      result("unknown", null),
    ]),
    "Let me look.\n▸ Bash ls\\n-la\n  ok: a (+2 lines)\n▸ Read /w/a\n▸ Task look\n  ▸ Grep x+\n" +
      "  error (Read /w/a): no such file (+1 line)\n  ok\n  ok\n",
  );
  const long = told(
    [call("1", "Bash", { command: "x".repeat(500) }), result("1", "y".repeat(500))],
    newTranscript({ columns: 40 }),
  );
  assert.ok(
    long.split("\n").every((line) => line.length <= 40),
    long,
  );
  assert.match(long, /x…\n {2}ok: y+…\n/);
});

test("retries of the API, what is missing, and what is no part of the protocol are told", () => {
  const items: Told = [
    text("a"),
    ["retry", { attempt: 2, delayMs: 1500, status: 529 }],
    ["retry", { attempt: 3, delayMs: 2000, status: null }],
    ["gap", { bytes: 10 }],
    ["line_skipped", { bytes: 99, lineBytesMax: 10 }],
    ["log", { text: "warning: x" }],
    ["status", { state: "running" }],
    ["retry", { attempt: "bad" }],
    ["constructor", {}],
  ];
  assert.equal(
    told(items),
    "a\n… the model's API answered 529; attempt 2 in 1.5 s\n… the model's API did not answer; attempt 3 in 2 s\n" +
      "… 10 bytes of what the agent said are missing here\n… a line of 99 bytes was too long and is left out\n" +
      "  the agent prints: warning: x\n",
  );
});

test("items of claude/subscribe have the names of the wire; of a message that was cut the pieces are the whole", () => {
  assert.equal(
    told([
      ["tool_call", { tool_use_id: "1", tool_name: "Bash", input: { file_path: "/a" }, subagent_of: "0" }],
      ["tool_result", { tool_use_id: "1", is_error: true, content: "x" }],
      ["retry", { attempt: 1, delay_ms: 500, status: 529 }],
      ["message", { text: "inner", thinking: "", subagent_of: "0" }],
    ]),
    "  ▸ Bash /a\n  error: x\n… the model's API answered 529; attempt 1 in 500 ms\n",
  );
  const transcript = newTranscript();
  const cut = agentItemOf("message", { text: "long… [4 more characters]", thinking: "" }, 4);
  assert.equal(told([text("long text")], transcript) + transcript.item(cut), "long text\n");
  assert.equal(transcript.end(turnOutcomeOf({ text: "long text" }), 10), "— 10 ms\n");
  assert.equal(transcript.item(cut), "long… [4 more characters]\n");
});

test("the end of a turn: its numbers; an answer that nobody has told yet; a failure once", () => {
  const usage = { input_tokens: 100, cache_read_input_tokens: 20, output_tokens: 30 };
  const good = turnOutcomeOf({ text: "Hi", is_error: false, num_turns: 2, usage, cost_usd: 0.00123 });
  const transcript = newTranscript();
  assert.equal(told([text("Hi"), ["message", { text: "Hi", thinking: "" }]], transcript), "Hi\n");
  assert.equal(transcript.end(good, 2345), "— 2 turns, 120 + 30 tokens, $0.0012 in all, 2.3 s\n");
  assert.equal(transcript.end(good, 10), "Hi\n— 2 turns, 120 + 30 tokens, $0.0012 in all, 10 ms\n");
  assert.equal(`${told([text("H")], transcript)}${transcript.end(good, 10).split("\n")[0]}`, "Hi");
  const interrupted = turnOutcomeOf({ text: "H", is_error: true, error: { kind: "interrupted", message: "m" } });
  assert.equal(told([text("H")], transcript) + transcript.end(interrupted, 10), "H\ninterrupted\n— 10 ms\n");
  const failed = turnOutcomeOf({
    text: "",
    is_error: true,
    error: { kind: "api", status: 500, message: "API Error: 500" },
  });
  assert.equal(transcript.end(failed, 10), "the agent reports an error: API Error: 500\n— 10 ms\n");
  assert.equal(
    told([["message", { text: "API Error: 500", thinking: "" }]], transcript) + transcript.end(failed, 10),
    "API Error: 500\n— 10 ms\n",
  );
});

test("answers of every protocol are read: the daemon's, JSON-RPC's, an agent's own", () => {
  const bridge = { jsonrpc: "2.0", id: 1, result: { text: "x", is_error: false, num_turns: 1, cost_usd: 1 } };
  assert.deepEqual(turnOutcomeOf(bridge).text, "x");
  assert.deepEqual(turnOutcomeOf(bridge).steps, 1);
  const refused = turnOutcomeOf({ jsonrpc: "2.0", id: 1, error: { code: -7, message: "cannot" } });
  assert.deepEqual([refused.isError, refused.error], [true, "cannot"]);
  assert.equal(turnOutcomeOf({ jsonrpc: "2.0", id: 1, result: "plain" }).text, "plain");
  assert.equal(turnOutcomeOf([1]).text, "[1]");
  assert.equal(turnOutcomeOf(null).text, "");
  const acp = turnOutcomeOf({ text: "", usage: { inputTokens: 5, outputTokens: 7 } });
  assert.deepEqual([acp.inputTokens, acp.outputTokens], [5, 7]);
});
