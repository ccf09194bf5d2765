/**
 * Goal: every rule of JSON-RPC 2.0 about the shape of what comes in, and nothing that comes in throws.
 * Method: texts as they stand on the wire, beside the outcome that the standard asks for.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { encodeNotification, encodeRequest, parseInput, responseObject, type Message } from "./message.ts";

const limits = { depthMax: 8, batchLengthMax: 4 };
const parse = (text: string): readonly Message[] => parseInput(text, limits).messages;
const one = (text: string): Message => {
  const { batch, messages } = parseInput(text, limits);
  assert.equal(batch, false);
  assert.equal(messages.length, 1);
  return messages[0]!;
};
const codeOf = (message: Message): number | undefined => (message.kind === "invalid" ? message.error.code : undefined);
const text = (value: unknown): string => JSON.stringify(value);

describe("requests and notifications", () => {
  test("an id of every type is kept with its type", () => {
    for (const id of [0, -1, 1.5, 1e300, 9_007_199_254_740_991, "", "0", "null", "\u0000é🎉", null]) {
      const message = one(text({ jsonrpc: "2.0", id, method: "m" }));
      assert.equal(message.kind, "request");
      assert.strictEqual(message.id, id);
      const answered = JSON.parse(text(responseObject(message.id, 1, 2_500))) as { id: unknown };
      assert.strictEqual(answered.id, id);
    }
  });

  test("without an id it is a notification, also when it asks to belong to a request", () => {
    const plain = one(text({ jsonrpc: "2.0", method: "m", params: [1] }));
    assert.deepEqual(plain, { kind: "notification", method: "m", params: [1], requestId: undefined });
    for (const [given, expected] of [
      ["a", "a"],
      [0, 0],
      [null, undefined],
      [{}, undefined],
    ]) {
      const message = one(text({ jsonrpc: "2.0", method: "m", request_id: given }));
      assert.ok(message.kind === "notification");
      assert.deepEqual(message.requestId, expected);
    }
  });

  test("params are an object, an array or absent", () => {
    for (const params of [{}, [], { a: null }, undefined]) {
      const message = one(text({ jsonrpc: "2.0", id: 1, method: "m", params }));
      assert.ok(message.kind === "request");
      assert.deepEqual(message.params, params);
    }
    for (const params of [null, 1, "a", true]) {
      const message = one(text({ jsonrpc: "2.0", id: 1, method: "m", params }));
      assert.equal(codeOf(message), -32600, text(params));
      assert.ok(message.kind === "invalid" && message.id === 1);
    }
  });

  test("unknown fields are ignored; a token beside the parameters and the wish for a stream's end are kept", () => {
    const more = { authorization: "token", stream_end: true, timestamp: "yesterday", extra: {} };
    const message = one(text({ jsonrpc: "2.0", id: 1, method: "m", ...more }));
    assert.ok(message.kind === "request");
    assert.equal(message.authorization, "token");
    assert.equal(message.streamEnd, true);
    const odd = one(text({ jsonrpc: "2.0", id: 1, method: "", authorization: 1, stream_end: "yes" }));
    assert.ok(odd.kind === "request");
    assert.deepEqual([odd.method, odd.authorization, odd.streamEnd], ["", undefined, false]);
  });
});

describe("what is refused", () => {
  test("text that is no JSON is a parse error without an id", () => {
    const broken = ["", " ", "{", '{"jsonrpc":"2.0"', "undefined", "NaN", "'a'", '{"id":1}{"id":2}', "\u0000", "]"];
    for (const given of broken) {
      const message = one(given);
      assert.equal(codeOf(message), -32700, given);
      assert.ok(message.kind === "invalid" && message.id === null);
    }
  });

  test("JSON that is no message is an invalid request", () => {
    for (const given of ["null", "1", '"a"', "true", "{}", '{"jsonrpc":"2.0"}', '{"foo":"boo"}']) {
      assert.equal(codeOf(one(given)), -32600, given);
    }
    for (const version of [undefined, null, 2, "1.0", "2.00"]) {
      const message = one(text({ jsonrpc: version, id: 7, method: "m" }));
      assert.equal(codeOf(message), -32600);
      assert.ok(message.kind === "invalid" && message.id === 7, "an id that can be read is echoed");
    }
    for (const method of [1, null, {}, []]) assert.equal(codeOf(one(text({ jsonrpc: "2.0", id: 1, method }))), -32600);
  });

  test("an id that is neither text, number nor null is answered with null", () => {
    for (const id of ["{}", "[]", "true", "1e400"]) {
      const message = one(`{"jsonrpc":"2.0","id":${id},"method":"m"}`);
      assert.equal(codeOf(message), -32600, id);
      assert.ok(message.kind === "invalid" && message.id === null);
    }
  });

  test("precedence: depth before syntax, version before method before params", () => {
    assert.equal(codeOf(one("[".repeat(9))), -32600);
    const all = one(text({ jsonrpc: "1.0", id: 1, method: 5, params: 5 }));
    assert.ok(all.kind === "invalid" && all.error.message.includes("jsonrpc"));
    const two = one(text({ jsonrpc: "2.0", id: 1, method: 5, params: 5 }));
    assert.ok(two.kind === "invalid" && two.error.message.includes("method"));
  });
});

describe("batches", () => {
  const request = { jsonrpc: "2.0", id: 1, method: "m" };
  const notification = { jsonrpc: "2.0", method: "m" };

  test("an empty one and one that is too long are one error, not a batch", () => {
    assert.equal(codeOf(one("[]")), -32600);
    const long = one(text(Array(5).fill(request)));
    assert.equal(codeOf(long), -32600);
    assert.ok(long.kind === "invalid" && long.error.message.includes("4") && long.error.message.includes("5"));
    assert.equal(parse(text(Array(4).fill(request))).length, 4);
  });

  test("each message of a mixed one is judged alone, in order", () => {
    const { batch, messages } = parseInput(
      text([request, 1, notification, { jsonrpc: "2.0", id: 2, result: 3 }]),
      limits,
    );
    assert.ok(batch);
    assert.deepEqual(
      messages.map(({ kind }) => kind),
      ["request", "invalid", "notification", "response"],
    );
    assert.deepEqual(
      parse("[[],[1],null]").map((message) => codeOf(message)),
      [-32600, -32600, -32600],
    );
  });
});

describe("responses", () => {
  test("a result of any type, also null, is an answer", () => {
    for (const result of [null, 0, false, "", {}, []]) {
      const message = one(text({ jsonrpc: "2.0", id: "a", result }));
      assert.ok(message.kind === "response");
      assert.deepEqual(message.outcome, { result });
    }
  });

  test("an error keeps code, message and data; a malformed one is still an answer, so that nobody waits on (A1)", () => {
    const error = { code: 1101, message: "blocked", data: { error_type: "command_blocked" } };
    const message = one(text({ jsonrpc: "2.0", id: "a", error }));
    assert.ok(message.kind === "response");
    assert.deepEqual(message.outcome, { error });
    for (const malformed of [null, "no", 5, [], {}, { code: "1", message: "m" }, { code: 1 }, { message: "m" }]) {
      const answer = one(text({ jsonrpc: "2.0", id: "a", error: malformed }));
      assert.ok(answer.kind === "response" && "error" in answer.outcome, text(malformed));
      assert.equal(answer.outcome.error.code, -32603);
    }
    const odd = one(text({ jsonrpc: "2.0", id: "a", error: { code: 1, message: "m", data: "text" } }));
    assert.ok(odd.kind === "response" && "error" in odd.outcome && odd.outcome.error.data === undefined);
  });

  test("without an id, or with neither result nor error, it is invalid", () => {
    assert.equal(codeOf(one(text({ jsonrpc: "2.0", result: 1 }))), -32600);
    const nothing = one(text({ jsonrpc: "2.0", id: 3 }));
    assert.ok(nothing.kind === "invalid" && nothing.id === 3);
  });
});

test("what we send has a timestamp in seconds, and leaves out what is not there", () => {
  assert.deepEqual(JSON.parse(encodeRequest("a", "m", undefined, 1_500)), {
    jsonrpc: "2.0",
    id: "a",
    method: "m",
    timestamp: 1.5,
  });
  const extras = { authorization: "t", streamEnd: true } as const;
  const full = JSON.parse(encodeRequest(null, "m", [], 0, extras)) as Record<string, unknown>;
  assert.deepEqual([full.id, full.params, full.authorization, full.stream_end], [null, [], "t", true]);
  assert.deepEqual(JSON.parse(encodeNotification("m", {}, 250, 0)), {
    jsonrpc: "2.0",
    method: "m",
    params: {},
    request_id: 0,
    timestamp: 0.25,
  });
  assert.deepEqual(responseObject(1, undefined, 0), { jsonrpc: "2.0", id: 1, result: null, timestamp: 0 });
});
