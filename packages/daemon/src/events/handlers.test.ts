/** Goal: who follows events is told when they can no longer be read. Method: the handler over events whose store refuses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { HlError } from "@hl/protocol/errors.ts";
import type { MethodCall } from "@hl/protocol/method.ts";
import type { Events } from "./events.ts";
import { eventHandlers } from "./handlers.ts";

type Producer = (signal: AbortSignal) => Promise<void>;

async function followed(error: Error, signal: AbortSignal): Promise<unknown[]> {
  const events = { epoch: "e", nextSeq: 8, follow: () => Promise.reject(error) } as unknown as Events;
  const told: unknown[] = [];
  const producers: Producer[] = [];
  const call = {
    ...{ id: 1, signal, canNotify: true, caller: { role: "admin", subject: "test", via: "socket" } },
    notify: async (...message: unknown[]) => void told.push(message),
    stream: (producer: Producer) => void producers.push(producer),
  } as unknown as MethodCall;
  await eventHandlers(events)["event/subscribe"]({}, call);
  for (const producer of producers) await producer(signal);
  return told;
}

test("a store that refuses ends the stream with a word; a reader that has left is told nothing", async () => {
  const here = new AbortController().signal;
  const refusal = new HlError("internal_error", "the database is being made anew");
  assert.deepEqual(await followed(refusal, here), [
    ["stream/closed", { reason: "failed", message: "the database is being made anew" }],
  ]);
  assert.deepEqual(await followed(new Error("SQLITE_CORRUPT in /secret/path"), here), [
    ["stream/closed", { reason: "failed", message: "events cannot be read at the moment" }],
  ]);
  assert.deepEqual(await followed(refusal, AbortSignal.abort()), []);
});
