/**
 * Goal: X2: whatever is wrong with a server's TLS, there is no connection, by requests and by the command channel alike, and the text says
 * what is wrong and what to do (docs/tls.md).
 * Method: real servers on loopback with certificates that are made here; the real clients, with a policy as the configuration makes it.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer as createPlainServer } from "node:http";
import { createServer, type ServerOptions } from "node:https";
import { createServer as createSocketServer, type AddressInfo, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TlsPolicy } from "@hl/config/tls-policy.ts";
import { systemClock } from "@hl/core/clock.ts";
import { silentLogger } from "@hl/core/logger.ts";
import { defaultTransportLimits } from "@hl/core/rpc/transport.ts";
import { makeAuthority, makeKeys, type TestCertificate } from "@hl/testkit/certificates.ts";
import { ManualClock, settled } from "@hl/testkit/manual-clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { WebSocketServer } from "ws";
import { testConnect } from "../network/testing/open-connect.ts";
import { TlsContexts } from "../network/tls-context.ts";
import { tlsCases, type TlsCaseName } from "../network/tls-docs.ts";
import { tlsFailures } from "../network/tls-failure.ts";
import { ChannelPaths } from "./channel-paths.ts";
import { CloudHttp } from "./http.ts";
import { cloudTls } from "./tls.ts";

const never = new AbortController().signal;
const dayMs = 86_400_000;
const authority = makeAuthority("trusted");
const middle = authority.intermediate("middle");
const stranger = makeAuthority("stranger");
const keys = makeKeys();
const server = authority.issue("cloud", { keys });
const client = authority.issue("vm-7");

interface Setup {
  /** What listens; a server of HTTPS with these options where it is none itself. */
  readonly listener: ServerOptions | Server | typeof demanding;
  readonly policy?: Partial<TlsPolicy>;
  readonly client?: TestCertificate;
  /** The text that both clients reject with; undefined where they connect. */
  readonly said?: RegExp;
  /** The clock is moved on by hand: time has to run out. */
  readonly runsOut?: boolean;
}

const by = ({ cert, key }: TestCertificate, ...above: TestCertificate[]): ServerOptions => ({
  cert: [cert, ...above.map((one) => one.cert)].join(""),
  key,
});
const issued = (options: Parameters<typeof authority.issue>[1]): ServerOptions => by(authority.issue("cloud", options));
/**
 * A server that judges client certificates in the handshake and says so by an alert, as nginx and most others do. Node's own looks at them
 * afterwards, and hl-cloud answers 401 in words.
 */
const demanding = Symbol("openssl s_server");
const hasOpenSsl = spawnSync("openssl", ["version"]).status === 0;
const tls12 = { minVersion: "TLSv1.2", ciphers: "TLS_AES_256_GCM_SHA384:ECDHE-ECDSA-AES256-GCM-SHA384" } as const;

/** A bare TCP server that does as it likes with what should be a handshake. */
function bare(onHello: (socket: Socket) => void): Server {
  const listening = createSocketServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => {
      onHello(socket);
      listening.emit("hello");
    });
  });
  return listening;
}

