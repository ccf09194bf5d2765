/**
 * Goal: X2: what is configured of TLS holds on every connection, on requests and on the WebSocket alike: authority, name, pins, a
 * client certificate.
 * Method: a real TLS server with certificates that are made here; the real clients.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { TLSSocket } from "node:tls";
import type { TlsPolicy } from "@hl/config/tls-policy.ts";
import { connectWebSocket } from "@hl/core/rpc/connect-websocket.ts";
import { systemClock } from "@hl/core/clock.ts";
import { makeAuthority, type TestCertificate } from "@hl/testkit/certificates.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { WebSocketServer } from "ws";
import { testConnect } from "../network/testing/open-connect.ts";
import { TlsContexts } from "../network/tls-context.ts";
import { CloudHttp } from "./http.ts";
import {
  certificateState,
  cloudTls as cloudTlsOf,
  refusalOf,
  type CloudTls,
  type CloudTlsOptions,
  type TlsFiles,
} from "./tls.ts";
const never = new AbortController().signal;
const policy: TlsPolicy = {
  minVersion: "TLSv1.3",
  maxVersion: "TLSv1.3",
  ciphers: "TLS_AES_256_GCM_SHA384",
  rejectUnauthorized: true,
  verifyHostname: true,
  pins: undefined,
};

/** On a machine without a store of authorities: nothing is trusted but what a test says. */
const cloudTls = (rules: TlsPolicy, files: TlsFiles, own: Partial<CloudTlsOptions> = {}): CloudTls =>
  cloudTlsOf(rules, files, { contexts: new TlsContexts(), systemStores: [], ...own });

