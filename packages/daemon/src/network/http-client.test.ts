/**
 * Goal: `connectionsMax` holds: what finds no connection waits for one.
 * Method: a real server that answers when it is told to.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { test } from "node:test";
import { until } from "@hl/testkit/waiting.ts";
import { HttpClient } from "./http-client.ts";

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
    (await client.request(`http://127.0.0.1:${port}/`, { method: "GET" })).body.text();
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
