/**
 * Goal: nothing that a caller sends can end the agent, and the same relay id always is the same message to it.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AgentFailure } from "./agent.ts";
import { parseRelayMessage, promptLine, relayBytesMax, uuidOfRelay } from "./relay-message.ts";

const uuid = "3b241101-e2bb-4255-8caf-4136c566a962";

test("whatever the prompt, one line of JSON with our uuid is written", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", minLength: 1 }), (text) => {
      const message = parseRelayMessage(text);
      assert.ok(message.kind === "prompt");
      const line = promptLine(message.content, uuid);
      assert.equal(line.indexOf("\n"), line.length - 1);
      const { type, message: inner, uuid: written } = JSON.parse(line);
      assert.deepEqual([type, inner, written], ["user", { role: "user", content: text }, uuid]);
    }),
  );
});

test("a user message keeps its content and nothing else of the caller's", () => {
  const content = [{ type: "text", text: "hi", cache_control: { type: "ephemeral" } }];
  const message = parseRelayMessage({
    type: "user",
    uuid: "theirs",
    session_id: "theirs",
    isMeta: true,
    message: { role: "user", content, id: "x" },
  });
  assert.ok(message.kind === "prompt");
  assert.deepEqual(JSON.parse(promptLine(message.content, uuid)), {
    type: "user",
    message: { role: "user", content },
    parent_tool_use_id: null,
    session_id: "",
    uuid,
  });
});

test("takes JSON-RPC system/ping and system/info", () => {
  assert.deepEqual(parseRelayMessage({ jsonrpc: "2.0", id: "claude-test", method: "system/info", params: {} }), {
    kind: "json_rpc",
    id: "claude-test",
    method: "system/info",
  });
  assert.deepEqual(parseRelayMessage({ jsonrpc: "2.0", method: "system/ping" }), {
    kind: "json_rpc",
    id: null,
    method: "system/ping",
  });
});

test("refuses every other shape and says what is allowed", () => {
  const wrong: unknown[] = [
    ...["", null, undefined, 42, true, [], [1], {}],
    { type: "user" },
    { type: "user", message: { role: "assistant", content: "x" } },
    { type: "user", message: { role: "user", content: [] } },
    { type: "user", message: { role: "user", content: [{ type: "tool_result", tool_use_id: "t" }] } },
    {
      type: "control_request",
      request_id: "x",
      request: { subtype: "set_permission_mode", mode: "bypassPermissions" },
    },
    { jsonrpc: "2.0", id: 1, method: "message/send" },
  ];
  for (const message of wrong) {
    assert.throws(
      () => parseRelayMessage(message),
      (error) =>
        error instanceof AgentFailure &&
        error.kind === "invalid_message" &&
        /allowed are a string/u.test(error.message),
      JSON.stringify(message),
    );
  }
});

test("refuses what is over relayBytesMax", () => {
  assert.throws(() => promptLine("x".repeat(relayBytesMax), uuid), /at most 4194304 fit/u);
});

test("A2: a relay id that is a UUID is the key itself, any other gives always the same UUID", () => {
  assert.equal(uuidOfRelay(uuid.toUpperCase()), uuid);
  assert.equal(uuidOfRelay("relay-1"), uuidOfRelay("relay-1"));
  assert.notEqual(uuidOfRelay("relay-1"), uuidOfRelay("relay-2"));
  assert.match(uuidOfRelay("relay-1"), /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/u);
});