/** Says who the client is: "nobody", or the name in its certificate. */
class TlsCloud implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets: WebSocketServer;

  private constructor(server: Server) {
    this.#server = server;
    this.#sockets = new WebSocketServer({ server });
  }

  static async start(own: TestCertificate, ca: string): Promise<TlsCloud> {
    const options = { cert: own.cert, key: own.key, ca, requestCert: true, rejectUnauthorized: false };
    const server = createServer(options, (request, response) => {
      const { socket } = request;
      const isKnown = socket instanceof TLSSocket && socket.authorized;
      const name = isKnown ? socket.getPeerCertificate().subject.CN : "nobody";
      request.resume().on("end", () => response.end(JSON.stringify({ jsonrpc: "2.0", id: 1, result: name })));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new TlsCloud(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** What a request is answered, and whether a WebSocket opens; or why not. */
  async ask(tls: CloudTls, host = "127.0.0.1"): Promise<readonly [unknown, string]> {
    const connect = testConnect({ tls: tls.options });
    await using http = new CloudHttp({
      clock: systemClock,
      timeoutMs: 10_000,
      connectionsMax: 1,
      answerBytesMax: 10_000,
      connect,
      retryAfterMaxMs: 1_000,
    });
    const text = (error: unknown): string => (error as Error).message;
    const answer = await http.call(`https://${host}:${this.port}/x`, "m", {}, undefined, never).catch(text);
    const url = `wss://${host}:${this.port}/x`;
    const opened = connect(new URL(url), never).then((connection) =>
      connectWebSocket({ url, messageBytesMax: 1_000, timeoutMs: 10_000, connection }),
    );
    const socket = await opened.then((open) => {
      open.terminate();
      return "open";
    }, text);
    return [answer, socket];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }
}

test("X2: authority, name, pins and client certificate hold for requests and for the command channel", async () => {
  using folder = temporaryFolder("hl-tls");
  mkdirSync(join(folder.path, "auth"));
  const file = (name: string, content: string): string => {
    const path = join(folder.path, "auth", name);
    writeFileSync(path, content);
    return path;
  };
  const authority = makeAuthority();
  const server = authority.issue("cloud");
  const client = authority.issue("vm-7");
  const files: TlsFiles = {
    ca: file("ca.crt", authority.cert),
    cert: file("client.crt", client.cert),
    key: file("client.key", client.key),
  };
  const none = join(folder.path, "none");
  const bare = { ca: files.ca, cert: none, key: none };
  await using cloud = await TlsCloud.start(server, authority.cert);

  assert.deepEqual(await cloud.ask(cloudTls(policy, bare)), ["nobody", "open"]);
  assert.deepEqual(await cloud.ask(cloudTls(policy, files)), ["vm-7", "open"]);
  assert.equal(cloudTls(policy, files).hasCertificate, true);
  assert.equal(cloudTls(policy, { ...bare, cert: files.cert }).hasCertificate, false, "a key belongs to it");

  const both = (wanted: RegExp, answers: readonly [unknown, string]): void => {
    for (const answer of answers) assert.match(String(answer), wanted);
  };
  both(/comes from an authority that is not trusted/, await cloud.ask(cloudTls(policy, { ...bare, ca: none })));
  const other = file("other.crt", makeAuthority("test authority").cert);
  both(/certificate|signature/i, await cloud.ask(cloudTls(policy, { ...bare, ca: other })));

  const pinned = (...pins: string[]): CloudTls => cloudTls({ ...policy, pins }, bare);
  assert.deepEqual(await cloud.ask(pinned(client.pin, server.pin)), ["nobody", "open"], "one of several");
  both(/is not pinned: it is sha256:/, await cloud.ask(pinned(client.pin)));
  both(/is not pinned/, await cloud.ask(pinned(authority.pin)));
  both(/is not pinned/, await cloud.ask(pinned()));

  const told: string[] = [];
  const reported = cloudTls({ ...policy, pins: [client.pin], pinReportOnly: true }, bare, {
    onUnpinned: (problem) => void told.push(problem),
  });
  assert.deepEqual(await cloud.ask(reported), ["nobody", "open"], "report-only");
  assert.equal(told.length, 2);
  for (const text of told) assert.ok(text.includes(server.pin), text);
});

test("X2: a client certificate of which half is there, that does not fit its key, or a list of authorities without one is told", () => {
  using folder = temporaryFolder("hl-tls");
  const file = (name: string, content: string): string => {
    const path = join(folder.path, name);
    writeFileSync(path, content);
    return path;
  };
  const authority = makeAuthority();
  const [one, other] = [authority.issue("one"), authority.issue("other")];
  const none = join(folder.path, "none");
  const files = { ca: file("ca.crt", authority.cert), cert: file("one.crt", one.cert), key: file("one.key", one.key) };
  assert.equal(certificateState(files), "whole");
  assert.equal(certificateState({ cert: none, key: none }), "none");
  for (const missing of [{ cert: none }, { key: none }]) {
    const half = { ...files, ...missing };
    assert.deepEqual([certificateState(half), cloudTls(policy, half).hasCertificate], ["half", false]);
  }
  const mixed = { ...files, key: file("other.key", other.key) };
  assert.throws(() => cloudTls(policy, mixed), /one\.crt and the key in .*other\.key cannot be used .*belong together/);
  const empty = { ...files, ca: file("empty.crt", "\n") };
  assert.throws(() => cloudTls(policy, empty), /empty\.crt has no certificate of an authority/);
  const tls = { pins: undefined, rejectUnauthorized: true };
  assert.match(refusalOf("https://api.example.com", tls, undefined, files) ?? "", /only one is there: put .*one\.crt/);
});

test("X2: without a file of authorities those of the machine are trusted, and with one no others", async () => {
  using folder = temporaryFolder("hl-tls");
  const file = (name: string, content: string): string => {
    const path = join(folder.path, name);
    writeFileSync(path, content);
    return path;
  };
  const [ofMachine, configured] = [makeAuthority("machine"), makeAuthority("configured")];
  const none = join(folder.path, "none");
  const systemStores = [none, file("store.crt", configured.cert + ofMachine.cert)];
  await using cloud = await TlsCloud.start(ofMachine.issue("cloud"), ofMachine.cert);
  const bare = { ca: none, cert: none, key: none };
  assert.deepEqual(await cloud.ask(cloudTls(policy, bare, { systemStores })), ["nobody", "open"]);
  const ca = file("ca.crt", configured.cert);
  const [answer] = await cloud.ask(cloudTls(policy, { ...bare, ca }, { systemStores }));
  assert.match(String(answer), /comes from an authority that is not trusted/);
});

test("X2: a server that is named otherwise is refused, unless that is configured", async () => {
  using folder = temporaryFolder("hl-tls");
  const authority = makeAuthority();
  const ca = join(folder.path, "ca.crt");
  writeFileSync(ca, authority.cert);
  const none = join(folder.path, "none");
  const files = { ca, cert: none, key: none };
  // The certificate of the authority itself names no host at all.
  await using cloud = await TlsCloud.start(authority, authority.cert);
  const [answer, socket] = await cloud.ask(cloudTls(policy, files));
  for (const text of [answer, socket]) assert.match(String(text), /its certificate is for another name/);
  assert.deepEqual(await cloud.ask(cloudTls({ ...policy, verifyHostname: false }, files)), ["nobody", "open"]);
});

// Goal: X2: no connection is made that is weaker than configured. Method: each kind of pinning against each kind of address.
test("X2: pinning that cannot be enforced refuses the connection and says what to change", () => {
  const https = "https://api.example.com";
  const rejectUnauthorized = true;
  assert.match(refusalOf(https, { pins: [], rejectUnauthorized }) ?? "", /placeholder/);
  assert.equal(refusalOf(https, { pins: ["sha256:x"], rejectUnauthorized }), undefined, "it is checked: tls.test.ts");
  const unchecked = { pins: ["sha256:x"], rejectUnauthorized: false };
  assert.match(refusalOf(https, unchecked) ?? "", /certificate_validation .* is false/);
  assert.equal(refusalOf(https, { pins: undefined, rejectUnauthorized }), undefined);
  assert.equal(refusalOf("http://127.0.0.1:7070", { pins: [], rejectUnauthorized }), undefined, "nothing to pin");
});

test("X2: a client certificate that is demanded and not there refuses the connection and says where it belongs", () => {
  const tls = { pins: undefined, rejectUnauthorized: true };
  const missing = { cert: "/a/client.crt", key: "/a/client.key" };
  assert.match(refusalOf("https://api.example.com", tls, missing) ?? "", /\/a\/client\.crt .* \/a\/client\.key/);
  assert.match(refusalOf("http://127.0.0.1:1", tls, missing) ?? "", /no TLS/);
});
