/** Goal: a transport over two one-way streams keeps the contract of transports. Method: two of them joined by functions that cut what is written into odd pieces. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../clock.ts";
import { LineTransport } from "./line-transport.ts";
import { ConnectionClosed, Peer } from "./peer.ts";

function joined(lineBytesMax = 1_000_000): [LineTransport, LineTransport] {
  const make = (other: () => LineTransport): LineTransport =>
    new LineTransport({
      lineBytesMax,
      write: async (bytes) => {
        for (let at = 0; at < bytes.length; at += 7) other().receive(bytes.subarray(at, at + 7));
      },
      close: () => queueMicrotask(() => other().end("the other side closed the connection")),
    });
  const left: LineTransport = make(() => right);
  const right: LineTransport = make(() => left);
  return [left, right];
}

test("requests and answers of any size arrive whole, with every character", async () => {
  const [left, right] = joined();
  new Peer({
    transport: right,
    clock: systemClock,
    handler: { request: async ({ params }) => params, describe: () => ({ code: 1, message: "" }) },
  }).open();
  const peer = new Peer({ transport: left, clock: systemClock }).open();
  const params = ["Grüße\n🙂", "x".repeat(100_000)];
  assert.deepEqual(await peer.request("echo", params), params);
  peer.close("done");
  await assert.rejects(peer.request("echo", params), ConnectionClosed);
});

test("A1: what waits for an answer is told when the other side ends, and nothing can be sent any more", async () => {
  const [left, right] = joined();
  right.open({ message: () => {}, problem: () => {}, closed: () => {} });
  const peer = new Peer({ transport: left, clock: systemClock }).open();
  const waiting = peer.request("never", {});
  right.close("done");
  await assert.rejects(waiting, ConnectionClosed);
  await assert.rejects(left.send("late"), /closed/);
});

test("a line that is too long, or no text, is a problem, and the next one is read", () => {
  const [left] = joined(20);
  const seen: string[] = [];
  left.open({
    message: (text) => seen.push(text),
    problem: ({ kind }) => seen.push(kind),
    closed: (reason) => seen.push(reason),
  });
  left.receive(Buffer.from(`${"x".repeat(30)}\nfine\n\n`));
  left.receive(Buffer.from([0xff, 0x0a]));
  left.receive(Buffer.from("last\n"));
  left.end("over");
  left.end("twice");
  left.receive(Buffer.from("too late\n"));
  assert.deepEqual(seen, ["too_large", "fine", "not_text", "last", "over"]);
});
