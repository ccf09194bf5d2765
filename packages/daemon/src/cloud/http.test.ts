/**
 * Goal: only an envelope of ours is an answer; everything else between us and the cloud is the network failing, within bounds.
 * Method: a server that sends each kind of answer, byte for byte.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { ServerResponse } from "node:http";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { errorTable, HlError } from "@hl/protocol/errors.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { failure, result, ScriptedCloud, type Responder } from "./cloud.fixture.test.ts";
import { CloudUnreachable, squeeze, timeoutMsOf, type CloudHttpOptions } from "./http.ts";

const never = new AbortController().signal;

const raw =
  (status: number, body: string, headers: Readonly<Record<string, string>> = {}): Responder =>
  (_received, response: ServerResponse) =>
    void response.writeHead(status, headers).end(body);

/** What a call gets for one answer. */
async function ask(
  responder: Responder,
  changes: Partial<CloudHttpOptions> = {},
  params: unknown = {},
): Promise<unknown> {
  await using cloud = await ScriptedCloud.start();
  await using http = cloud.client(new ManualClock(), changes);
  cloud.next(responder);
  return await http.call(`${cloud.url}/x`, "vm/heartbeat", params, "secret-token", never);
}

const unreachable =
  (pattern: RegExp, afterMs?: number) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof CloudUnreachable, String(error));
    assert.match(error.message, pattern);
    assert.ok(!error.message.includes("secret-token"), "X4");
    assert.equal(error.retryAfterMs, afterMs);
    return true;
  };

describe("cloud HTTP: what counts as an answer", () => {
  test("a result and an error of ours come through, the error as its type", async () => {
    assert.deepEqual(await ask((received) => result(received, { ok: true })), { ok: true });
    const refused = ask((received) => failure(received, errorTable.unauthenticated.code, "no", { retry: "never" }));
    await assert.rejects(refused, (error: unknown) => error instanceof HlError && error.type === "unauthenticated");
    await assert.rejects(
      ask((received) => failure(received, 4711, "odd")),
      { name: "RpcError", code: 4711 },
    );
  });

  test("a proxy's page, an empty or cut body, a request or a redirect are not answers, whatever their status", async () => {
    const valid = '{"jsonrpc":"2.0","id":1,"result":{}}';
    const cut: Responder = (_received, response) => {
      response.writeHead(200, { "content-length": "1000" }).write(valid);
      response.destroy();
    };
    const odd: [Responder, RegExp][] = [
      [raw(200, "<html>Welcome to the hotel</html>"), /answered 200 with something that is not ours/],
      [raw(200, ""), /not ours/],
      [raw(200, valid.slice(0, -1)), /not ours/],
      [raw(200, "[]"), /not ours/],
      [raw(200, '{"jsonrpc":"2.0","id":1,"method":"x"}'), /not ours/],
      [raw(200, `[${valid},{"jsonrpc":"2.0","method":"x"}]`), /not ours/],
      [raw(302, "", { location: "http://127.0.0.1:1/" }), /answered 302/],
      [raw(401, "<html>"), /answered 401/],
      [raw(500, valid), /answered 500/],
      [raw(502, "Bad Gateway"), /answered 502/],
      [cut, /cannot be reached/],
    ];
    for (const [responder, pattern] of odd) await assert.rejects(ask(responder), unreachable(pattern));
  });

  test("429 and 503 say how long to wait; the wait is bounded on both sides", async () => {
    const envelope = '{"jsonrpc":"2.0","id":null,"error":{"code":1003,"message":"slow down"}}';
    await assert.rejects(ask(raw(429, envelope, { "retry-after": "7" })), unreachable(/asks to wait \(429\)/, 7_000));
    await assert.rejects(ask(raw(503, "<html>", { "retry-after": "7" })), unreachable(/503/, 7_000));
    const moment = { "retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", date: "Wed, 21 Oct 2026 07:28:00 GMT" };
    await assert.rejects(ask(raw(503, envelope, moment)), unreachable(/503/, 30_000));
    await assert.rejects(ask(raw(503, envelope, { "retry-after": "999999" })), unreachable(/503/, 900_000));
  });

  test("P7: an answer over the limit is given up, announced or not, and the next request works", async () => {
    await using cloud = await ScriptedCloud.start();
    await using http = cloud.client(new ManualClock(), { answerBytesMax: 1_000 });
    const call = (): Promise<unknown> => http.call(`${cloud.url}/x`, "m", {}, undefined, never);
    cloud.next(raw(200, "x".repeat(1_001)), (_received, response) => {
      for (let at = 0; at < 20; at += 1) response.write("x".repeat(100));
      response.end();
    });
    await assert.rejects(call(), unreachable(/over 1000 bytes/));
    await assert.rejects(call(), unreachable(/over 1000 bytes/));
    cloud.next((received) => result(received, { text: "x".repeat(900) }));
    await call();
  });

  test("an abort is the caller's own and not a failure of the network", async () => {
    await using cloud = await ScriptedCloud.start();
    await using http = cloud.client(new ManualClock());
    const stop = new AbortController();
    const reason = new Error("stopping");
    cloud.next(() => {
      stop.abort(reason);
    });
    await assert.rejects(http.call(`${cloud.url}/x`, "m", {}, undefined, stop.signal), reason);
  });
});