const setups: Record<TlsCaseName, () => Setup> = {
  "a certificate of a trusted authority": () => ({ listener: by(server) }),
  "a certificate for another name": () => ({ listener: issued({ dnsNames: ["other.example"] }) }),
  "an expired certificate": () => ({
    listener: issued({ fromMs: Date.now() - 9 * dayMs, untilMs: Date.now() - dayMs }),
  }),
  "a certificate that is not valid yet": () => ({ listener: issued({ fromMs: Date.now() + dayMs }) }),
  "a certificate that is signed by itself": () => ({ listener: by(stranger) }),
  "a chain up to an authority that is not trusted": () => ({ listener: by(stranger.issue("cloud"), stranger) }),
  "a certificate of an unknown authority alone": () => ({ listener: by(stranger.issue("cloud")) }),
  "a trusted authority's name on a certificate that it has not signed": () => ({
    listener: by(makeAuthority("trusted").issue("cloud")),
  }),
  "a chain without the intermediate certificate": () => ({ listener: by(middle.issue("cloud")) }),
  "a chain with the intermediate certificate": () => ({ listener: by(middle.issue("cloud"), middle) }),
  "a server that speaks TLS 1.2 where 1.3 is demanded": () => ({ listener: { ...by(server), maxVersion: "TLSv1.2" } }),
  "a server that speaks TLS 1.1 where 1.2 is allowed": () => ({
    listener: { ...by(server), minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT:@SECLEVEL=0" },
    policy: tls12,
  }),
  "a server with no cipher suite in common": () => ({
    listener: { ...by(server), minVersion: "TLSv1.3", ciphers: "TLS_CHACHA20_POLY1305_SHA256" },
  }),
  "a server of TLS 1.2 with suites that are too weak": () => ({
    listener: { ...by(server), maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-SHA" },
    policy: tls12,
  }),
  "a plain HTTP server on the port": () => ({
    listener: createPlainServer((_request, response) => void response.end("hello")),
  }),
  "a server that never finishes the handshake": () => ({
    listener: bare(() => {}),
    runsOut: true,
    said: /the TLS handshake was not done within 10000 ms/,
  }),
  "a server that ends the connection in the handshake": () => ({ listener: bare((socket) => void socket.end()) }),
  "a key that is pinned": () => ({ listener: by(server), policy: { pins: [server.pin] } }),
  "the second of two pinned keys": () => ({ listener: by(server), policy: { pins: [client.pin, server.pin] } }),
  "a key that is not pinned": () => ({
    listener: by(server),
    policy: { pins: [client.pin] },
    said: unpinnedSaying(server.pin),
  }),
  "a key whose pin was taken out": () => ({
    listener: issued({ keys }),
    policy: { pins: [client.pin] },
    said: unpinnedSaying(server.pin),
  }),
  "a pin of the authority in place of the server's key": () => ({
    listener: by(server, authority),
    policy: { pins: [authority.pin] },
    said: unpinnedSaying(server.pin),
  }),
  "a key that is not pinned, with pin_report_only": () => ({
    listener: by(server),
    policy: { pins: [client.pin], pinReportOnly: true },
  }),
  "a server that demands a client certificate": () => ({ listener: demanding }),
  "a server that does not know the client certificate's authority": () => ({
    listener: demanding,
    client: stranger.issue("vm-7"),
  }),
  "a server that knows the client certificate": () => ({
    listener: { ...by(server), ca: authority.cert, requestCert: true, rejectUnauthorized: true },
    client,
  }),
};

function unpinnedSaying(pin: string): RegExp {
  const escaped = pin.replace(/[+/]/g, "\\$&");
  return new RegExp(`is not pinned: it is ${escaped}, and pin_hashes .* Add it there if`);
}

describe("TLS failures", () => {
  for (const { name, said: expected } of Object.values(tlsCases)) {
    test(name, async (context) => {
      const made = setups[name]();
      if (made.listener === demanding && !hasOpenSsl) {
        context.skip("NOT TESTED: there is no openssl on this machine");
        return;
      }
      const answers = await ask(made);
      if (typeof expected !== "string" && made.said === undefined) {
        assert.deepEqual(answers, ["answered", "open"]);
        return;
      }
      for (const answer of answers) {
        if (typeof expected !== "string") assert.match(answer, made.said!);
        else {
          const { wrong, todo } = tlsFailures[expected]!;
          assert.ok(answer.includes(`127.0.0.1:`), answer);
          assert.ok(answer.includes(`failed: ${wrong} (`) && answer.endsWith(`: ${todo}`), answer);
        }
      }
    });
  }
});

/** What a request and a command channel make of the server: "answered" and "open", or why not. */
async function ask({ listener, policy, client: own, runsOut = false }: Setup): Promise<[string, string]> {
  using folder = temporaryFolder("hl-tls");
  await using stack = new AsyncDisposableStack();
  const file = (name: string, content = ""): string => {
    const path = join(folder.path, name);
    if (content !== "") writeFileSync(path, content);
    return path;
  };
  const files = {
    ca: file("ca.crt", authority.cert),
    cert: file("client.crt", own?.cert),
    key: file("client.key", own?.key),
  };
  const rules: TlsPolicy = {
    minVersion: "TLSv1.3",
    maxVersion: "TLSv1.3",
    ciphers: "TLS_AES_256_GCM_SHA384",
    rejectUnauthorized: true,
    verifyHostname: true,
    pins: undefined,
    ...policy,
    ...(policy?.minVersion === "TLSv1.2" ? { maxVersion: "TLSv1.3" } : {}),
  };
  let hellos = 0;
  if (listener !== demanding && "listen" in listener) listener.on("hello", () => (hellos += 1));
  const port = listener === demanding ? await startOpenSsl(stack, file) : await listen(stack, listener);
  const clock = runsOut ? new ManualClock() : systemClock;
  const { options } = cloudTls(rules, files, { contexts: new TlsContexts(), systemStores: [] });
  const connect = testConnect({ clock, tls: options });
  const http = stack.use(
    new CloudHttp({
      clock,
      timeoutMs: 20_000,
      connectionsMax: 1,
      answerBytesMax: 10_000,
      retryAfterMaxMs: 1_000,
      connect,
    }),
  );
  const paths = new ChannelPaths({
    ...{ clock, random: () => 0, logger: silentLogger, http, limits: defaultTransportLimits, connect },
    ...{ pingIntervalMs: 0, deadAfterMs: 0, connectTimeoutMs: 20_000, retryAfterMaxMs: 1_000 },
    ...{ longPollAfter: 3, longPollWaitMs: 1_000, webSocketRetryMs: 1_000 },
    target: async () => ({ url: `https://127.0.0.1:${port}/`, token: "t" }),
    renew: async () => {},
  });
  const text = (error: unknown): string => (error as Error).message;
  const answered = http.call(`https://127.0.0.1:${port}/x`, "m", {}, undefined, never).then(() => "answered", text);
  const opened = paths.open(never).then(({ transport }) => {
    transport.close("done");
    return "open";
  }, text);
  let isDone = false;
  const both = Promise.all([answered, opened]).finally(() => (isDone = true));
  while (clock instanceof ManualClock && !isDone) {
    if (hellos === 2) await clock.advance(10_000);
    else await settled();
  }
  return await both;
}

async function startOpenSsl(
  stack: AsyncDisposableStack,
  file: (name: string, content?: string) => string,
): Promise<number> {
  const own = ["-cert", file("server.crt", server.cert), "-key", file("server.key", server.key)];
  const demands = ["-Verify", "1", "-verify_return_error", "-CAfile", file("clients.crt", authority.cert)];
  const child = spawn("openssl", ["s_server", "-accept", "127.0.0.1:0", "-tls1_3", "-www", ...own, ...demands], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  const exited = once(child, "exit");
  stack.defer(async () => {
    child.kill();
    await exited;
  });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let said = "";
  child.stdout.on("data", (text: Buffer) => {
    said += text.toString("utf8");
    const port = /ACCEPT 127\.0\.0\.1:(\d+)/.exec(said)?.[1];
    if (port !== undefined) resolve(Number(port));
  });
  child.once("exit", () => reject(new Error(`openssl has not begun to listen: ${said}`)));
  return promise;
}

async function listen(stack: AsyncDisposableStack, listener: Exclude<Setup["listener"], symbol>): Promise<number> {
  const own = "listen" in listener ? listener : undefined;
  const listening =
    own ??
    createServer(listener as ServerOptions, (request, response) => {
      request.resume().on("end", () => response.end('{"jsonrpc":"2.0","id":1,"result":{}}'));
    });
  if (own === undefined) new WebSocketServer({ server: listening as ReturnType<typeof createServer> });
  const sockets = new Set<Socket>();
  listening.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  listening.listen(0, "127.0.0.1");
  await once(listening, "listening");
  stack.defer(async () => {
    listening.close();
    for (const socket of sockets) socket.destroy();
    await once(listening, "close");
  });
  return (listening.address() as AddressInfo).port;
}
