/**
 * Goal: X3 and S4 at the door that every process of this machine can reach, also a sandboxed one: what comes without a token gets
 * health and refusals, a body over the limit is never held, and no request of any shape ends the daemon.
 * Method: the real server on loopback, requests written byte by byte. An exception in a handler of the server would fail the test.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { connect, type Socket } from "node:net";
import { describe, test } from "node:test";
import { systemClock } from "@hl/core/clock.ts";
import { defaultTransportLimits } from "@hl/core/rpc/transport.ts";
import { shippedRoles } from "@hl/protocol/permissions.ts";
import { CallerLimits } from "./caller-limits.ts";
import { ConnectionSlots } from "./connection-slots.ts";
import { HttpServer } from "./http-server.ts";
import { localTokenAuthenticator } from "./local-token.ts";
import { SessionFactory, type SessionFactoryOptions } from "./session.ts";

const token = "hl_local_0123456789012345678901234567890";
const authorization = `authorization: Bearer ${token}`;

interface Served extends AsyncDisposable {
  readonly host: string;
  /** Sends bytes as they are and answers all that comes back until the other side closes. */
  raw(...parts: string[]): Promise<string>;
  /** A request with Host and `Connection: close`. */
  ask(line: string, headers?: readonly string[], body?: string): Promise<string>;
}

