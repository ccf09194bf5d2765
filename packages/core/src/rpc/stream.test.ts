import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../clock.ts";
import { memoryTransports } from "./memory.ts";
import { Peer } from "./peer.ts";

// Goal: a stream's notifications never come before the answer that opens it.
// Method: a handler whose producer notifies without waiting for anything; the order in which the caller's transport gets the messages.
test("what a stream notifies follows the answer", async () => {
  const [left, right] = memoryTransports();
  const served = new Peer({
    transport: right,
    clock: systemClock,
    handler: {
      async request(_message, call) {
        call.stream(() => call.notify("tick", {}));
        await Promise.resolve();
        return "opened";
      },
      describe: () => ({ code: -32603, message: "unexpected" }),
    },
  }).open();
  const order: string[] = [];
  const ticked = Promise.withResolvers<undefined>();
  left.open({
    message: (text) => {
      const message = JSON.parse(text) as { method?: string; result?: string };
      order.push(message.method ?? message.result ?? text);
      if (message.method === "tick") ticked.resolve(undefined);
    },
    problem: (problem) => order.push(problem.message),
    closed: () => {},
  });
  await left.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "open" }));
  await ticked.promise;
  assert.deepEqual(order, ["opened", "tick"]);
  served.close("done");
});
