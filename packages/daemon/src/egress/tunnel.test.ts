/**
 * Goal: a tunnel carries bytes of any number in both directions, ends as its two ends do, and leads only where the policy says.
 * Method: the real proxy, bare sockets on both sides, and names that change their mind.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { describe, test } from "node:test";
import { EgressFixture, headOf, textOf } from "./egress.fixture.test.ts";

const loopback = { allowed: ["127.0.0.1"] };
const echo = (socket: Socket): void => void socket.pipe(socket);

describe("egress tunnel", () => {
  test("bytes go both ways, also those sent before the tunnel was there; the decision is told", async () => {
    await using fixture = await EgressFixture.start(loopback);
    const port = await fixture.serve(echo);
    const { socket, head } = await fixture.tunnel(`127.0.0.1:${port}`, "early ");
    assert.match(head, /^HTTP\/1\.1 200 /);
    socket.end("and late");
    assert.equal(await textOf(socket), "early and late");
    const [{ durationMs, ...told } = { durationMs: -1 }] = fixture.decisions;
    assert.deepEqual(told, {
      method: "CONNECT",
      host: "127.0.0.1",
      port,
      decision: "allow",
      rule: "127.0.0.1",
      address: "127.0.0.1",
    });
    assert.ok(durationMs >= 0);
  });

  test("half-close: who has said all hears the answer to its end, whichever side it is", async () => {
    await using fixture = await EgressFixture.start(loopback);
    const answer = Buffer.alloc(5_000_000, "x");
    const asked = Promise.withResolvers<string>();
    const port = await fixture.serve((socket) => {
      asked.resolve(textOf(socket));
      void asked.promise.then(() => socket.end(answer));
    });
    const { socket } = await fixture.tunnel(`127.0.0.1:${port}`);
    socket.end("question");
    assert.equal((await textOf(socket)).length, answer.length);
    assert.equal(await asked.promise, "question");
    // The server ends first, and still reads.
    const heard = Promise.withResolvers<string>();
    const second = await fixture.serve((peer) => {
      peer.end();
      heard.resolve(textOf(peer));
    });
    const reverse = await fixture.tunnel(`127.0.0.1:${second}`);
    reverse.socket.resume();
    await once(reverse.socket, "end");
    reverse.socket.end("last words");
    assert.equal(await heard.promise, "last words");
  });

  test("the end of one side is told to the other, a reset too", async () => {
    await using fixture = await EgressFixture.start(loopback);
    const peers: Socket[] = [];
    const port = await fixture.serve((socket) => void peers.push(socket.resume()));
    const first = await fixture.tunnel(`127.0.0.1:${port}`);
    peers[0]!.resetAndDestroy();
    await once(first.socket.resume(), "end");
    const second = await fixture.tunnel(`127.0.0.1:${port}`);
    const gone = once(peers[1]!, "end");
    second.socket.destroy();
    await gone;
  });

  test("P5, P7: a reader that does not read stops its own sender and nobody else, and nothing piles up", async () => {
    await using fixture = await EgressFixture.start(loopback);
    let sender: Socket | undefined;
    const chunk = Buffer.alloc(65_536, "x");
    const flood = await fixture.serve((socket) => {
      sender = socket;
      const send = (): void => {
        while (socket.write(chunk));
      };
      socket.on("drain", send);
      send();
    });
    await fixture.tunnel(`127.0.0.1:${flood}`); // Never read.
    const { socket } = await fixture.tunnel(`127.0.0.1:${await fixture.serve(echo)}`);
    for (let round = 0; round < 300; round += 1) {
      socket.write("ping");
      await once(socket, "data");
    }
    const bytes = sender!.bytesWritten - sender!.writableLength;
    assert.ok(bytes < 32_000_000, `${bytes} bytes were taken from a sender whose reader does not read`);
  });

  test("a stop closes what is open", async () => {
    await using fixture = await EgressFixture.start(loopback);
    const { socket } = await fixture.tunnel(`127.0.0.1:${await fixture.serve(echo)}`);
    const closed = once(socket.resume(), "end");
    await fixture.proxy[Symbol.asyncDispose]();
    await closed;
  });
});

describe("egress tunnel: where it leads", () => {
  test("X1: DNS rebinding: one look-up, judged, and the connection goes to the address that was judged", async () => {
    const answers = [["127.0.0.1"], ["127.0.0.2"], ["::1"], ["::ffff:127.0.0.2"], ["169.254.169.254"]];
    let lookUps = 0;
    const port = { good: 0 };
    await using outer = await EgressFixture.start();
    const said = { good: 0, evil: 0 };
    port.good = await outer.serve((socket) => ((said.good += 1), socket.end("good")));
    await outer.serve((socket) => ((said.evil += 1), socket.end("evil")), "127.0.0.2", port.good);
    await using fixture = await EgressFixture.start({
      allowed: ["rebind.example", `127.0.0.1:${port.good}`],
      resolve: async () => answers[lookUps++]!,
    });
    const { socket } = await fixture.tunnel(`rebind.example:${port.good}`);
    assert.equal(await textOf(socket), "good");
    for (let more = 1; more < answers.length; more += 1) {
      const { head } = await fixture.tunnel(`rebind.example:${port.good}`);
      assert.match(head, /^HTTP\/1\.1 403 /, JSON.stringify(answers[more]));
    }
    assert.deepEqual([lookUps, said], [answers.length, { good: 1, evil: 0 }]);
  });

  test("X1: of several addresses only allowed ones are tried, and the next when one does not answer", async () => {
    await using outer = await EgressFixture.start();
    const said = { good: 0, evil: 0 };
    const port = await outer.serve((socket) => ((said.good += 1), socket.end("good")), "127.0.0.3");
    await outer.serve((socket) => ((said.evil += 1), socket.end("evil")), "127.0.0.2", port);
    await using fixture = await EgressFixture.start({
      // Nobody listens at .1; .2 is not on the list.
      allowed: ["many.example", `127.0.0.1:${port}`, `127.0.0.3:${port}`],
      resolve: async () => ["169.254.169.254", "127.0.0.2", "127.0.0.1", "127.0.0.3"],
    });
    const { socket } = await fixture.tunnel(`many.example:${port}`);
    assert.equal(await textOf(socket), "good");
    assert.deepEqual(said, { good: 1, evil: 0 });
    assert.equal(fixture.decisions[0]?.address, "127.0.0.3");
  });

  test("X1: a name that is not on the list is not even resolved; the refusal is one line with the key, and is told", async () => {
    const resolved: string[] = [];
    await using fixture = await EgressFixture.start({
      allowed: ["a.example", "*.blocked.example"],
      blocked: ["b.blocked.example", "127.0.0.1:22"],
      resolve: async (host) => (resolved.push(host), ["127.0.0.1"]),
    });
    const cases: [destination: string, says: RegExp, rule: string | undefined][] = [
      [
        "secret-data.evil.example:443",
        /evil\.example:443 is not on the list.*security\.sandbox\.proxy_allowed_hosts/,
        undefined,
      ],
      [
        "b.blocked.example:443",
        /is blocked by "b\.blocked\.example" in security\.blocked_networks/,
        "b.blocked.example",
      ],
      ["a.example:443", /\(127\.0\.0\.1\) is a loopback address.*proxy_allowed_hosts/, undefined],
      ["a.example:22", /is blocked by "127\.0\.0\.1:22" in security\.blocked_networks/, "127.0.0.1:22"],
      ["169.254.169.254:80", /169\.254\.169\.254:80 is not on the list/, undefined],
    ];
    for (const [destination, says, rule] of cases) {
      const { socket, head } = await fixture.tunnel(destination);
      const body = await textOf(socket);
      assert.match(head, /^HTTP\/1\.1 403 Forbidden\r\n/, destination);
      assert.match(head, /\r\nProxy-Status: hl-daemon; error=http_request_denied; details="refused by hl-daemon: /);
      assert.match(body, /^refused by hl-daemon: [^\n]*\n$/);
      assert.match(body, says);
      const told = fixture.decisions.at(-1);
      assert.deepEqual([told?.decision, told?.rule], ["deny", rule]);
    }
    assert.deepEqual(resolved, ["a.example", "a.example"]);
  });

  test("what is no destination is answered 400; a name without an address and a closed port 502", async () => {
    await using fixture = await EgressFixture.start({ allowed: ["127.0.0.1", "nowhere.example"] });
    for (const target of ["a", "http://a/", "a:0", "[fe80::1%lo]:80"]) {
      assert.match((await fixture.tunnel(target)).head, /^HTTP\/1\.1 400 /, target);
    }
    const { head, socket } = await fixture.tunnel("nowhere.example:443");
    assert.match(head, /^HTTP\/1\.1 502 /);
    assert.match(await textOf(socket), /nowhere\.example cannot be resolved: no name is known here\n$/);
    assert.match((await fixture.tunnel("127.0.0.1:1")).head, /^HTTP\/1\.1 502 /);
    assert.deepEqual(
      fixture.decisions.map(({ decision }) => decision),
      ["fail", "fail"],
    );
  });
});

test("X1: a second request before the first is answered ends the connection", async () => {
  await using fixture = await EgressFixture.start({ allowed: ["slow.example"], resolve: () => new Promise(() => {}) });
  const socket = await fixture.open();
  socket.write(
    "GET http://slow.example/ HTTP/1.1\r\nHost: x\r\n\r\nCONNECT slow.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
  );
  assert.equal(await headOf(socket), "");
});
