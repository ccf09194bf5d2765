/**
 * Goal: P5: a reader that takes nothing costs one buffer, delays nobody and is cut; one that reads again before that loses nothing.
 * Method: a real HTTP connection whose other end stops reading, an endless store, a clock moved by hand.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import test, { type TestContext } from "node:test";
import { ManualClock, settled } from "@hl/testkit/manual-clock.ts";
import type { EventRecord } from "../store/store.ts";
import { EventReader } from "./event-reader.ts";

const body = "x".repeat(10_000);
const pageLength = 100;

interface Stalled {
  readonly clock: ManualClock;
  readonly response: ServerResponse;
  readonly client: Socket;
  readonly pages: () => number;
  readonly ended: Promise<void>;
}

/** A reader of an endless store, after its client has stopped reading and the kernel's buffers are full. */
async function stall(t: TestContext): Promise<Stalled> {
  const clock = new ManualClock();
  let pages = 0;
  const page = async (after: number): Promise<readonly EventRecord[]> => {
    pages += 1;
    return Array.from({ length: pageLength }, (_, index) => ({ row: after + 1 + index, receivedAtMs: 1, body }));
  };
  const opened = Promise.withResolvers<ServerResponse>();
  const server = createServer((_request, response) => opened.resolve(response)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  t.after(() => {
    client.destroy();
    server.close();
  });
  client.pause();
  client.write("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
  const response = await opened.promise;
  const reader = new EventReader({
    response,
    headers: {},
    clock,
    stopping: new AbortController().signal,
    cursor: 0,
    page,
    changed: () => new Promise(() => {}),
    format: (record) => `id: ${record.row}\ndata: ${record.body}\n\n`,
  });
  const ended = reader.run();
  // It writes until nothing is taken any more: for many turns of the loop no event has gone and its deadline is set.
  for (let quiet = 0, last = -1; quiet < 200; quiet = last === response.writableLength ? quiet + 1 : 0) {
    last = response.writableLength;
    await settled();
  }
  assert.equal(clock.timers, 1);
  return { clock, response, client, pages: () => pages, ended };
}

test("P5: a reader that takes nothing holds one event beyond its buffer, and is cut after 30 s", async (t) => {
  const { clock, response, pages, ended } = await stall(t);
  assert.ok(
    response.writableLength <= response.writableHighWaterMark + body.length + 100,
    `${response.writableLength}`,
  );
  const asked = pages();
  await clock.advance(29_999);
  assert.equal(response.destroyed, false);
  await clock.advance(1);
  await ended;
  assert.deepEqual([response.destroyed, pages(), clock.timers], [true, asked, 0]);
});

test("P5: a reader that reads again before that gets every event in order", async (t) => {
  const { clock, client, pages, ended } = await stall(t);
  await clock.advance(29_000);
  const wanted = (pages() + 2) * pageLength;
  let text = "";
  let seen = 0;
  client.setEncoding("latin1").on("data", (chunk: string) => {
    text += chunk;
    for (const [, row] of text.matchAll(/id: (\d+)\ndata: x+\r?\n/g)) {
      if (Number(row) > seen) assert.equal(Number(row), ++seen);
    }
    text = text.slice(Math.max(0, text.lastIndexOf("id: ")));
    if (seen >= wanted) client.destroy();
  });
  client.resume();
  await once(client, "close");
  await ended;
  assert.ok(seen >= wanted);
});
