/** Goal: a transcript has what the agent was asked, whatever its protocol. Method: the lines that the three protocols are written. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { protocolOf } from "./protocols.ts";
import { promptOf } from "./turn-prompt.ts";

const lineOf = (protocol: string, message: unknown): string =>
  protocolOf(protocol).turnLine(message, "3b241101-e2bb-4255-8caf-4136c566a962", "s1") ??
  assert.fail("it begins no turn");

test("a text is itself in every protocol", () => {
  for (const protocol of ["stream-json", "jsonrpc", "acp"])
    assert.equal(promptOf(lineOf(protocol, "hello\nworld")), "hello\nworld", protocol);
});

test("blocks of text are one text; other blocks and requests stay as they are", () => {
  const image = { type: "image", source: { type: "url", url: "x" } };
  const user = (content: unknown): unknown => ({ type: "user", message: { role: "user", content } });
  const block = (text: string): object => ({ type: "text", text });
  assert.equal(promptOf(lineOf("stream-json", user([block("a"), block("b")]))), "a\nb");
  assert.deepEqual(promptOf(lineOf("stream-json", user([block("a"), image]))), [block("a"), image]);
  const request = { jsonrpc: "2.0", id: 7, method: "message/send", params: { text: "hi" } };
  assert.equal(promptOf(lineOf("jsonrpc", request)), "hi");
  const other = promptOf(lineOf("jsonrpc", { jsonrpc: "2.0", id: 7, method: "task/run", params: { name: "x" } }));
  assert.deepEqual((other as { params: unknown }).params, { name: "x" });
});
