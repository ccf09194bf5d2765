/**
 * Goal: X3 from outside: whom the daemon believes on its own interfaces and over its link, by JWT.
 * Method: the real daemon with a JWKS server on loopback and tokens that are signed here; the real cloud where its link is meant.
 */
import assert from "node:assert/strict";
import { createHmac, createPublicKey, generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { makeAuthority, type TestCertificate } from "@hl/testkit/certificates.ts";
import { http } from "@hl/testkit/http.ts";
import { connectSocket, connectSocketFrames, type Message } from "@hl/testkit/message-client.ts";
import { startSystem, TestDaemon, type DaemonOptions } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
const nowSeconds = (): number => Math.floor(Date.now() / 1000);

interface Key {
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly jwk: object;
}

/** Who issues tokens, and a server for the keys; it counts how often it is asked. */
class Issuer implements AsyncDisposable {
  asked = 0;
  /** Those that have been shown, the newest last. */
  readonly #keys: Key[] = [];
  readonly #server: Server;
  readonly #scheme: "http" | "https";

  private constructor(tls: Pick<TestCertificate, "cert" | "key"> | undefined) {
    const listener: RequestListener = (_request, response) => {
      this.asked += 1;
      response.end(JSON.stringify({ keys: [this.#newest.jwk] }));
    };
    this.#scheme = tls === undefined ? "http" : "https";
    this.#server =
      tls === undefined ? createServer(listener) : createTlsServer({ cert: tls.cert, key: tls.key }, listener);
    this.rotate();
  }

  /** @param tls its keys are had over https then */
  static async start(tls?: Pick<TestCertificate, "cert" | "key">): Promise<Issuer> {
    const issuer = new Issuer(tls);
    await once(issuer.#server.listen(0, "127.0.0.1"), "listening");
    return issuer;
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}/jwks.json`;
  }

  get privateKey(): KeyObject {
    return this.#newest.privateKey;
  }

  get #newest(): Key {
    return this.#keys.at(-1)!;
  }

  /** From now on it signs with another key, and shows that one alone. */
  rotate(): void {
    const kid = `k${this.#keys.length + 1}`;
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    this.#keys.push({
      kid,
      privateKey,
      jwk: { ...publicKey.export({ format: "jwk" }), kid, alg: "RS256", use: "sig" },
    });
  }

  token(claims: object = {}, header: object = {}): string {
    const times = { iat: nowSeconds(), exp: nowSeconds() + 600 };
    const payload = { iss: "humanlayer.dev", aud: "hl-daemon", sub: "alice", ...times, ...claims };
    const text = `${encoded({ alg: "RS256", typ: "JWT", kid: this.#newest.kid, ...header })}.${encoded(payload)}`;
    return `${text}.${sign("sha256", Buffer.from(text), this.privateKey).toString("base64url")}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    if (this.#server.listening) await once(this.#server.close(), "close");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

interface Given {
  readonly jwt?: object;
  readonly methods?: readonly string[];
  readonly authorization?: object;
  /** Of who vouches for the issuer's server. */
  readonly ca?: string;
}

/** security.json of a daemon that believes the issuer. */
const believing = (issuer: Issuer, given: Given = {}): Pick<DaemonOptions, "prepare"> => ({
  prepare: (home) => {
    const { jwt, methods = ["jwt"], authorization = {}, ca } = given;
    const certificate = ca === undefined ? {} : { certificate: { ca_cert: join(home, "config/ca.crt") } };
    const security = {
      authentication: { methods, jwt: { public_key_url: issuer.url, ...jwt }, ...certificate },
      authorization,
    };
    mkdirSync(join(home, "config"), { recursive: true });
    if (ca !== undefined) writeFileSync(join(home, "config/ca.crt"), ca);
    writeFileSync(join(home, "config/security.json"), JSON.stringify(security));
    return { [Symbol.dispose]: () => {} };
  },
});

const networks = { security: { allowed_networks: ["127.0.0.1", "api.humanlayer.dev"] } };
const execute = (id: string): Message => ({
  ...{ jsonrpc: "2.0", id, method: "command/execute" },
  params: { command_id: id, command: "echo", args: ["hello"] },
});
const roles = { permissions: { "vm-instance": ["process:execute", "system:monitor"], looker: ["system:monitor"] } };

test("X3: a JWT is a caller on every interface, with the role that it names and no more", async () => {
  await using issuer = await Issuer.start();
  await using daemon = await TestDaemon.start({ ...believing(issuer, { authorization: roles }), config: networks });
  assert.equal(issuer.asked, 0);
  using socket = await connectSocket(daemon.program.ready.socket);
  // What is sent right behind the login is judged by it.
  const login = socket.call("auth/login", { token: issuer.token() });
  const ran = socket.ask(execute("one"));
  assert.deepEqual(await login, { role: "vm-instance", subject: "alice" });
  assert.equal((await ran).result.stdout, "hello\n");

  const looker = issuer.token({ role: "looker", sub: "bob" });
  const post = (token: string, message: Message): ReturnType<typeof http> =>
    http(`${daemon.url}/rpc`, { token, body: message });
  const refused = (await post(looker, execute("two"))).json.error;
  assert.deepEqual([refused.code, refused.data.permission, refused.data.role], [1002, "process:execute", "looker"]);
  assert.equal((await http(`${daemon.url}/metrics`, { token: looker })).status, 200);
  const nobody = issuer.token({ role: "nobody-defined-it" });
  const metrics = await http(`${daemon.url}/metrics`, { token: nobody });
  assert.deepEqual([metrics.status, metrics.json.error.data.permission], [403, "system:monitor"]);
  using frames = await connectSocketFrames(daemon.url.replace("http", "ws") + "/rpc", looker);
  await assert.rejects(frames.call("command/list"), /1002/);
  assert.equal(typeof (await frames.call("system/health")).status, "string");

  const wrong = issuer.token({ aud: "other" });
  const stolen = `${looker.slice(0, -8)}AAAAAAAA`;
  const hmac = ((): string => {
    const text = `${encoded({ alg: "HS256", kid: "k1" })}.${looker.split(".")[1] ?? ""}`;
    const secret = createPublicKey(issuer.privateKey).export({ type: "spki", format: "pem" });
    return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
  })();
  for (const token of [
    wrong,
    stolen,
    hmac,
    issuer.token({ exp: nowSeconds() - 61 }),
    issuer.token({ sub: "local-token" }),
  ]) {
    const answer = await post(token, execute("three"));
    assert.deepEqual([answer.status, answer.json.error.code], [401, 1001]);
    await assert.rejects(socket.call("auth/login", { token }), /1001/);
    await assert.rejects(connectSocketFrames(daemon.url.replace("http", "ws") + "/rpc", token), /401/);
  }
  assert.equal(issuer.asked, 1);
  await until("the refusals to be in the log", async () => /its algorithm is not the configured one/.test(daemon.log));
  for (const token of [looker, nobody, wrong, stolen, hmac]) assert.ok(!daemon.log.includes(token.slice(-40)));

  // The issuer goes away: its keys stay.
  await issuer.stop();
  assert.equal((await post(looker, { jsonrpc: "2.0", id: 1, method: "system/ping" })).status, 200);
});

test("X3: an issuer over https that takes another key: its tokens are believed within half a minute, and those of nobody else", async () => {
  const authority = makeAuthority();
  const server = authority.issue("issuer");
  await using issuer = await Issuer.start(server);
  await using daemon = await TestDaemon.start({ ...believing(issuer, { ca: authority.cert }), config: networks });
  const isBelieved = async (token: string): Promise<boolean> => {
    const body = { jsonrpc: "2.0", id: 1, method: "system/ping" };
    return (await http(`${daemon.url}/rpc`, { token, body })).status === 200;
  };
  const before = issuer.token();
  assert.equal(await isBelieved(before), true);
  await using stranger = await Issuer.start();
  stranger.rotate();
  issuer.rotate();
  // Keys are asked for again no sooner than 30 s after the last time, however often an unknown one is shown.
  await until("the new key to be believed", () => isBelieved(issuer.token()), 45_000);
  assert.ok(issuer.asked <= 3, String(issuer.asked));
  assert.equal(await isBelieved(stranger.token()), false); // Of the same name.
  assert.equal(await isBelieved(before), false);

  // Nobody vouches for this one.
  await using other = await Issuer.start(makeAuthority("another").issue("issuer"));
  await using doubting = await TestDaemon.start({ ...believing(other, { ca: authority.cert }), config: networks });
  const body = { jsonrpc: "2.0", id: 1, method: "system/ping" };
  assert.notEqual((await http(`${doubting.url}/rpc`, { token: other.token(), body })).status, 200);
  assert.equal(other.asked, 0);
});

test("X3: a connection ends with its token; another login before that keeps it", async () => {
  await using issuer = await Issuer.start();
  const jwt = { clock_skew: 0 };
  await using daemon = await TestDaemon.start({ ...believing(issuer, { jwt }), config: networks });
  const soon = { exp: nowSeconds() + 10 };
  const short = issuer.token(soon);
  using ended = await connectSocket(daemon.program.ready.socket, short);
  using frames = await connectSocketFrames(daemon.url.replace("http", "ws") + "/rpc", short);
  using kept = await connectSocket(daemon.program.ready.socket, short);
  await kept.call("auth/login", { token: issuer.token() });
  await Promise.all([ended.closed, frames.closed]);
  assert.equal((await http(`${daemon.url}/metrics`, { token: short })).status, 401);
  assert.equal((await kept.call("system/ping")).pong, true);
});

test("X2: with `methods` that do not name jwt, and without keys, JWTs are refused with the reason and the local token is not", async () => {
  await using issuer = await Issuer.start();
  {
    await using daemon = await TestDaemon.start({
      ...believing(issuer, { methods: ["certificate"] }),
      config: networks,
    });
    const answer = await http(`${daemon.url}/metrics`, { token: issuer.token() });
    assert.equal(answer.status, 401);
    assert.match(answer.json.error.message, /authentication\.methods/);
    assert.equal((await http(`${daemon.url}/metrics`, { token: daemon.token })).status, 200);
    assert.equal(issuer.asked, 0);
  }
  await using daemon = await TestDaemon.start({ ...believing(issuer), config: networks });
  await issuer.stop();
  const answer = await http(`${daemon.url}/metrics`, { token: issuer.token() });
  assert.equal(answer.status, 401);
  assert.match(answer.json.error.message, /cannot be checked at this moment/);
  assert.equal(answer.json.error.data.retry, "backoff");
  assert.equal((await http(`${daemon.url}/metrics`, { token: daemon.token })).status, 200);
});

test("X3: `authorization` of a cloud's message decides, checked by the daemon; a VM's own token is no caller", async () => {
  await using issuer = await Issuer.start();
  const authorization = { default_role: "looker", ...roles };
  await using system = await startSystem({ ...believing(issuer, { authorization }), config: networks });
  const { operator, daemon } = system;
  // What the operator may at the cloud is not what the cloud may here.
  const plain = await operator.post(execute("one"));
  assert.deepEqual(
    [plain.error.code, plain.error.data.permission, plain.error.data.role],
    [1002, "process:execute", "looker"],
  );
  const as = async (id: string, token: string): Promise<Message> =>
    operator.post({ ...execute(id), authorization: token });
  assert.equal((await as("two", issuer.token({ role: "vm-instance" }))).result.stdout, "hello\n");
  assert.equal((await as("three", issuer.token({ role: "none" }))).error.code, 1002);
  for (const token of ["", "x", issuer.token({ iss: "evil" }), daemon.token.slice(1)])
    assert.equal((await as("four", token)).error.code, 1001, token);
  assert.equal(typeof (await operator.call("system/health")).status, "string");

  const own = readFileSync(join(daemon.home, "data/auth/access_token"), "utf8").trim();
  using socket = await connectSocket(daemon.program.ready.socket);
  await assert.rejects(socket.call("auth/login", { token: own }), /1001/);
  assert.equal((await as("five", own)).error.code, 1001);
});

test("X3: the token of a VM, which its cloud has signed, opens no VM, though it is checked by the cloud's own keys", async () => {
  await using system = await startSystem({ config: networks });
  const { daemon } = system;
  const own = readFileSync(join(daemon.home, "data/auth/access_token"), "utf8").trim();
  using socket = await connectSocket(daemon.program.ready.socket);
  await assert.rejects(socket.call("auth/login", { token: own }), /a VM's own access token/);
  await assert.rejects(socket.call("system/health"), /1001/);
});
