/**
 * Goal: the daemon's own connections go through the proxy of its environment, by requests and by WebSocket, with TLS checked inside the tunnel;
 * what the proxy refuses is told; what it must not learn it does not.
 * Method: a real proxy and real servers on loopback; the name of the server is one that only the proxy resolves.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { text as bodyText } from "node:stream/consumers";
import { describe, test } from "node:test";
import { connectWebSocket } from "@hl/core/rpc/connect-websocket.ts";
import { makeAuthority } from "@hl/testkit/certificates.ts";
import { ConnectProxy, type ConnectProxyOptions } from "@hl/testkit/connect-proxy.ts";
import { WebSocketServer } from "ws";
import { HttpClient } from "./http-client.ts";
import { ConnectionFailed } from "./outbound.ts";
import { ProxySettings } from "./proxy-settings.ts";
import { testConnect, trusting, type TestDoor } from "./testing/open-connect.ts";
import type { TlsOptions } from "./tls-options.ts";

const authority = makeAuthority();
const never = new AbortController().signal;
const credentials = { user: "vm", password: "g:eh@im" };

interface World extends AsyncDisposable {
  readonly proxy: ConnectProxy;
  readonly port: number;
  /** What a request gets, and a WebSocket: "from the cloud" and "open", or why not. */
  ask(door?: TestDoor & { readonly tls?: TlsOptions }, environment?: Record<string, string>): Promise<string[]>;
}

async function setUp(options: Partial<ConnectProxyOptions> = {}, dnsName = "cloud.example"): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const { cert, key } = authority.issue("cloud", { dnsNames: [dnsName] });
  const server = createServer({ cert, key }, (_request, response) => void response.end("from the cloud"));
  const sockets = new WebSocketServer({ server });
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  stack.defer(async () => {
    for (const socket of sockets.clients) socket.terminate();
    server.close();
    server.closeAllConnections();
    await once(server, "close");
  });
  const { port } = server.address() as AddressInfo;
  const proxy = stack.use(await ConnectProxy.start({ hosts: { "cloud.example:443": port }, ...options }));
  const owned = stack.move();
  return {
    ...{ proxy, port },
    async ask(door = {}, environment = { HTTPS_PROXY: proxy.url }) {
      const connect = testConnect({
        allowed: ["cloud.example"],
        resolve: () => Promise.reject(new Error("only the proxy knows names here")),
        proxy: ProxySettings.from(environment),
        proxyTls: trusting(authority.cert),
        tls: trusting(authority.cert),
        ...door,
      });
      const text = (error: unknown): string => {
        assert.ok(error instanceof ConnectionFailed, String(error));
        return `${error.kind}: ${error.message}`;
      };
      await using http = new HttpClient({ connect, connectionsMax: 1 });
      const answer = await http
        .request("https://cloud.example/", { method: "GET" })
        .then(({ body }) => bodyText(body), text);
      const url = "wss://cloud.example/";
      const opened = connect(new URL(url), never).then((connection) =>
        connectWebSocket({ url, messageBytesMax: 1_000, timeoutMs: 10_000, connection }),
      );
      const socket = await opened.then((open) => {
        open.terminate();
        return "open";
      }, text);
      return [answer, socket];
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const both = (answers: string[], wanted: RegExp): void => {
  for (const answer of answers) assert.match(answer, wanted);
};

describe("the proxy of the environment", () => {
  test("requests and WebSockets go through its tunnel, to a name that only it resolves; it learns name and port", async () => {
    await using world = await setUp({ credentials });
    assert.deepEqual(await world.ask(), ["from the cloud", "open"]);
    assert.deepEqual(world.proxy.asked, ["cloud.example:443", "cloud.example:443"]);
    assert.deepEqual(Object.keys(world.proxy.headers[0] ?? {}).sort(), ["connection", "host", "proxy-authorization"]);
  });

  test("a proxy with TLS of its own is checked, and the tunnel inside it too", async () => {
    const { cert, key } = authority.issue("proxy");
    await using world = await setUp({ credentials, tls: { cert, key } });
    assert.deepEqual(await world.ask(), ["from the cloud", "open"]);
    const wanted = /^proxy: the proxy of HTTPS_PROXY: TLS with 127\.0\.0\.1:\d+ failed: .*authority/;
    both(await world.ask({ proxyTls: trusting(makeAuthority("stranger").cert) }), wanted);
  });

  test("X2: the server's certificate is checked through the tunnel: a proxy that answers in its place gets nothing", async () => {
    await using world = await setUp({}, "other.example");
    both(await world.ask(), /^tls: TLS with cloud\.example:443 failed: its certificate is for another name/);
    both(await world.ask({ tls: trusting(makeAuthority().cert) }), /^tls: TLS with cloud\.example:443 failed/);
  });

  test("X1: the target is judged by name, and the proxy with its addresses", async () => {
    await using world = await setUp();
    both(
      await world.ask({ allowed: ["0.0.0.0/0"] }),
      /^refused: .*ranges of addresses do not count where a proxy resolves it/,
    );
    both(await world.ask({ blocked: ["cloud.example"] }), /^refused: cloud\.example:443 is blocked/);
    both(await world.ask({ blocked: ["127.0.0.0/8"] }), /^refused: 127\.0\.0\.1:\d+ is blocked by "127\.0\.0\.0\/8"/);
    assert.deepEqual(world.proxy.asked, []);
  });

  test("NO_PROXY leads past it", async () => {
    await using world = await setUp();
    const environment = { HTTPS_PROXY: world.proxy.url, NO_PROXY: "cloud.example" };
    both(await world.ask({}, environment), /^unreachable: cloud\.example cannot be resolved: only the proxy knows/);
    assert.deepEqual(world.proxy.asked, []);
  });

  const refusals: readonly (readonly [name: string, options: Partial<ConnectProxyOptions>, said: RegExp])[] = [
    [
      "407",
      { credentials: { ...credentials, user: "else" } },
      /\(407\): it wants a user name and a password.*HTTPS_PROXY/,
    ],
    ["403", { answer: "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno" }, /\(403\): its rules do not allow it/],
    ["502", { hosts: {} }, /\(502\): it cannot reach it/],
    ["a page", { answer: "HTTP/1.1 302 Found\r\nLocation: http://x/\r\n\r\n" }, /\(302\); look at the proxy's log/],
    ["garbage", { answer: "SSH-2.0-x\r\n" }, /gave no answer that can be understood/],
    ["nothing", { answer: "" }, /gave no answer that can be understood/],
    [
      "endless headers",
      { answer: `HTTP/1.1 200 OK\r\nX: ${"y".repeat(20_000)}\r\n\r\n` },
      /gave no answer that can be understood/,
    ],
    ["words of its own in the tunnel", { answer: "HTTP/1.1 200 OK\r\n\r\nhello" }, /has spoken into the tunnel/],
  ];
  for (const [name, options, said] of refusals) {
    test(`X4: what a proxy refuses is told without the password: ${name}`, async () => {
      await using world = await setUp(options);
      const environment = {
        HTTPS_PROXY: `http://vm:${encodeURIComponent(credentials.password)}@127.0.0.1:${world.proxy.port}`,
      };
      const answers = await world.ask({}, environment);
      both(answers, /^proxy: the proxy 127\.0\.0\.1:\d+ of HTTPS_PROXY/);
      both(answers, said);
      for (const answer of answers) assert.ok(!/geh|Z2:|dm06/.test(answer), answer);
    });
  }
});
