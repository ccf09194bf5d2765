/**
 * Goal: whatever comes in on any transport is answered with the right error or closes its connection, and never ends, leaks from or
 * hangs the program that reads it. Method: bytes that no client library would send, at the real hl-daemon and hl-cloud; afterwards
 * each still answers, and the daemon has as many open files as before.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { http, type HttpRequest } from "@hl/testkit/http.ts";
import { connectSocket, connectSocketFrames, type Message, type MessageClient } from "@hl/testkit/message-client.ts";
import { descriptorCount } from "@hl/testkit/processes.ts";
import { startSystem, TestDaemon, testInstanceId, type TestSystem } from "@hl/testkit/system.ts";
import { until, within } from "@hl/testkit/waiting.ts";

interface Case {
  readonly name: string;
  readonly text: string;
  /** What the answer's error must be; for a batch that of each answer. */
  readonly code: number | number[];
  readonly id?: unknown;
}

const request = (more: object): string => JSON.stringify({ jsonrpc: "2.0", id: 1, method: "system/ping", ...more });
const hugeId = "i".repeat(1_000_000);

const cases: readonly Case[] = [
  { name: "cut JSON", text: '{"jsonrpc":"2.0","id":1,"method":', code: -32700, id: null },
  { name: "no JSON", text: "hello", code: -32700, id: null },
  { name: "a NUL", text: "\0", code: -32700, id: null },
  { name: "a lone surrogate in an escape", text: request({ method: "\ud800" }), code: -32601, id: 1 },
  { name: "a number", text: "1", code: -32600, id: null },
  { name: "null", text: "null", code: -32600, id: null },
  { name: "a string", text: '"system/ping"', code: -32600, id: null },
  { name: "an empty batch", text: "[]", code: -32600, id: null },
  { name: "a batch of rubbish", text: "[1,null,[]]", code: [-32600, -32600, -32600] },
  { name: "a batch of 1001", text: `[${"1,".repeat(1_000)}1]`, code: -32600, id: null },
  { name: "100 000 open brackets", text: "[".repeat(100_000), code: -32600, id: null },
  {
    name: "deep nesting",
    text: request({ params: 0 }).replace(":0", `:${"[".repeat(5_000)}${"]".repeat(5_000)}`),
    code: -32600,
    id: null,
  },
  { name: "another version", text: request({ jsonrpc: "1.0" }), code: -32600, id: 1 },
  { name: "no version", text: request({ jsonrpc: undefined }), code: -32600, id: 1 },
  { name: "no method", text: request({ method: undefined }), code: -32600, id: 1 },
  { name: "a method that is a number", text: request({ method: 5 }), code: -32600, id: 1 },
  { name: "an id that is an object", text: request({ id: {} }), code: -32600, id: null },
  { name: "an id that is true", text: request({ id: true }), code: -32600, id: null },
  { name: "an id beyond all numbers", text: request({}).replace('"id":1', '"id":1e999'), code: -32600, id: null },
  { name: "params that are a string", text: request({ params: "x" }), code: -32600, id: 1 },
  { name: "an unknown method", text: request({ method: "system/nothing" }), code: -32601, id: 1 },
  { name: "a method of every object", text: request({ method: "constructor" }), code: -32601, id: 1 },
  { name: "a prototype as method", text: request({ method: "__proto__" }), code: -32601, id: 1 },
  { name: "a huge id", text: request({ id: hugeId, method: "no/such" }), code: -32601, id: hugeId },
  { name: "a huge number as id", text: request({ id: 1e300, method: "no/such" }), code: -32601, id: 1e300 },
  { name: "a fraction as id", text: request({ id: 0.5, method: "no/such" }), code: -32601, id: 0.5 },
  { name: "null as id", text: request({ id: null, method: "no/such" }), code: -32601, id: null },
  { name: "params missing", text: request({ method: "command/status" }), code: -32602, id: 1 },
  { name: "params in a list", text: request({ method: "command/status", params: ["x"] }), code: -32602, id: 1 },
  { name: "a wrong type", text: request({ method: "command/status", params: { command_id: 7 } }), code: -32602, id: 1 },
  { name: "a wrong event", text: request({ method: "event/stream", params: { event_id: 7 } }), code: 1402, id: 1 },
];

const tooLarge = request({ params: { filling: "x".repeat(11_000_000) } });

