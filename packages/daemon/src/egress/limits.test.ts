/** Goal: every limit of the proxy holds where it stands and says so. Method: real sockets just below and just over each of them. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { describe, test } from "node:test";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { EgressFixture, headOf, textOf } from "./egress.fixture.test.ts";
import { boundedResolver } from "../network/route.ts";

const echo = (socket: Socket): void => void socket.pipe(socket);

describe("egress limits", () => {
  test("connectionsMax: one more is answered 503 and reaches nobody; a place that is left can be taken", async () => {
    await using fixture = await EgressFixture.start({ allowed: ["127.0.0.1"], limits: { connectionsMax: 2 } });
    let reached = 0;
    const port = await fixture.serve((socket) => {
      reached += 1;
      echo(socket);
    });
    const destination = `127.0.0.1:${port}`;
    const [first, second] = [await fixture.tunnel(destination), await fixture.tunnel(destination)];
    const third = await fixture.tunnel(destination);
    assert.match(third.head, /^HTTP\/1\.1 503 /);
    assert.match(await textOf(third.socket), /2 connections/);
    assert.equal(reached, 2);
    for (const { socket } of [first, second]) assert.ok(!socket.destroyed);
    first.socket.end();
    await once(first.socket.resume(), "close");
    // The proxy sees the end a moment before or after we do.
    let head = "";
    while (!head.startsWith("HTTP/1.1 200 ")) ({ head } = await fixture.tunnel(destination));
  });

  test("headerBytesMax: headers within pass, over it are answered 431", async () => {
    await using fixture = await EgressFixture.start({ allowed: [], limits: { headerBytesMax: 2_048 } });
    const ask = (bytes: number): Promise<{ status: number }> =>
      fixture.ask("http://a.example/", { headers: { "x-filler": "x".repeat(bytes) } });
    assert.equal((await ask(1_800)).status, 403);
    assert.equal((await ask(2_100)).status, 431);
  });

  test("headerWaitMs: headers that do not come to their end are answered 408", async () => {
    await using fixture = await EgressFixture.start({ limits: { headerWaitMs: 50 } });
    const socket = await fixture.open();
    socket.write("GET http://a.example/ HTTP/1.1\r\nHost: a");
    assert.match(await headOf(socket), /^HTTP\/1\.1 408 /);
    assert.match(await textOf(socket), /within 50 ms/);
  });

  test("connectMs: a name or an address that does not answer is 504, and late answers do no harm", async () => {
    const clock = new ManualClock();
    const resolving = Promise.withResolvers<readonly string[]>();
    const asked = Promise.withResolvers<undefined>();
    await using fixture = await EgressFixture.start({
      allowed: ["slow.example", "127.0.0.1"],
      limits: { connectMs: 1_000 },
      clock,
      resolve: () => (asked.resolve(undefined), resolving.promise),
    });
    const tunnel = fixture.tunnel("slow.example:443");
    await asked.promise;
    await clock.advance(999);
    assert.equal(fixture.decisions.length, 0);
    await clock.advance(1);
    assert.match((await tunnel).head, /^HTTP\/1\.1 504 /);
    assert.deepEqual(
      fixture.decisions.map(({ decision }) => decision),
      ["fail"],
    );
    resolving.resolve(["127.0.0.1"]);
  });

  test("lookupsMax: look-ups that were given up count until they end; one more name is 502, the same name joins", async () => {
    const clock = new ManualClock();
    const lookups: PromiseWithResolvers<readonly string[]>[] = [];
    const asked: string[] = [];
    let onAsked = Promise.withResolvers<undefined>();
    const resolve = boundedResolver((host) => {
      asked.push(host);
      const lookup = Promise.withResolvers<readonly string[]>();
      lookups.push(lookup);
      return lookup.promise;
    }, 2);
    await using fixture = await EgressFixture.start({
      allowed: ["*.example", "127.0.0.1"],
      limits: { connectMs: 1_000 },
      clock,
      resolve: (host) => {
        onAsked.resolve(undefined);
        return resolve(host);
      },
    });
    const port = await fixture.serve(echo);
    for (const name of ["a.example", "b.example"]) {
      onAsked = Promise.withResolvers();
      const given = fixture.tunnel(`${name}:${port}`);
      await onAsked.promise;
      await clock.advance(1_000);
      assert.match((await given).head, /^HTTP\/1\.1 504 /);
    }
    const over = await fixture.tunnel(`c.example:${port}`);
    assert.match(over.head, /^HTTP\/1\.1 502 /);
    assert.match(await textOf(over.socket), /2 names are being looked up/);
    onAsked = Promise.withResolvers();
    const joining = fixture.tunnel(`a.example:${port}`);
    await onAsked.promise;
    lookups[0]!.resolve(["127.0.0.1"]);
    assert.match((await joining).head, /^HTTP\/1\.1 200 /);
    assert.deepEqual(asked, ["a.example", "b.example"]);
    lookups[1]!.reject(new Error("no such name"));
    onAsked = Promise.withResolvers();
    const next = fixture.tunnel(`c.example:${port}`);
    await onAsked.promise;
    lookups[2]!.resolve(["127.0.0.1"]);
    assert.match((await next).head, /^HTTP\/1\.1 200 /);
  });

  test("idleMs: a tunnel in which nothing moves is closed, one in which something moves is not", async () => {
    await using fixture = await EgressFixture.start({ allowed: ["127.0.0.1"], limits: { idleMs: 200 } });
    const port = await fixture.serve(echo);
    const [idle, lively] = [await fixture.tunnel(`127.0.0.1:${port}`), await fixture.tunnel(`127.0.0.1:${port}`)];
    let isOver = false;
    const over = once(idle.socket.resume(), "end").then(() => (isOver = true));
    while (!isOver) {
      lively.socket.write("ping");
      await once(lively.socket, "data");
    }
    await over;
    assert.ok(!lively.socket.destroyed);
    const silent = await fixture.serve((socket) => void socket.resume());
    assert.equal((await fixture.ask(`http://127.0.0.1:${silent}/`)).status, 504);
  });
});