describe("cloud HTTP: what is sent", () => {
  test("large bodies are compressed, small ones and those of who does not want it are not; the token is a header", async () => {
    await using cloud = await ScriptedCloud.start();
    await using http = cloud.client(new ManualClock());
    await using plain = cloud.client(new ManualClock(), { compression: undefined });
    cloud.otherwise((received) => result(received, {}));
    const large = { text: "é".repeat(2_000) };
    await http.call(`${cloud.url}/a`, "m", large, "t", never);
    await http.call(`${cloud.url}/b`, "m", {}, undefined, never);
    await plain.call(`${cloud.url}/c`, "m", large, "t", never);
    assert.deepEqual(
      cloud.received.map(({ path, compressed, authorization }) => [path, compressed, authorization]),
      [
        ["/a", true, "Bearer t"],
        ["/b", false, undefined],
        ["/c", false, "Bearer t"],
      ],
    );
    assert.deepEqual(cloud.received[0]?.body.params, large);
  });

  test("compressing begins at the size and has the level that are configured, and what it saves is 64 bytes or more", async () => {
    const compression = { level: 6, bytesMin: 256 };
    assert.equal(await squeeze("a".repeat(255), compression), undefined);
    assert.ok((await squeeze("a".repeat(256), compression)) !== undefined);
    assert.ok((await squeeze("a".repeat(255), { level: 6, bytesMin: 255 })) !== undefined);
    const prose = Array.from({ length: 2_000 }, (_, number) => `event ${number % 37} of ${number % 101}`).join();
    const [fast, small] = await Promise.all([1, 9].map((level) => squeeze(prose, { level, bytesMin: 256 })));
    assert.ok(fast !== undefined && small !== undefined && small.length < fast.length);
    // Noise saves nothing; each more of what is behind it saves a little more.
    const noise = randomBytes(600)
      .toString("latin1")
      .replaceAll(/[^\x20-\x7e]/g, "");
    const saved = new Set<boolean>();
    for (let count = 0; count < 400; count += 1) {
      const text = noise + "a".repeat(count);
      const isWorth = gzipSync(text).length <= text.length - 64;
      if (text.length < 256) continue;
      assert.equal((await squeeze(text, compression)) !== undefined, isWorth, `${count} behind ${noise.length}`);
      saved.add(isWorth);
    }
    assert.equal(saved.size, 2, "both sides of the limit");
  });

  test("a request has a second more for each 64 KiB of its body that has begun", async () => {
    const table = { 0: 30_000, 1: 31_000, 65_536: 31_000, 65_537: 32_000, 1_048_576: 46_000 };
    for (const [bytes, ms] of Object.entries(table)) assert.equal(timeoutMsOf(30_000, Number(bytes)), ms, bytes);
    await using cloud = await ScriptedCloud.start();
    const clock = new ManualClock();
    await using http = cloud.client(clock, { compression: undefined, timeoutMs: 100, connectionsMax: 2 });
    const bothAreThere = Promise.withResolvers<undefined>();
    const smallIsOver = Promise.withResolvers<undefined>();
    let asked = 0;
    cloud.otherwise(async (received) => {
      asked += 1;
      if (asked === 2) bothAreThere.resolve(undefined);
      if (received.path === "/small") return undefined; // Never.
      await smallIsOver.promise;
      return result(received, { late: true });
    });
    const large = http.call(`${cloud.url}/large`, "m", { pad: "x".repeat(1_048_576) }, "t", never);
    const small = http.call(`${cloud.url}/small`, "m", {}, "t", never);
    const refused = assert.rejects(small, unreachable(/cannot be reached: .* not there within 1100 ms/));
    await bothAreThere.promise;
    await clock.advance(1_100);
    await refused;
    smallIsOver.resolve(undefined);
    assert.deepEqual(await large, { late: true });
    assert.equal(clock.timers, 0, "an answer leaves no timer behind");
  });

  test("a batch has one outcome for each request, whatever order, and none where the answer has none", async () => {
    await using cloud = await ScriptedCloud.start();
    await using http = cloud.client(new ManualClock());
    const one = (id: unknown, value: unknown): object => ({ jsonrpc: "2.0", id, result: value });
    cloud.next(() => [
      one(2, "c"),
      one(0, "a"),
      one("1", "not ours"),
      one(99, "nobody's"),
      one(-1, "x"),
      one(null, "y"),
    ]);
    const outcomes = await http.batch(`${cloud.url}/e`, "event/stream", ['{"a":1}', '{"b":2}', '{"c":3}'], "t", never);
    assert.deepEqual(outcomes.slice(0, 3), [{ result: "a" }, undefined, { result: "c" }]);
    assert.deepEqual(
      (cloud.received[0]!.body as { params: unknown }[]).map(({ params }) => params),
      [{ a: 1 }, { b: 2 }, { c: 3 }],
    );
    cloud.next(() => ({ jsonrpc: "2.0", id: null, error: { code: 1001, message: "who?" } }));
    const refused = http.batch(`${cloud.url}/e`, "event/stream", ["{}"], "t", never);
    await assert.rejects(refused, (error: unknown) => error instanceof HlError && error.type === "unauthenticated");
  });
});