describe("malformed input at the daemon", () => {
  let daemon: TestDaemon;
  let descriptors: number;
  const opened: (() => void)[] = [];
  let silent: readonly { readonly name: string; readonly closed: Promise<unknown> }[];

  before(async () => {
    daemon = await TestDaemon.start({ config: { local_api: { login_timeout_seconds: 5, http_port: 0 } } });
    using client = await daemon.connect();
    await client.call("system/ping");
    // Every kind of use once, so that what is opened lazily and kept counts as before.
    await daemon.post(JSON.parse(request({})));
    await assert.rejects(client.call("no/such/method"));
    await client.call("system/config/get");
    const logs = ["api-requests", "audit", "health"].map((name) => join(daemon.home, `logs/${name}.log`));
    await until("the logs of refusals and of health", () => logs.every((path) => existsSync(path)));
    descriptors = await steadyDescriptors(daemon.pid);
    // Begun now, looked at in the end: a message that was begun must end within 30 s.
    silent = await beginAndFallSilent(daemon, opened);
  });

  after(async () => {
    for (const close of opened) close();
    await daemon[Symbol.asyncDispose]();
  });

  test("unix socket: each is answered with its error, and the connection goes on", async () => {
    using client = await daemon.connect();
    for (const one of cases) {
      client.raw(`${one.text}\n`);
      judge(one, await client.next(() => true));
    }
    client.raw(`${tooLarge}\n`);
    assert.equal((await client.next(() => true)).error.code, 1004);
    client.raw(Buffer.from([0xff, 0xfe, 0x80, 0x0a]));
    assert.equal((await client.next(() => true)).error.code, -32700);
    assert.equal((await client.call("system/ping")).pong, true);
  });

  test("unix socket: nothing but a login is served before the login, and who does not log in is cut off", async () => {
    using client = await connectSocket(daemon.program.ready.socket);
    for (const method of ["system/ping", "command/execute", "event/stream"]) {
      const answer = await client.ask({ jsonrpc: "2.0", id: method, method, params: {} });
      assert.equal(answer.error.code, 1001, method);
    }
    assert.equal(
      (await client.ask({ jsonrpc: "2.0", id: 1, method: "auth/login", params: { token: "x" } })).error.code,
      1001,
    );
    await within("the end of a connection without a login", client.closed);
  });

  test("unix socket: binary garbage, lines and no lines, ends in errors or a closed connection", async () => {
    using client = await daemon.connect();
    client.listener = () => true;
    for (let round = 0; round < 20; round += 1) client.raw(randomBytes(64 * 1024));
    client.raw("\n");
    client.listener = undefined;
    assert.equal((await client.call("system/ping")).pong, true);
  });

  test("WebSocket: each is answered with its error; what is too large or binary does not end the daemon", async () => {
    using client = await daemon.connectWebSocket();
    for (const one of cases) {
      client.raw(one.text);
      judge(one, await client.next(() => true));
    }
    client.raw(randomBytes(1_000));
    assert.equal((await client.next(() => true)).error.code, -32700);
    assert.equal((await client.call("system/ping")).pong, true);
    client.raw(tooLarge);
    await within("the connection to be closed", client.closed);
  });

  test("POST /rpc: each is answered with its error", async () => {
    for (const one of cases) {
      const { status, json } = await post(daemon, { body: one.text });
      assert.equal(status, 200, one.name);
      judge(one, json);
    }
    const binary = await post(daemon, { body: Buffer.from([0xff, 0xfe, 0x80]) });
    assert.deepEqual([binary.status, binary.json.error.code], [400, -32700]);
    const notification = await post(daemon, { body: '{"jsonrpc":"2.0","method":"system/ping"}' });
    assert.deepEqual([notification.status, notification.text], [204, ""]);
  });

  test("POST /rpc: a body over the limit is refused by its announced length, and without one as soon as it passes", async () => {
    const announced = await until("an answer", () =>
      post(daemon, { headers: { "content-length": "11000000" }, body: "{" }).catch(() => undefined),
    );
    assert.deepEqual([announced.status, announced.json.error.code], [413, 1004]);
    // Who still writes may see the connection break before it reads the answer: refused it is in either case.
    const chunked = await post(daemon, { body: tooLarge, chunked: true }).catch((error: unknown) => error);
    if (chunked instanceof Error) assert.match(chunked.message, /EPIPE|ECONNRESET|socket hang up/);
    else assert.equal((chunked as { status: number }).status, 413);
  });

  test("X3: HTTP: a foreign Host or Origin is refused before the token is looked at; without or with a wrong token 401", async () => {
    const refused: [name: string, options: HttpRequest, status: number, code: number][] = [
      ["a page that rebinds its name", { headers: { host: "evil.example:80" } }, 403, 1002],
      ["no port in Host", { headers: { host: "127.0.0.1" } }, 403, 1002],
      ["another port in Host", { headers: { host: "127.0.0.1:1" } }, 403, 1002],
      ["a foreign origin", { headers: { origin: "https://evil.example" } }, 403, 1002],
      ["an opaque origin", { headers: { origin: "null" } }, 403, 1002],
      ["no token", { token: undefined }, 401, 1001],
      ["a wrong token", { token: "hl_local_wrong" }, 401, 1001],
      ["another scheme", { token: undefined, headers: { authorization: `Basic ${daemon.token}` } }, 401, 1001],
    ];
    for (const [name, options, status, code] of refused) {
      const answer = await post(daemon, { body: request({}), ...options });
      assert.deepEqual([answer.status, answer.json.error.code], [status, code], name);
      const { protocol, ...headers } = { protocol: "ws", ...options.headers };
      const token = "token" in options ? options.token : daemon.token;
      await assert.rejects(
        connectSocketFrames(`${daemon.url.replace("http", protocol)}/rpc`, token, { headers }),
        (error: Message) => error.status === status,
        name,
      );
    }
    for (const path of ["/metrics", "/openrpc.json"]) assert.equal((await http(daemon.url + path)).status, 401);
    assert.equal((await http(`${daemon.url}/health`, { headers: { host: "evil.example" } })).status, 403);
    assert.equal((await http(`${daemon.url}/health`)).status, 200);
    assert.equal((await http(`${daemon.url}/nothing`, { token: daemon.token })).status, 404);
    assert.equal((await http(`${daemon.url}/rpc`, { method: "DELETE", token: daemon.token })).status, 404);
  });

  test("HTTP: what is no HTTP is answered 400 or closed", async () => {
    const { hostname, port } = new URL(daemon.url);
    for (const bytes of [
      randomBytes(4_096),
      Buffer.from("GET / HTTP/9.9\r\n\r\n"),
      Buffer.from("POST /rpc HTTP/1.1\r\nHost: [::\r\n\r\n"),
    ]) {
      const socket = connect(Number(port), hostname);
      const closed = Promise.withResolvers<undefined>();
      socket.on("error", () => {});
      socket.once("close", () => closed.resolve(undefined));
      socket.resume();
      socket.end(bytes);
      await within("the connection to be closed", closed.promise);
    }
    const headers = await post(daemon, { body: "{}", headers: { "x-long": "x".repeat(20_000) } }).catch(
      () => undefined,
    );
    if (headers !== undefined) assert.equal(headers.status, 431);
  });

  test("half a message and then silence is closed, on the socket and over HTTP", async () => {
    for (const { name, closed } of silent) await within(`the end of ${name}`, closed, 75_000);
  });

  test("P7: afterwards the daemon answers, and has as many open files as before", async () => {
    for (const close of opened.splice(0)) close();
    using client = await daemon.connect();
    assert.equal((await client.call("system/ping")).pong, true);
    client[Symbol.dispose]();
    await until(`${descriptors} open files`, () => descriptorCount(daemon.pid) <= descriptors);
    assert.equal((await daemon.healthCheck()).code, 0);
  });
});

