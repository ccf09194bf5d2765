/**
 * Goal: X4: an agent reaches the model's API without its key, and nobody gets the key or reaches another server by the proxy. Method: real
 * sockets on both sides; a server that says what it was asked; requests written byte by byte where a client would not send them.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { createServer, request, type IncomingMessage, type RequestListener } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { connect, createServer as createSocketServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { silentLogger } from "@hl/core/logger.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { makeAuthority } from "@hl/testkit/certificates.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { until } from "@hl/testkit/waiting.ts";
import { testConnect, trusting } from "../network/testing/open-connect.ts";
import { defaultKeyProxyLimits, KeyProxy, type KeyProxyLimits } from "./key-proxy.ts";
import { KeyState } from "./key-state.ts";

const realKey = "sk-ant-the-real-key";
const realToken = "the-real-token";

describe("the key proxy", () => {
  test("the key takes the token's place, and all else arrives as it was sent", async () => {
    await using world = await setUp();
    const agent = await world.agent("claude_one");
    assert.notEqual(agent.token, realKey);
    const headers = { "x-api-key": agent.token, "anthropic-version": "2023-06-01", "x-odd": "a  b", te: "trailers" };
    const answer = await ask(`${agent.url}/v1/messages?beta=true`, {
      method: "POST",
      headers,
      body: "é".repeat(50_000),
    });
    assert.equal(answer.status, 418, "the status is the server's");
    assert.deepEqual([answer.headers["x-own"], answer.text], ["yes", "from the model's API"]);
    const [seen] = world.seen;
    assert.equal(seen?.url, "/base/v1/messages?beta=true");
    assert.equal(seen?.body, "é".repeat(50_000));
    assert.equal(seen?.headers["x-api-key"], realKey);
    assert.equal(seen?.headers["anthropic-version"], "2023-06-01");
    assert.equal(seen?.headers["x-odd"], "a  b");
    assert.equal(seen?.headers.te, undefined, "of one connection only");
    assert.equal(seen?.headers.host, new URL(world.upstream).host);
  });

  test("ANTHROPIC_AUTH_TOKEN is sent as a bearer; a key goes where the agent has put its token, as it would have put the key", async () => {
    await using world = await setUp();
    const agent = await world.agent("claude_one", { ANTHROPIC_AUTH_TOKEN: realToken });
    await ask(`${agent.url}/x`, { headers: { authorization: `Bearer ${agent.token}`, "x-api-key": "other" } });
    assert.equal(world.seen[0]?.headers.authorization, `Bearer ${realToken}`);
    assert.equal(world.seen[0]?.headers["x-api-key"], undefined);
    await ask(`${agent.url}/x`, { headers: { "x-api-key": agent.token } });
    assert.deepEqual(
      [world.seen[1]?.headers["x-api-key"], world.seen[1]?.headers.authorization],
      [realToken, undefined],
    );
    const qwen = await world.agent("qwen", { ANTHROPIC_API_KEY: realKey });
    await ask(`${qwen.url}/x`, { headers: { authorization: `Bearer ${qwen.token}` } });
    const both = await world.agent("both", { ANTHROPIC_API_KEY: realKey, ANTHROPIC_AUTH_TOKEN: realToken });
    await ask(`${both.url}/x`, { headers: { "x-api-key": both.token, authorization: `Bearer ${both.token}` } });
    const sent = world.seen.slice(2).map(({ headers }) => [headers["x-api-key"], headers.authorization]);
    assert.deepEqual(sent, [
      [undefined, `Bearer ${realKey}`],
      [realKey, `Bearer ${realToken}`],
    ]);
  });

  test("X2: the certificate of the model's API is checked, whatever the environment says of it", async () => {
    using folder = temporaryFolder("hl-key-proxy");
    await using stack = new AsyncDisposableStack();
    const authority = makeAuthority();
    const { cert, key } = authority.issue("model");
    const server = createTlsServer({ cert, key }, (_incoming, response) => void response.end("from the model's API"));
    server.on("tlsClientError", () => {});
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    stack.defer(async () => {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    });
    const before = process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
    process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
    stack.defer(() => {
      if (before === undefined) delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
    });
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const answers = [trusting(), trusting(authority.cert)].map(async (tls, index) => {
      const home = join(folder.path, String(index));
      mkdirSync(home);
      const proxy = stack.use(proxyIn(home, {}, testConnect({ tls })));
      await proxy.start();
      const covered = await proxy.cover("claude_one", { ANTHROPIC_BASE_URL: url, ANTHROPIC_API_KEY: realKey }, {});
      const headers = { "x-api-key": covered["ANTHROPIC_API_KEY"] ?? "" };
      return ask(`${covered["ANTHROPIC_BASE_URL"]}/v1/messages`, { headers });
    });
    const [refused, taken] = await Promise.all(answers);
    assert.equal(refused?.status, 502);
    assert.match(refused.text, /TLS with 127\.0\.0\.1:\d+ failed: no trusted authority/);
    assert.deepEqual([taken?.status, taken?.text], [200, "from the model's API"]);
  });

  test("no token, a made-up one, another proxy's, that of an ended agent: 401, and the server is not asked", async () => {
    await using world = await setUp();
    await using other = await setUp();
    const agent = await world.agent("claude_one");
    const stranger = await other.agent("claude_one");
    const gone = await world.agent("claude_two");
    world.proxy.release("claude_two");
    const cases: Record<string, string>[] = [
      {},
      { "x-api-key": "" },
      { "x-api-key": realKey },
      { "x-api-key": stranger.token },
      { "x-api-key": gone.token },
      { "x-api-key": agent.token.replace("claude_one", "claude_two") },
      { "x-api-key": agent.token.slice(0, -1) },
      { authorization: `Bearer ${gone.token}` },
      { authorization: `Basic ${agent.token}` },
      { "x-api-key": agent.token, authorization: `Bearer ${gone.token}` },
    ];
    for (const headers of cases) {
      const answer = await ask(`${agent.url}/v1/messages`, { headers });
      assert.equal(answer.status, 401, JSON.stringify(headers));
      assert.equal((JSON.parse(answer.text) as { error: { type: string } }).error.type, "authentication_error");
    }
    assert.deepEqual(world.seen, []);
  });

  test("a request for another host, in whatever form, is refused or goes to the one server", async () => {
    await using world = await setUp();
    await using elsewhere = await startServer((_incoming, response) => void response.end("elsewhere"));
    const agent = await world.agent("claude_one");
    const key = `x-api-key: ${agent.token}\r\n`;
    const host = new URL(elsewhere.url).host;
    for (const head of [
      `GET ${elsewhere.url}/v1/messages HTTP/1.1\r\nhost: ${host}\r\n${key}`,
      `GET //${host}/v1/messages HTTP/1.1\r\nhost: ${host}\r\n${key}`,
      `GET @${host}/ HTTP/1.1\r\nhost: x\r\n${key}`,
      `CONNECT ${host} HTTP/1.1\r\nhost: ${host}\r\n${key}`,
      `TRACE / HTTP/1.1\r\nhost: x\r\n${key}`,
      `OPTIONS * HTTP/1.1\r\nhost: x\r\n${key}`,
      `POST / HTTP/1.1\r\nhost: x\r\n${key}content-length: 5\r\ntransfer-encoding: chunked\r\n`,
      `POST / HTTP/1.1\r\nhost: x\r\n${key}connection: content-length\r\ncontent-length: 5\r\n`,
      `GET / HTTP/1.1\r\nhost: x\r\n${key}${key}`,
      `GET / HTTP/1.1\r\nhost: x\r\n${key}a: ${"b".repeat(70_000)}\r\n`,
    ]) {
      const answer = await raw(agent.url, `${head}\r\n`);
      assert.match(answer, /^(?:HTTP\/1\.1 4\d\d|$)/, head.slice(0, 60));
      assert.ok(!answer.includes(realKey));
    }
    assert.equal(world.seen.length, 0);
    await raw(
      agent.url,
      `GET /y HTTP/1.1\r\nhost: ${host}\r\n${key}x-forwarded-host: ${host}\r\nconnection: close\r\n\r\n`,
    );
    assert.deepEqual([world.seen.length, world.seen[0]?.headers.host], [1, new URL(world.upstream).host]);
    assert.equal(elsewhere.requests, 0);
  });

  test("an answer comes as it is made, and a redirect is the agent's to follow", async () => {
    const more = Promise.withResolvers<undefined>();
    await using world = await setUp({}, async (incoming, response) => {
      if (incoming.url?.endsWith("/moved") === true) {
        response.writeHead(302, { location: "http://127.0.0.1:1/" }).end();
        return;
      }
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write("data: one\n\n");
      await more.promise;
      response.end("data: two\n\n");
    });
    const agent = await world.agent("claude_one");
    const answer = await open(`${agent.url}/v1/messages`, agent.token);
    const [first] = (await once(answer, "data")) as [Buffer];
    assert.equal(first.toString(), "data: one\n\n", "the rest is not made yet");
    more.resolve(undefined);
    assert.equal(await textOf(answer), "data: two\n\n");
    const moved = await ask(`${agent.url}/moved`, { headers: { "x-api-key": agent.token } });
    assert.deepEqual([moved.status, moved.headers.location], [302, "http://127.0.0.1:1/"]);
  });

  test("P5, P7: an agent that does not read holds the server back", async () => {
    const written = { bytes: 0, full: false };
    const chunk = Buffer.alloc(256 * 1024);
    await using world = await setUp({}, (_incoming, response) => {
      const write = (): void => {
        while (written.bytes < 256 * 2 ** 20) {
          written.bytes += chunk.length;
          if (response.write(chunk)) continue;
          written.full = true;
          response.once("drain", write);
          return;
        }
        response.end();
      };
      write();
    });
    const agent = await world.agent("claude_one");
    const answer = await open(`${agent.url}/big`, agent.token);
    answer.pause();
    let before = -1;
    await until("the server to be held back", () => {
      const still = written.full && written.bytes === before;
      before = written.bytes;
      return still;
    });
    assert.ok(written.bytes < 128 * 2 ** 20, `${written.bytes} bytes were taken from the server`);
    answer.destroy();
  });

  test("when the agent goes the server is let go, and the other way round; a server that is away is 502", async () => {
    const gone = Promise.withResolvers<undefined>();
    await using world = await setUp({}, (incoming, response) => {
      response.writeHead(200).flushHeaders();
      if (incoming.url?.endsWith("/cut") === true) response.write("half", () => response.destroy());
      else response.once("close", () => gone.resolve(undefined));
    });
    const agent = await world.agent("claude_one");
    const answer = await open(`${agent.url}/hang`, agent.token);
    answer.on("error", () => {});
    answer.destroy();
    await gone.promise;
    await assert.rejects(open(`${agent.url}/cut`, agent.token).then(textOf));
    const away = await world.agent("claude_two", {
      ANTHROPIC_API_KEY: realKey,
      ANTHROPIC_BASE_URL: "http://127.0.0.1:1",
    });
    const failed = await ask(`${away.url}/x`, { headers: { "x-api-key": away.token } });
    assert.equal(failed.status, 502);
    assert.match(failed.text, /ECONNREFUSED/);
  });

  test("limits: requests of one agent at once, and a silent server; the end of an agent ends its requests", async () => {
    await using world = await setUp({ requestsMax: 2 }, () => {});
    const agent = await world.agent("claude_one");
    const hanging = [1, 2].map(() => ask(`${agent.url}/hang`, { headers: { "x-api-key": agent.token } }));
    await until("both", () => world.seen.length === 2);
    assert.equal((await ask(`${agent.url}/x`, { headers: { "x-api-key": agent.token } })).status, 429);
    world.proxy.release("claude_one");
    for (const one of await Promise.allSettled(hanging)) assert.equal(one.status, "rejected");

    await using quick = await setUp({ idleMs: 50 }, () => {});
    const waiting = await quick.agent("claude_one");
    const late = await ask(`${waiting.url}/hang`, { headers: { "x-api-key": waiting.token } });
    assert.equal(late.status, 504);
  });

  test("P3: the next proxy has the port, and takes the token of who lives; no key is on disk", async () => {
    await using folder = disposable();
    await using server = await startServer((_incoming, response) => void response.end("ok"));
    const environment = { ANTHROPIC_API_KEY: realKey, ANTHROPIC_BASE_URL: server.url };
    const first = proxyIn(folder.path);
    const { ANTHROPIC_BASE_URL: url, ANTHROPIC_API_KEY: token } = await first.cover("claude_one", environment, {});
    await first[Symbol.asyncDispose]();
    const file = join(folder.path, "key_proxy.json");
    assert.ok(!readFileSync(file, "utf8").includes(realKey));
    assert.equal(statSync(file).mode & 0o777, 0o600);

    await using second = proxyIn(folder.path);
    second.admitAgain("claude_one", environment, {});
    await second.start();
    const headers = { "x-api-key": token ?? "" };
    assert.equal((await ask(`${url}/x`, { headers })).text, "ok");
    second.release("claude_one");
    assert.equal((await ask(`${url}/x`, { headers })).status, 401);
  });

  test("X2: a port that is taken: agents are refused while one of before needs it, and not when it is free again", async () => {
    await using folder = disposable();
    const environment = { ANTHROPIC_API_KEY: realKey };
    const first = proxyIn(folder.path);
    const { ANTHROPIC_BASE_URL: url = "" } = await first.cover("claude_one", environment, {});
    await first[Symbol.asyncDispose]();
    const thief = createSocketServer().listen(Number(new URL(url).port), "127.0.0.1");
    await once(thief, "listening");

    await using second = proxyIn(folder.path);
    second.admitAgain("claude_one", environment, {});
    await second.start();
    await assert.rejects(second.cover("claude_two", environment, {}), (error: unknown) => {
      assert.ok(error instanceof HlError);
      assert.match(error.message, /EADDRINUSE.*key_proxy/);
      return true;
    });
    assert.deepEqual(await second.cover("claude_two", { A: "b" }, {}), { A: "b" }, "one without a key needs no proxy");
    thief.close();
    await once(thief, "close");
    assert.equal((await second.cover("claude_two", environment, {}))["ANTHROPIC_BASE_URL"], url);
  });
});

interface World extends AsyncDisposable {
  readonly proxy: KeyProxy;
  readonly upstream: string;
  readonly seen: Seen[];
  agent(id: string, environment?: Record<string, string>): Promise<{ readonly url: string; readonly token: string }>;
}

type Listener = (...asked: Parameters<RequestListener>) => void | Promise<void>;

type Seen = Pick<IncomingMessage, "url" | "headers"> & { body: string };

async function setUp(limits: Partial<KeyProxyLimits> = {}, listener?: Listener): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(disposable());
  const seen: Seen[] = [];
  const server = stack.use(
    await startServer(async (incoming, response) => {
      const { url, headers } = incoming;
      if (listener !== undefined) {
        seen.push({ url, headers, body: "" });
        await listener(incoming, response);
        return;
      }
      seen.push({ url, headers, body: await textOf(incoming) });
      response.writeHead(418, { "x-own": "yes" }).end("from the model's API");
    }),
  );
  const upstream = `${server.url}/base/`;
  const proxy = stack.use(proxyIn(folder.path, limits));
  await proxy.start();
  const owned = stack.move();
  return {
    ...{ proxy, upstream, seen },
    async agent(id, environment = { ANTHROPIC_API_KEY: realKey }) {
      const covered = await proxy.cover(id, { ANTHROPIC_BASE_URL: upstream, ...environment }, {});
      const token = covered["ANTHROPIC_API_KEY"] ?? covered["ANTHROPIC_AUTH_TOKEN"] ?? "";
      return { url: covered["ANTHROPIC_BASE_URL"] ?? "", token };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function proxyIn(folder: string, limits: Partial<KeyProxyLimits> = {}, toModel = testConnect()): KeyProxy {
  return new KeyProxy({
    state: KeyState.load(join(folder, "key_proxy.json")),
    logger: silentLogger,
    limits: { ...defaultKeyProxyLimits, ...limits },
    connect: toModel,
    common: {},
  });
}

function disposable(): AsyncDisposable & { readonly path: string } {
  const folder = temporaryFolder("hl-key-proxy");
  return {
    path: folder.path,
    [Symbol.asyncDispose]: async () => {
      folder[Symbol.dispose]();
      await Promise.resolve();
    },
  };
}

async function startServer(
  listener: Listener,
): Promise<AsyncDisposable & { readonly url: string; readonly requests: number }> {
  let requests = 0;
  const server = createServer((incoming, response) => {
    requests += 1;
    void listener(incoming, response);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get requests() {
      return requests;
    },
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

async function ask(
  url: string,
  asked: Asked,
): Promise<{ readonly status: number; readonly headers: IncomingMessage["headers"]; readonly text: string }> {
  const outgoing = request(url, { method: asked.method ?? "GET", headers: asked.headers ?? {}, agent: false });
  outgoing.end(asked.body);
  const [answer] = (await once(outgoing, "response")) as [IncomingMessage];
  return { status: answer.statusCode ?? 0, headers: answer.headers, text: await textOf(answer) };
}

async function open(url: string, token: string): Promise<IncomingMessage> {
  const outgoing = request(url, { headers: { "x-api-key": token }, agent: false });
  outgoing.on("error", () => {});
  outgoing.end();
  const [answer] = (await once(outgoing, "response")) as [IncomingMessage];
  return answer;
}

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** What the proxy answers to these bytes until it closes the connection. */
async function raw(url: string, bytes: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => {});
  socket.write(bytes);
  let text = "";
  socket.on("data", (data) => (text += data.toString()));
  await once(socket, "close");
  return text;
}
