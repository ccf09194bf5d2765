/**
 * Goal: X3 on a connection whose login takes a moment or does not last: what is sent behind a login is judged by what comes of it, the last
 * login counts, and a connection ends with the token of its caller. Method: the real session and socket with an authenticator that the
 * test answers; time moved by hand.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { defaultTransportLimits } from "@hl/core/rpc/transport.ts";
import type { Call } from "@hl/core/rpc/answer.ts";
import type { CallRecord } from "@hl/protocol/dispatch.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { Caller } from "@hl/protocol/method.ts";
import { shippedRoles } from "@hl/protocol/permissions.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { connectSocket } from "@hl/testkit/message-client.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import type { Authenticate } from "./local-token.ts";
import { SessionFactory, type Session, type SessionFactoryOptions } from "./session.ts";
import { SocketServer } from "./socket-server.ts";
import { wideConnections, wideRates } from "./testing/wide-limits.ts";

const socket = { via: "socket", from: "unix socket" } as const;
const named = (subject: string, more: Partial<Caller> = {}): Caller => ({
  ...{ role: "admin", subject, via: "socket" },
  ...more,
});

function factory(authenticate: Authenticate, more: Partial<SessionFactoryOptions> = {}): SessionFactory {
  const handlers = {
    "system/ping": async (_params: unknown, call: { caller: Caller }) => ({ pong: call.caller.subject }),
  } as unknown as SessionFactoryOptions["handlers"];
  return new SessionFactory({
    ...{ handlers, authenticate, roles: shippedRoles, clock: new ManualClock() },
    ...{ wireError: { stackTrace: false }, observe: () => {}, limits: wideRates(new ManualClock()), ...more },
  });
}

function ask(session: Session, method: string, params: object = {}, authorization?: string): Promise<unknown> {
  const call: Call = {
    ...{ id: 1, signal: new AbortController().signal, canNotify: false },
    ...{ notify: async () => {}, notifyBytes: async () => {}, stream: () => {} },
  };
  return session.handler.request({ kind: "request", id: 1, method, params, authorization }, call);
}

test("X3: what is sent behind a login waits for it, and for the last of several", async () => {
  const [first, second] = [Promise.withResolvers<Caller>(), Promise.withResolvers<Caller>()];
  const session = factory((token) => (token === "1" ? first.promise : second.promise)).open(socket);
  const logins = [ask(session, "auth/login", { token: "1" }), ask(session, "auth/login", { token: "2" })];
  const behind = ask(session, "system/ping");
  second.resolve(named("second"));
  first.resolve(named("first"));
  assert.deepEqual(await Promise.all(logins), [
    { role: "admin", subject: "first" },
    { role: "admin", subject: "second" },
  ]);
  assert.deepEqual(await behind, { pong: "second" });
});

test("X3: a login that is refused leaves nobody, and one that is refused later leaves who was there", async () => {
  let refused = Promise.withResolvers<Caller>();
  const session = factory((token) => (token === "good" ? named("good") : refused.promise)).open(socket);
  const attempt = ask(session, "auth/login", { token: "bad" });
  const behind = ask(session, "system/ping");
  refused.reject(new HlError("unauthenticated", "no"));
  await assert.rejects(attempt, { message: "no" });
  await assert.rejects(behind, { type: "unauthenticated" });
  await ask(session, "auth/login", { token: "good" });
  refused = Promise.withResolvers();
  refused.reject(new HlError("unauthenticated", "no"));
  await assert.rejects(ask(session, "auth/login", { token: "bad" }));
  assert.deepEqual(await ask(session, "system/ping"), { pong: "good" });
});

test("X3: only the cloud's link carries requests for others", async () => {
  const records: CallRecord[] = [];
  const tokens: string[] = [];
  const made = factory(
    (token, via) => {
      tokens.push(token);
      return token === "jwt" ? named("alice", { via, role: "nothing" }) : undefined;
    },
    { observe: (record) => records.push(record) },
  );
  const link = made.open({ via: "cloud", from: "cloud" }, named("cloud", { role: "vm-instance", via: "cloud" }));
  for (const token of ["jwt", "Bearer jwt"])
    assert.deepEqual(await ask(link, "system/ping", {}, token), { pong: "alice" });
  await assert.rejects(ask(link, "system/health", {}, "jwt"), { type: "permission_denied" });
  await assert.rejects(ask(link, "system/ping", {}, "other"), { type: "unauthenticated" });
  assert.deepEqual(
    records.map(({ caller, error }) => [caller?.subject, (error as HlError | undefined)?.type]),
    [
      ["alice", undefined],
      ["alice", undefined],
      ["alice", "permission_denied"],
      ["cloud", "unauthenticated"],
    ],
  );
  assert.deepEqual(tokens, ["jwt", "jwt", "jwt", "other"]);
  const local = made.open(socket, named("local-token"));
  assert.deepEqual(await ask(local, "system/ping", {}, "other"), { pong: "local-token" });
});

test("X3: what is served beside the methods is judged by the same rules", () => {
  const made = factory(() => undefined);
  made.require(named("x", { role: "vm-instance" }), "system:monitor", "GET /metrics");
  assert.throws(() => made.require(undefined, "any", "GET /metrics"), { type: "unauthenticated" });
  assert.throws(() => made.require(named("x", { role: "none" }), "system:monitor", "GET /metrics"), {
    type: "permission_denied",
    message: 'the role "none" lacks the permission "system:monitor" that GET /metrics needs',
  });
  factory(() => undefined, { checksRoles: false }).require(named("x", { role: "none" }), "system:monitor", "GET");
});

test("X3: a connection ends with the token of its caller; a newer login puts that off", async () => {
  using folder = temporaryFolder("hl-session");
  const clock = new ManualClock();
  const life: Readonly<Record<string, number>> = { short: 5_000, long: 9_000 };
  const authenticate: Authenticate = (token) => named(token, { expiresAtMs: life[token] });
  const path = join(folder.path, "s");
  await using server = new SocketServer({
    ...{ path, clock, limits: defaultTransportLimits, ...wideConnections() },
    session: factory(authenticate, { clock }),
  });
  await server.start();
  using renewed = await connectSocket(path, "short");
  using left = await connectSocket(path, "short");
  using forever = await connectSocket(path, "local-token");
  await renewed.call("auth/login", { token: "long" });
  await clock.advance(5_000);
  await left.closed;
  assert.deepEqual(await renewed.call("system/ping"), { pong: "long" });
  await clock.advance(4_000);
  await renewed.closed;
  assert.deepEqual(await forever.call("system/ping"), { pong: "local-token" });
});