describe("malformed input at the cloud", () => {
  let system: TestSystem;
  before(async () => {
    system = await startSystem();
  });
  after(async () => {
    await system[Symbol.asyncDispose]();
  });

  test("what VMs and operators post is answered with its error", async () => {
    const vmToken = accessToken(system);
    const { url, operatorToken } = system.cloud;
    const ways: [path: string, token: string][] = [
      ["/v1/vm/heartbeat", vmToken],
      ["/v1/vm/status", vmToken],
      ["/v1/vm/events", vmToken],
      [`/v1/instances/${testInstanceId}/rpc`, operatorToken],
    ];
    // Signs of life have a rate; who is over it comes again, as a VM does.
    const ask = async (path: string, token: string, body: string): ReturnType<typeof http> => {
      for (;;) {
        const answer = await http(url + path, { token, body });
        if (answer.status !== 429) return answer;
        await new Promise((resolve) => setTimeout(resolve, 1_000));
      }
    };
    for (const [path, token] of ways) {
      for (const { name, text } of cases) {
        const { status, json } = await ask(path, token, text);
        assert.ok(status < 500, `${path} ${name}: ${status}`);
        const answers: Message[] = Array.isArray(json) ? json : [json];
        for (const answer of answers) assert.ok(answer.error.code < 0 || answer.error.code > 1000, `${path} ${name}`);
      }
      const large = await ask(path, token, tooLarge).catch((error: unknown) => error);
      if (!(large instanceof Error)) assert.equal((large as { status: number }).status, 413, path);
      assert.equal((await http(url + path, { body: request({}) })).status, 401, path);
      assert.equal((await http(url + path, { token: "wrong", body: request({}) })).status, 401, path);
    }
    for (const path of ["/v1/vm/register", "/v1/vm/token"]) {
      for (const { name, text } of cases) {
        const { status, json } = await http(url + path, { token: "wrong", body: text });
        assert.ok(status < 500 && json !== undefined, `${path} ${name}: ${status}`);
      }
    }
    await stillWorks(system);
  });

  test("the command channel and the operators' WebSocket answer with the error or close, and the cloud goes on", async () => {
    const vm = (): Promise<MessageClient> =>
      connectSocketFrames(`${system.cloud.url.replace("http", "ws")}/v1/vm/commands`, accessToken(system), {
        subprotocol: "hl.v1",
      });
    for (const open of [vm, () => system.operator.connect()]) {
      using client = await open();
      for (const one of cases.filter(({ code }) => code === -32700 || code === -32600)) {
        client.raw(one.text);
        judge(one, await client.next(({ error }) => error !== undefined));
      }
      client.raw(randomBytes(1_000));
      assert.equal((await client.next(({ error }) => error !== undefined)).error.code, -32700);
      client.raw(tooLarge);
      await within("the connection to be closed", client.closed);
    }
    for (const token of [undefined, "wrong", system.cloud.operatorToken]) {
      const url = `${system.cloud.url.replace("http", "ws")}/v1/vm/commands`;
      await assert.rejects(
        connectSocketFrames(url, token, { subprotocol: "hl.v1" }),
        (error: Message) => error.status === 401,
      );
    }
    await stillWorks(system);
  });
});

