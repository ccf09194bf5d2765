/**
 * Goal: the HTTP port bounds what anybody can take of it: connections, memory, time and answers, before the token and behind it.
 * Method: the real server and real sockets, written to byte by byte; a clock moved by hand where time matters.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemClock } from "@hl/core/clock.ts";
import { connectWebSocket } from "@hl/core/rpc/connect-websocket.ts";
import { ManualClock, settled } from "@hl/testkit/manual-clock.ts";
import { jwt, LocalServers, localToken, request } from "./local-server.fixture.test.ts";

const ping = request(1, "system/ping");
const slow = { requestsPerMinute: 60, burst: 3, strategy: "exponential" } as const;
const statuses = (text: string): number[] =>
  [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status));

describe("HTTP: who has no token", () => {
  test("is refused a few times on one connection, which is closed then", async () => {
    await using servers = await LocalServers.start();
    const stranger = (await servers.open("http")).send(servers.post("wrong", ping).repeat(100));
    await stranger.closed;
    assert.deepEqual(new Set(statuses(stranger.text)), new Set([401]));
    assert.equal(statuses(stranger.text).length, 16);
    assert.equal(servers.records.length, 16, "the others were not looked at");
    assert.equal(servers.slots.size, 0);
  });

  test("X3: is answered 429 with Retry-After over the rate of its address; refusals are records; the local token is not kept out", async () => {
    await using servers = await LocalServers.start({ clock: new ManualClock(), rate: slow });
    const stranger = (await servers.open("http")).send(servers.post(undefined, ping).repeat(5));
    assert.deepEqual(statuses(await stranger.until(/HTTP/, 5)), [401, 401, 401, 429, 429]);
    await stranger.until(/retry-after: 2/);
    assert.deepEqual(new Set(servers.records.map(({ from, method }) => `${from ?? ""} ${method}`)), new Set(["127.0.0.1 POST /rpc"])); // prettier-ignore
    const admin = (await servers.open("http")).send(servers.post(localToken, ping).repeat(50));
    await admin.until(/"pong":true/, 50);
  });

  test("a body that it announces is not read to its end only to be thrown away", async () => {
    await using servers = await LocalServers.start();
    for (const more of ["transfer-encoding: chunked", "content-length: 900000000"]) {
      const head = `POST /rpc HTTP/1.1\r\n${servers.host}\r\n${more}\r\n\r\n`;
      const stranger = (await servers.open("http")).send(head);
      await stranger.closed;
      assert.deepEqual(statuses(stranger.text), [401], more);
    }
  });

  test("GET /health is answered however often it is asked for, and read ten times a second at most", async () => {
    const clock = new ManualClock();
    await using servers = await LocalServers.start({ clock, rate: { ...slow, burst: 1 } });
    const get = `GET /health HTTP/1.1\r\n${servers.host}\r\n\r\n`;
    const anybody = (await servers.open("http")).send(get.repeat(200));
    assert.deepEqual(new Set(statuses(await anybody.until(/"status":"healthy"/, 200))), new Set([200]));
    assert.equal(servers.healthReads, 1);
    await clock.advance(60_000);
    anybody.send(get);
    await anybody.until(/"reads":2/); // Also behind login_timeout_seconds: health needs no login.
  });

  test("login_timeout_seconds: a head that is not finished, or comes a byte at a time, and silence are closed", async () => {
    const clock = new ManualClock();
    await using servers = await LocalServers.start({ clock, numbers: { loginTimeoutMs: 1_000 } });
    const half = (await servers.open("http")).send("POST /rpc HTTP/1.1\r\nx: ");
    const silent = await servers.open("http");
    const refused = (await servers.open("http")).send(servers.post(undefined, ping));
    const known = (await servers.open("http")).send(servers.post(localToken, ping));
    await refused.until(/401/);
    await known.until(/"pong":true/);
    await settled();
    await clock.advance(999);
    half.send("x");
    assert.equal(servers.slots.size, 4);
    await clock.advance(1);
    await Promise.all([half.closed, silent.closed, refused.closed]);
    known.send(servers.post(localToken, ping));
    await known.until(/"pong":true/, 2);
    assert.deepEqual(new Set(servers.reports), new Set(["no_login_in_time"]));
  });

  test("a refused upgrade is closed by the server, also where the other side keeps its half open", async () => {
    await using servers = await LocalServers.start({ clock: new ManualClock(), rate: slow });
    const upgrade = (token: string): string =>
      ["GET /rpc HTTP/1.1", servers.host, "upgrade: websocket", "connection: upgrade", "sec-websocket-version: 13", `authorization: Bearer ${token}`].join("\r\n"); // prettier-ignore
    const seen: number[][] = [];
    for (let index = 0; index < 4; index += 1) {
      const stranger = (await servers.open("http")).send(`${upgrade("wrong")}\r\n\r\n`);
      await stranger.closed;
      seen.push(statuses(stranger.text));
    }
    assert.deepEqual(seen, [[401], [401], [401], [429]]);
    assert.equal(servers.slots.size, 0);
  });
});

describe("HTTP: limits of callers and connections", () => {
  test("a token over its rate is answered 429 with Retry-After; a batch has an outcome for each message", async () => {
    const clock = new ManualClock();
    await using servers = await LocalServers.start({ clock, rate: slow });
    const anna = (await servers.open("http")).send(servers.post(jwt, ping).repeat(4));
    const text = await anna.until(/HTTP/, 4);
    assert.deepEqual(statuses(text), [200, 200, 200, 429]);
    assert.match(await anna.until(/1003/), /retry-after: 1\r\n/);
    await clock.advance(2_000);
    anna.send(servers.post(jwt, `[${ping},${ping},${ping}]`));
    await anna.until(/"pong":true/, 5);
    assert.deepEqual(statuses(await anna.until(/1003/, 2)).at(-1), 200);
    await clock.advance(1_000);
    const metrics = `GET /metrics HTTP/1.1\r\n${servers.host}\r\nauthorization: Bearer ${jwt}\r\n\r\n`;
    anna.send(metrics.repeat(2));
    assert.deepEqual(statuses(await anna.until(/HTTP/, 7)).slice(-2), [200, 429]);
    const admin = (await servers.open("http")).send(servers.post(localToken, ping).repeat(20));
    await admin.until(/"pong":true/, 20);
  });

  test("what is no message counts for the rate of its token", async () => {
    await using servers = await LocalServers.start({ clock: new ManualClock(), rate: slow });
    const anna = await servers.open("http");
    for (let count = 1; count <= 5; count += 1) await anna.send(servers.post(jwt, "garbage")).until(/HTTP/, count);
    assert.deepEqual(statuses(anna.text), [200, 200, 200, 429, 429]);
  });

  test("max_pending_requests: pipelined requests and batches over it are refused, and answers free their places", async () => {
    await using servers = await LocalServers.start({ numbers: { inFlightMax: 3 } });
    const run = (id: number): string => request(id, "command/execute", { command_id: `c${id}`, command: "x" });
    const caller = (await servers.open("http")).send(servers.post(localToken, run(1)).repeat(5));
    while (servers.records.length < 2) await settled(); // The refusals, whose answers wait for those before them.
    servers.gate.resolve({ done: true });
    assert.deepEqual(statuses(await caller.until(/HTTP/, 5)).toSorted(), [200, 200, 200, 429, 429]);
    caller.send(servers.post(localToken, `[${[1, 2, 3, 4, 5].map(run).join(",")}]`));
    await caller.until(/"done":true/, 6);
    assert.match(await caller.until(/3 requests of this connection are in progress/, 4), /HTTP/);
    caller.send(servers.post(localToken, ping));
    await caller.until(/"pong":true/);
  });

  test("max_connections: strangers and idle connections give their places to newcomers, requests in progress do not", async () => {
    await using servers = await LocalServers.start({ connectionsMax: 4 });
    const busy = (await servers.open("http")).send(servers.post(localToken, request(1, "command/execute", { command_id: "c", command: "x" }))); // prettier-ignore
    const idle = (await servers.open("http")).send(servers.post(localToken, ping));
    await idle.until(/"pong":true/);
    const stranger = await servers.open("http");
    await settled();
    await settled();
    for (let index = 0; index < 6; index += 1) {
      const late = (await servers.open("http")).send(servers.post(localToken, ping));
      await late.until(/"pong":true/);
      await settled();
    }
    await Promise.all([stranger.closed, idle.closed]);
    assert.equal(servers.slots.size, 3);
    servers.gate.resolve({ done: true });
    await busy.until(/"done":true/);
  });

  test("idle_timeout_seconds: a silent WebSocket is closed, and its place is free", async () => {
    const clock = new ManualClock();
    await using servers = await LocalServers.start({ clock, numbers: { idleTimeoutMs: 5_000 } });
    const webSocket = await connectWebSocket({
      url: `ws://${servers.http.address}/rpc`,
      headers: { authorization: `Bearer ${localToken}` },
      messageBytesMax: 1_000_000,
      timeoutMs: 10_000,
    });
    const answered = new Promise((resolve) => webSocket.once("message", resolve));
    const closed = new Promise((resolve) => webSocket.once("close", resolve));
    webSocket.resume();
    webSocket.send(ping);
    await answered;
    await clock.advance(4_999);
    assert.equal(servers.slots.size, 1);
    await clock.advance(1);
    await closed;
  });

  test("a body that comes a byte at a time is given up: a request has a time as a whole", async () => {
    await using servers = await LocalServers.start({ limits: { partialMessageMs: 300 } });
    const trickle = await servers.open("http");
    trickle.send(servers.post(localToken, "", []).replace("content-length: 0", "content-length: 1000"));
    while (!trickle.socket.destroyed) {
      trickle.send("x");
      await systemClock.sleep(50);
    }
    assert.deepEqual(statuses(trickle.text), [408]);
  });

  test("P7: a reader that takes nothing of its answer is cut off, a slow one is not", async () => {
    const clock = new ManualClock();
    await using servers = await LocalServers.start({ clock, limits: { writeDeadlineMs: 1_000 } });
    servers.gate.resolve({ text: "x".repeat(32_000_000) });
    const reader = await servers.open("http");
    reader.socket.pause();
    reader.send(servers.post(localToken, request(1, "command/execute", { command_id: "c", command: "x" })));
    while (servers.records.length === 0) await settled();
    for (let turn = 0; turn < 50; turn += 1) await settled();
    await clock.advance(999);
    assert.equal(servers.slots.size, 1);
    await clock.advance(1);
    for (let turn = 0; turn < 50; turn += 1) await settled();
    assert.deepEqual([servers.slots.size, servers.reports], [0, ["reader_too_slow"]]);
    reader.socket.resume();
    await reader.closed;
  });
});