async function serve(): Promise<Served> {
  const handlers = { "system/ping": async () => ({ pong: true }) } as unknown as SessionFactoryOptions["handlers"];
  const server = new HttpServer({
    host: "127.0.0.1",
    port: 0,
    clock: systemClock,
    limits: { ...defaultTransportLimits, messageBytesMax: 1_000 },
    slots: new ConnectionSlots(10),
    numbers: { inFlightMax: 10, loginTimeoutMs: 10_000, idleTimeoutMs: 10_000 },
    report: () => {},
    allowedOrigins: [],
    session: new SessionFactory({
      handlers,
      authenticate: localTokenAuthenticator(token),
      roles: shippedRoles,
      clock: systemClock,
      wireError: { stackTrace: false },
      limits: new CallerLimits({ requestsPerMinute: 1e6, burst: 1e6, strategy: "constant" }, systemClock),
      observe: () => {},
    }),
    health: () => ({ status: "healthy" }),
    metrics: () => "hl 1\n",
    openRpc: () => ({}),
  });
  await server.start();
  const port = Number(server.address.split(":").at(-1));
  const host = `host: 127.0.0.1:${port}`;
  const raw = async (...parts: string[]): Promise<string> => {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
    socket.on("error", () => {}); // A reset is an answer too.
    const closed = once(socket, "close");
    for (const part of parts) socket.write(part, "latin1");
    await closed;
    return text;
  };
  const ask: Served["ask"] = (line, headers = [], body = "") =>
    raw(`${[`${line} HTTP/1.1`, host, "connection: close", ...headers].join("\r\n")}\r\n\r\n${body}`);
  return { host, raw, ask, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 0);
const ping = '{"jsonrpc":"2.0","id":1,"method":"system/ping"}';
const post = (body: string): string[] => [authorization, `content-length: ${Buffer.byteLength(body)}`];

describe("local HTTP", () => {
  test("X3: health needs no token, everything else does, and the scheme is Bearer", async () => {
    await using served = await serve();
    assert.equal(statusOf(await served.ask("GET /health")), 200);
    for (const path of [
      "/metrics",
      "/openrpc.json",
      "/rpc",
      "/",
      "/health/../metrics",
      "/HEALTH",
      "//health",
      "/health/",
    ]) {
      assert.equal(statusOf(await served.ask(`GET ${path}`)), 401, path);
    }
    for (const header of [
      `authorization: ${token}`,
      `authorization: Basic ${token}`,
      "authorization: Bearer ",
      `authorization: Bearer ${token}x`,
    ]) {
      assert.equal(statusOf(await served.ask("GET /metrics", [header])), 401, header);
    }
    assert.equal(statusOf(await served.ask(`GET /metrics?access_token=${token}`)), 401);
    assert.equal(statusOf(await served.ask("GET /metrics", [authorization])), 200);
    assert.equal(statusOf(await served.ask("GET /nothing", [authorization])), 404);
    assert.match(await served.ask("POST /rpc", post(ping), ping), /"pong":true/);
  });

  test("X2: from another machine a token in the clear is refused, plain and as an upgrade; health is served", async () => {
    await using served = await serve();
    let from = "";
    const fromElsewhere = (message: unknown): void =>
      void Object.defineProperty((message as { socket: Socket }).socket, "remoteAddress", { value: from });
    subscribe("net.server.socket", fromElsewhere);
    try {
      for (const address of ["10.0.0.9", "::ffff:10.0.0.9", "fd00::9", "128.0.0.1", "1127.0.0.1"]) {
        from = address;
        const answer = await served.ask("GET /metrics", [authorization]);
        assert.equal(statusOf(answer), 401, address);
        assert.match(answer, /over TLS only/);
        const upgrade = ["upgrade: websocket", "connection: upgrade", "sec-websocket-version: 13", authorization];
        assert.equal(statusOf(await served.ask("GET /rpc", upgrade)), 401, address);
        assert.equal(statusOf(await served.ask("GET /health")), 200, address);
      }
      for (const address of ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"]) {
        from = address;
        assert.equal(statusOf(await served.ask("GET /metrics", [authorization])), 200, address);
      }
    } finally {
      unsubscribe("net.server.socket", fromElsewhere);
    }
  });

  test("X3: Host and Origin are judged before anything else, health included", async () => {
    await using served = await serve();
    const foreign = "HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n";
    assert.equal(statusOf(await served.raw(`GET /health ${foreign}\r\n`)), 403);
    assert.equal(statusOf(await served.raw(`GET /metrics ${foreign}${authorization}\r\n\r\n`)), 403);
    assert.equal(statusOf(await served.ask("GET /health", ["origin: http://evil.example"])), 403);
    assert.equal(
      statusOf(
        await served.ask("GET /rpc", [authorization, "upgrade: websocket", "connection: upgrade", "origin: null"]),
      ),
      403,
    );
    // The target may carry a host of its own; the header is what is judged.
    assert.equal(statusOf(await served.raw(`GET http://127.0.0.1/health ${foreign}\r\n`)), 403);
  });

  test("S4: a target that is no address is refused like any other, plain and as an upgrade", async () => {
    await using served = await serve();
    for (const target of [
      "//",
      "///",
      "http://",
      "http://[",
      "//:99999",
      "*",
      "/%",
      "/%00",
      "/\\..\\",
      "?",
      `/${"a".repeat(8_000)}`,
    ]) {
      const plain = await served.ask(`GET ${target}`);
      assert.ok([400, 401].includes(statusOf(plain)), `${target}: ${plain.slice(0, 40)}`);
      const upgrade = await served.ask(`GET ${target}`, [authorization, "upgrade: websocket", "connection: upgrade"]);
      assert.ok([400, 404].includes(statusOf(upgrade)), `${target}: ${upgrade.slice(0, 40)}`);
    }
    assert.equal(statusOf(await served.ask("GET /health")), 200);
  });

  test("X3: an upgrade needs the token and the path, and a broken handshake is refused", async () => {
    await using served = await serve();
    const upgrade = ["upgrade: websocket", "connection: upgrade", "sec-websocket-version: 13"];
    assert.equal(statusOf(await served.ask("GET /rpc", upgrade)), 401);
    assert.equal(statusOf(await served.ask("GET /health", [...upgrade, authorization])), 404);
    assert.equal(statusOf(await served.ask("GET /rpc", [...upgrade, authorization])), 400);
    assert.equal(statusOf(await served.ask("GET /rpc", [...upgrade, authorization, "sec-websocket-key: x"])), 400);
    assert.equal(statusOf(await served.ask("GET /health")), 200);
  });

  test("a body over the limit is refused by its announced length, and as soon as a chunked one passes it", async () => {
    await using served = await serve();
    const announced = await served.ask("POST /rpc", [authorization, "content-length: 1001"]);
    assert.equal(statusOf(announced), 413);
    assert.match(announced, /1004/);
    const chunk = `${(600).toString(16)}\r\n${"x".repeat(600)}\r\n`;
    const chunked = await served.ask("POST /rpc", [authorization, "transfer-encoding: chunked"], `${chunk}${chunk}`);
    assert.equal(statusOf(chunked), 413);
    assert.match(chunked, /1004/);
    const exact = `${ping}${" ".repeat(1_000 - ping.length)}`;
    assert.equal(statusOf(await served.ask("POST /rpc", post(exact), exact)), 200);
    const invalid = await served.ask("POST /rpc", [authorization, "content-length: 2"], "\xff\xfe");
    assert.equal(statusOf(invalid), 400);
    assert.match(invalid, /not valid UTF-8/);
  });

  test("a notification is answered with no content, and nonsense with an error object", async () => {
    await using served = await serve();
    const notification = '{"jsonrpc":"2.0","method":"system/ping"}';
    assert.equal(statusOf(await served.ask("POST /rpc", post(notification), notification)), 204);
    assert.match(await served.ask("POST /rpc", post("nonsense"), "nonsense"), /-32700/);
    assert.match(await served.ask("POST /rpc", post("[]"), "[]"), /-32600/);
    assert.equal(statusOf(await served.raw("nonsense\r\n\r\n")), 400);
  });
});