async function stillWorks({ operator }: TestSystem): Promise<void> {
  await operator.online();
  assert.equal((await operator.call("system/ping")).pong, true);
}

function accessToken({ daemon }: TestSystem): string {
  return readFileSync(join(daemon.home, "data/auth/access_token"), "utf8").trim();
}

function judge({ name, code, id }: Case, answer: Message): void {
  if (Array.isArray(code)) {
    assert.deepEqual(
      answer.map((one: Message) => one.error.code),
      code,
      name,
    );
    return;
  }
  assert.equal(answer.error?.code, code, `${name}: ${JSON.stringify(answer).slice(0, 300)}`);
  assert.equal(answer.jsonrpc, "2.0");
  assert.deepEqual(answer.id, id, name);
}

function post(daemon: TestDaemon, options: HttpRequest): ReturnType<typeof http> {
  return http(`${daemon.url}/rpc`, { method: "POST", token: daemon.token, ...options });
}

/** Connections that begin a message and never end it, on the socket before and after the login, and over HTTP. */
async function beginAndFallSilent(daemon: TestDaemon, opened: (() => void)[]): Promise<typeof found> {
  const found: { name: string; closed: Promise<unknown> }[] = [];
  for (const token of [undefined, daemon.token]) {
    const client = await connectSocket(daemon.program.ready.socket, token);
    client.raw('{"jsonrpc":"2.0","id":1,"meth');
    opened.push(() => client[Symbol.dispose]());
    found.push({ name: token === undefined ? "a socket without a login" : "a socket", closed: client.closed });
  }
  const { host, hostname, port } = new URL(daemon.url);
  const head = `POST /rpc HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${daemon.token}\r\nContent-Length: 100\r\n`;
  for (const [name, text] of [
    ["half a head", head],
    ["half a body", `${head}\r\n{"jsonrpc":`],
  ] as const) {
    const socket = connect(Number(port), hostname);
    const closed = Promise.withResolvers<undefined>();
    socket.on("error", () => {});
    socket.once("close", () => closed.resolve(undefined));
    socket.resume();
    socket.write(text);
    opened.push(() => socket.destroy());
    found.push({ name, closed: closed.promise });
  }
  return found;
}

/** What was open for a moment only is gone when the number is the same twice in a row. */
async function steadyDescriptors(pid: number): Promise<number> {
  let last = -1;
  return until("a steady number of open files", () => {
    const count = descriptorCount(pid);
    if (count === last) return count;
    last = count;
    return undefined;
  });
}
