/** Goal: every failure leaves as the contract's error object, tells a caller what to do, and tells an attacker nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RpcError } from "@hl/core/rpc/error.ts";
import { errorTable, HlError, type ErrorType } from "./errors.ts";
import { fromRpcError, toWireError } from "./wire-error.ts";

const quiet = { stackTrace: false };

test("an expected error carries its type, the request, help, retry and its facts", () => {
  for (const [type, spec] of Object.entries(errorTable)) {
    const error = new HlError(type as ErrorType, "quotes /the/path", { path: "/the/path" });
    assert.deepEqual(toWireError(error, 7, quiet), {
      code: spec.code,
      message: "quotes /the/path",
      data: { error_type: type, request_id: "7", help: spec.help, retry: spec.retry, path: "/the/path" },
    });
  }
});

test("X4: a bug says nothing of itself to the caller, and all of it to the log with the same request id", () => {
  const told: unknown[] = [];
  const options = { stackTrace: false, onInternal: (error: unknown, id: string) => told.push(error, id) };
  for (const thrown of [new TypeError("secret at /home/x"), "a text", undefined, null]) {
    const wire = toWireError(thrown, "r-1", options);
    assert.equal(wire.code, -32603);
    assert.equal(wire.data?.error_type, "internal_error");
    assert.ok(!JSON.stringify(wire).includes("secret"));
    assert.deepEqual(told.splice(0), [thrown, "r-1"]);
  }
  toWireError(new HlError("queue_full", "full"), 1, options);
  assert.deepEqual(told, [], "an expected error is no bug");
});

test("a stack only in test mode", () => {
  for (const error of [new Error("a bug"), new HlError("queue_full", "full")]) {
    assert.ok(!("stack_trace" in (toWireError(error, 1, quiet).data ?? {})));
    assert.match(String(toWireError(error, 1, { stackTrace: true }).data?.stack_trace), /wire-error\.test/);
  }
  assert.ok(!("stack_trace" in (toWireError("a text", 1, { stackTrace: true }).data ?? {})));
});

test("an error that came from elsewhere keeps its code and data, and gets what the table knows of it", () => {
  const known = toWireError(new RpcError(1101, "blocked", { command: "sudo", help: "their own" }), null, quiet);
  assert.deepEqual(known, {
    code: 1101,
    message: "blocked",
    data: {
      error_type: "command_blocked",
      request_id: "null",
      help: "their own",
      retry: "never",
      command: "sudo",
    },
  });
  const unknown = JSON.parse(JSON.stringify(toWireError(new RpcError(9999, "strange"), "a", quiet))) as unknown;
  assert.deepEqual(unknown, { code: 9999, message: "strange", data: { request_id: "a" } });
});

test("what came over the wire becomes one of ours again, with its cause; anything else stays what it is", () => {
  const sent = toWireError(new HlError("process_limit", "32 are running", { running: 32 }), 1, quiet);
  const received = fromRpcError(new RpcError(sent.code, sent.message, sent.data));
  assert.ok(received instanceof HlError);
  assert.deepEqual([received.type, received.message, received.facts.running], ["process_limit", "32 are running", 32]);
  assert.ok(received.cause instanceof RpcError);
  const strange = new RpcError(9999, "strange");
  assert.equal(fromRpcError(strange), strange);
  assert.equal(fromRpcError("text"), "text");
});
