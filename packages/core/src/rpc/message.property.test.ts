/**
 * Goal: whatever comes in, parsing neither throws nor walks deeper than its limit, and a message that we write is read back.
 * Method: generated JSON, generated damage to valid messages, and a slow reference for the count of brackets.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeNotification, encodeRequest, nestingExceeds, parseInput, type Message } from "./message.ts";

const kinds = new Set<Message["kind"]>(["request", "notification", "response", "invalid"]);

function judged(text: string): void {
  const { batch, messages } = parseInput(text);
  assert.ok(batch || messages.length === 1);
  for (const message of messages) assert.ok(kinds.has(message.kind));
}

test("any JSON and any text is judged without throwing", () => {
  fc.assert(fc.property(fc.json({ maxDepth: 70 }), judged));
  fc.assert(fc.property(fc.string({ unit: "binary" }), judged));
});

const member = fc.constantFrom("jsonrpc", "id", "method", "params", "result", "error", "request_id", "__proto__");
const messageLike = fc.dictionary(member, fc.oneof(fc.constant("2.0"), fc.jsonValue()));

test("any object with the members of a message is judged without throwing", () => {
  fc.assert(fc.property(fc.oneof(messageLike, fc.array(messageLike)), (value) => judged(JSON.stringify(value))));
});

const valid = fc.record({
  jsonrpc: fc.constant("2.0"),
  id: fc.string(),
  method: fc.string(),
  params: fc.dictionary(fc.string(), fc.jsonValue()),
});

test("a valid message with one place damaged is judged without throwing", () => {
  fc.assert(
    fc.property(
      valid,
      fc.nat(),
      fc.nat({ max: 8 }),
      fc.string({ unit: "binary", maxLength: 4 }),
      (value, at, cut, put) => {
        const text = JSON.stringify(value);
        const from = at % (text.length + 1);
        judged(text.slice(0, from) + put + text.slice(from + cut));
      },
    ),
  );
});

test("what we write is what the other side reads", () => {
  const id = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.constant(null),
  );
  const params = fc.oneof(fc.dictionary(fc.string(), fc.jsonValue()), fc.array(fc.jsonValue()));
  fc.assert(
    fc.property(id, fc.string(), params, (given, method, body) => {
      const [request] = parseInput(encodeRequest(given, method, body, 0)).messages;
      assert.ok(request?.kind === "request" && request.method === method);
      assert.equal(request.id, given === 0 ? 0 : given); // JSON has no negative zero.
      assert.deepEqual(request.params, JSON.parse(JSON.stringify(body)));
      const [notification] = parseInput(encodeNotification(method, body, 0)).messages;
      assert.ok(notification?.kind === "notification" && notification.requestId === undefined);
    }),
  );
});

/** Takes out the strings first, then counts: slow, and obviously right. */
function deepest(text: string): number {
  let depth = 0;
  let most = 0;
  for (const sign of text.replace(/"(?:\\.|[^"\\])*("|\\?$)/gs, "")) {
    if (sign === "[" || sign === "{") most = Math.max(most, ++depth);
    if (sign === "]" || sign === "}") depth -= 1;
  }
  return most;
}

test("nestingExceeds agrees with the reference on JSON and on any text of brackets, quotes and backslashes", () => {
  const soup = fc.string({ unit: fc.constantFrom("[", "]", "{", "}", '"', "\\", "a", "\n"), maxLength: 60 });
  const max = fc.integer({ min: 0, max: 6 });
  fc.assert(
    fc.property(fc.oneof(soup, fc.json({ maxDepth: 8 })), max, (text, depthMax) => {
      assert.equal(nestingExceeds(text, depthMax), deepest(text) > depthMax);
    }),
    { numRuns: 2_000 },
  );
});

test("brackets within strings do not count, whatever is escaped before them", () => {
  const brackets = "[{".repeat(100);
  for (const inside of [brackets, `\\"${brackets}`, `\\\\\\"${brackets}`, `${brackets}\\\\`]) {
    const text = `{"a":"${inside}"}`;
    assert.equal(nestingExceeds(text, 1), false, text);
    assert.ok(JSON.parse(text));
  }
  assert.equal(nestingExceeds(`{"a":"\\\\"${brackets}`, 64), true, "the string ended before them");
});

test("P7: depth is judged before the text is parsed, and a long escaped string takes no quadratic time", () => {
  for (const deep of ["[".repeat(5_000_000), '{"a":'.repeat(1_000_000)]) {
    const [message] = parseInput(deep).messages;
    assert.ok(message?.kind === "invalid" && message.error.code === -32600);
  }
  const quotes = JSON.stringify({
    jsonrpc: "2.0",
    id: 1,
    method: "m",
    params: ['"'.repeat(3_000_000), "\\".repeat(3_000_000)],
  });
  assert.equal(parseInput(quotes).messages[0]?.kind, "request");
});
