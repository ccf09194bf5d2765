/**
 * Goal: the faults of the path are what their names say, and the tap counts what the cloud took. Method: a plain HTTP server behind the
 * proxy, and bytes through it.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { http } from "@hl/testkit/http.ts";
import { until } from "@hl/testkit/waiting.ts";
import { PathProxy } from "./path-proxy.ts";
import { UplinkTap } from "./uplink-tap.ts";

interface Server extends AsyncDisposable {
  readonly url: string;
  readonly bodies: Buffer[];
}

async function startServer(): Promise<Server> {
  const bodies: Buffer[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      bodies.push(Buffer.concat(parts));
      response.end("cloud");
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bodies,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A connection and all that came on it. */
async function open(url: string): Promise<{ socket: Socket; text: () => string; closed: Promise<unknown> }> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  let text = "";
  socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
  socket.on("error", () => {});
  const closed = new Promise((resolve) => socket.once("close", resolve));
  await once(socket, "connect");
  return { socket, text: () => text, closed };
}

const request = (body: string): string => `POST / HTTP/1.1\r\nhost: a\r\ncontent-length: ${body.length}\r\n\r\n${body}`;

test("an open path changes nothing, and a cut one ends without a word", async () => {
  await using server = await startServer();
  await using proxy = await PathProxy.start(server.url);
  assert.equal((await http(proxy.url, { body: "x".repeat(1_000_000) })).text, "cloud");
  assert.equal(server.bodies[0]?.length, 1_000_000);
  const { socket, closed, text } = await open(proxy.url);
  socket.write("POST / HTTP/1.1\r\n");
  await until("the connection to be there", () => {
    proxy.cut();
    return proxy.cuts > 0;
  });
  await closed;
  assert.equal(text(), "");
});

test("a dark path swallows from the middle of a body on, and the connection stays dark when the path is open again", async () => {
  await using server = await startServer();
  await using proxy = await PathProxy.start(server.url);
  const { socket, text } = await open(proxy.url);
  proxy.set({ kind: "dark", afterBytes: 60 });
  const sent = request("y".repeat(500));
  socket.write(sent);
  await until("it to be swallowed", () => proxy.swallowedBytes === sent.length - 60);
  proxy.set({ kind: "open" });
  assert.equal((await http(proxy.url, { body: "fresh" })).text, "cloud");
  socket.write("z".repeat(500));
  await until("the rest to be swallowed too", () => proxy.swallowedBytes === sent.length + 440);
  assert.deepEqual([server.bodies.map(String), text()], [["fresh"], ""]);
  socket.destroy();
});

test("something in between answers: without the cloud, or after it", async () => {
  await using server = await startServer();
  await using proxy = await PathProxy.start(server.url);
  const answer = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nhtml";
  proxy.set({ kind: "answering", answer, when: "before" });
  assert.equal((await http(proxy.url, { body: "never" })).text, "html");
  proxy.set({ kind: "answering", answer, when: "after" });
  assert.equal((await http(proxy.url, { body: "taken" })).text, "html");
  assert.deepEqual(server.bodies.map(String), ["taken"]);
});

test("a slow path passes one byte a second, and everything when it is over", async () => {
  await using server = await startServer();
  await using proxy = await PathProxy.start(server.url);
  proxy.set({ kind: "slow" });
  const { socket, text } = await open(proxy.url);
  socket.write(request("z".repeat(200_000)));
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(server.bodies.length, 0);
  proxy.set({ kind: "open" });
  await until("the answer", () => text().endsWith("cloud"));
  assert.equal(server.bodies[0]?.length, 200_000);
  socket.destroy();
});

test("the tap counts the events of a batch that the cloud took, also one whose answer was lost", async () => {
  await using server = await startServer();
  await using proxy = await PathProxy.start(server.url);
  const event = (event_type: string): object => ({ method: "event/stream", params: { event_type } });
  const body = gzipSync(JSON.stringify([event("oracle.event"), event("audit"), event("oracle.event")]));
  const send = (): Promise<unknown> =>
    http(`${proxy.url}/v1/vm/events`, { body, headers: { "content-encoding": "gzip" } });
  await send();
  proxy.set({ kind: "answering", answer: "HTTP/1.1 429 No\r\ncontent-length: 0\r\n\r\n", when: "after" });
  await send();
  proxy.set({ kind: "answering", answer: "HTTP/1.1 429 No\r\ncontent-length: 0\r\n\r\n", when: "before" });
  await send();
  assert.equal(proxy.copies, 4);
});

test("the tap counts behind a poll on the same connection too, and looks away from a WebSocket", () => {
  const counts: number[] = [];
  const tap = new UplinkTap((count) => void counts.push(count));
  const body = JSON.stringify([{ method: "event/stream", params: { event_type: "oracle.event" } }]);
  const post = `POST /v1/vm/events HTTP/1.1\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  const ok = Buffer.from("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]");
  tap.sent(Buffer.from("GET /v1/vm/commands HTTP/1.1\r\nhost: cloud\r\n\r\n"));
  tap.answered(ok);
  tap.sent(Buffer.from(post));
  tap.answered(ok);
  assert.deepEqual(counts, [1]);
  tap.sent(Buffer.from("GET /v1/vm/commands HTTP/1.1\r\nupgrade: websocket\r\n\r\n"));
  tap.sent(Buffer.from(post));
  tap.answered(ok);
  assert.deepEqual(counts, [1]);
});
