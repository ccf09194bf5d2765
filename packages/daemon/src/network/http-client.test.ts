/**
 * Goal: `connectionsMax` holds: what finds no connection waits for one. A request ends with the reason of its signal wherever it is, and with
 * an error when its server goes or gives no answer.
 * Method: a real server that answers when it is told to.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener, type Server, type ServerResponse } from "node:http";
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { until } from "@hl/testkit/waiting.ts";
import { HttpClient, type HttpClientOptions } from "./http-client.ts";

test("connectionsMax: one request more than connections waits for the end of another", async () => {
  const waiting: ServerResponse[] = [];
  let connections = 0;
  const server = createServer((_request, response) => void waiting.push(response));
  server.on("connection", () => (connections += 1));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  await using client = new HttpClient({
    connectionsMax: 2,
    connect: async () => {
      const socket = connect(port, "127.0.0.1");
      await once(socket, "connect");
      return socket;
    },
  });
  const ask = async (): Promise<string> =>
    text((await client.request(`http://127.0.0.1:${port}/`, { method: "GET" })).body);
  const answers = Promise.all([ask(), ask(), ask()]);
  await until("two requests", () => waiting.length === 2);
  assert.equal(connections, 2);
  waiting[0]?.end("one");
  await until("the third request", () => waiting.length === 3);
  assert.equal(connections, 2);
  for (const response of waiting.slice(1)) response.end("other");
  assert.deepEqual([...(await answers)].sort(), ["one", "other", "other"]);
  server.close();
});

/** A server, a client of it with one connection, and how many connections were opened. */
async function world(listener: RequestListener, changes: Partial<HttpClientOptions> = {}): Promise<World> {
  const server = createServer(listener);
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const opened: Socket[] = [];
  const client = new HttpClient({
    connectionsMax: 1,
    connect: async () => {
      const socket = connect(port, "127.0.0.1");
      opened.push(socket);
      await once(socket, "connect");
      return socket;
    },
    ...changes,
  });
  const dispose = async (): Promise<void> => {
    await client[Symbol.asyncDispose]();
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${port}/`, server, client, opened, [Symbol.asyncDispose]: dispose };
}

interface World extends AsyncDisposable {
  readonly url: string;
  readonly server: Server;
  readonly client: HttpClient;
  readonly opened: readonly Socket[];
}

test("a connection is kept for the next request, with what was sent counted in bytes", async () => {
  const seen: unknown[] = [];
  await using there = await world((request, response) => {
    void text(request).then((body) => {
      seen.push([request.method, request.headers["content-length"], request.headers.host, body]);
      response.end("read");
    });
  });
  for (const body of ["é", Buffer.from("bytes"), undefined]) {
    const method = body === undefined ? "DELETE" : "POST";
    assert.equal(await text((await there.client.request(there.url, { method, body })).body), "read");
  }
  const { host } = new URL(there.url);
  assert.deepEqual(seen, [
    ["POST", "2", host, "é"],
    ["POST", "5", host, "bytes"],
    ["DELETE", undefined, host, ""],
  ]);
  assert.equal(there.opened.length, 1);
});

test("keepsConnections: where it is false each request has a connection of its own, which ends with the answer", async () => {
  const heads: unknown[] = [];
  const listener: RequestListener = ({ headers }, response) => {
    heads.push(headers.connection);
    response.end("read");
  };
  await using there = await world(listener, { keepsConnections: false });
  for (let count = 0; count < 3; count += 1)
    assert.equal(await text((await there.client.request(there.url, { method: "GET" })).body), "read");
  assert.deepEqual(heads, ["close", "close", "close"]);
  assert.equal(there.opened.length, 3);
  await until("all to be closed", () => there.opened.every(({ closed }) => closed));
});

test("a signal ends a request before its connection, before its answer and in its answer, with its reason", async () => {
  const inBody = Promise.withResolvers<undefined>();
  await using there = await world(({ url }, response) => {
    if (url === "/body") response.write("half", () => inBody.resolve(undefined));
  });
  const reason = new Error("no longer wanted");
  const first = new AbortController();
  const busy = there.client.request(there.url, { method: "GET", signal: first.signal });
  const second = new AbortController();
  const waiting = there.client.request(there.url, { method: "GET", signal: second.signal });
  second.abort(reason);
  await assert.rejects(waiting, reason);
  first.abort(reason);
  await assert.rejects(busy, reason);
  const third = new AbortController();
  const { body } = await there.client.request(`${there.url}body`, { method: "GET", signal: third.signal });
  await inBody.promise;
  third.abort(reason);
  await assert.rejects(text(body), reason);
  await assert.rejects(there.client.request(there.url, { method: "GET", signal: AbortSignal.abort(reason) }), reason);
});

test("no connection, a connection that ends before or in the answer, a protocol nobody asked for: each is an error", async () => {
  await using there = await world(({ url, socket }, response) => {
    if (url === "/none") socket.destroy();
    else if (url === "/half") {
      response.writeHead(200, { "content-length": "10" });
      response.write("half", () => socket.destroy());
    } else socket.end("HTTP/1.1 101 Switching Protocols\r\nupgrade: other\r\nconnection: upgrade\r\n\r\n");
  });
  const ask = async (path: string): Promise<string> =>
    text((await there.client.request(there.url + path, { method: "GET" })).body);
  await assert.rejects(ask("none"), /socket hang up/);
  await assert.rejects(ask("half"), /aborted/);
  await assert.rejects(ask("other"));
  await assert.rejects(
    there.client.request(there.url, { method: "GET", headers: { token: "a\nb" } }),
    /Invalid character/,
  );
  await assert.rejects(ask("none"), /socket hang up/, "each has given its place back");
  await using nobody = new HttpClient({ connectionsMax: 1, connect: () => Promise.reject(new Error("not there")) });
  await assert.rejects(nobody.request(there.url, { method: "GET" }), /not there/);
});

test("a server that answers before it has read everything, and reads no more, keeps nobody's place", async () => {
  let asked = 0;
  const server = createTcpServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => {
      asked += 1;
      socket.pause();
      socket.write("HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno");
    });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const open = async (): Promise<Socket> => {
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    return socket;
  };
  await using client = new HttpClient({ connectionsMax: 1, connect: open });
  const body = Buffer.alloc(32 * 1024 * 1024);
  for (let n = 1; n <= 2; n += 1) {
    const answer = await client.request(`http://127.0.0.1:${port}/`, { method: "POST", body });
    assert.deepEqual([answer.statusCode, await text(answer.body), asked], [413, "no", n]);
  }
  server.close();
});

test("whoever is asked when the daemon stops is let go, with that as the reason", async () => {
  await using there = await world(() => {});
  const asked = there.client.request(there.url, { method: "GET" });
  await once(there.server, "request");
  await there.client[Symbol.asyncDispose]();
  await assert.rejects(asked, /the daemon is stopping/);
});
