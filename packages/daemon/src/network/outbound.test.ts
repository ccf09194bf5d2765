/**
 * Goal: X1, X2: every connection of the daemon goes where the networks allow, to the address that was judged, and nowhere by a redirect.
 * Method: the real door with servers on loopback, and names that resolve as the test says.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer, type AddressInfo, type Server } from "node:net";
import { describe, test } from "node:test";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { HttpClient } from "./http-client.ts";
import { ConnectionFailed, type Connect } from "./outbound.ts";
import { testConnect, testOutbound, trusting, type TestDoor } from "./testing/open-connect.ts";

const never = new AbortController().signal;

class Listening implements AsyncDisposable {
  readonly server: Server;
  connections = 0;

  constructor(server: Server = createServer((socket) => void socket.on("error", () => {}))) {
    this.server = server;
    server.on("connection", () => (this.connections += 1));
  }

  async on(host = "127.0.0.1", port = 0): Promise<this> {
    this.server.listen(port, host);
    await once(this.server, "listening");
    return this;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.close();
    if ("closeAllConnections" in this.server)
      (this.server as ReturnType<typeof createHttpServer>).closeAllConnections();
    await once(this.server, "close");
  }
}

async function opens(connect: Connect, url: string): Promise<string> {
  try {
    const socket = await connect(new URL(url), never);
    const { remoteAddress = "" } = socket;
    socket.destroy();
    return remoteAddress;
  } catch (error) {
    assert.ok(error instanceof ConnectionFailed, String(error));
    return `${error.kind}: ${error.message}`;
  }
}

const names =
  (table: Record<string, string[]>, asked: string[] = []): TestDoor["resolve"] =>
  async (host) => {
    asked.push(host);
    return table[host] ?? Promise.reject(new Error("no such name"));
  };

describe("the door to the network", () => {
  test("X1: of several addresses the blocked one is not tried, also where it comes first", async () => {
    await using good = await new Listening().on("127.0.0.1");
    await using bad = await new Listening().on("127.0.0.2", good.port);
    const resolve = names({ "a.localhost": ["127.0.0.2", "127.0.0.1", "127.0.0.1"], "b.localhost": ["127.0.0.2"] });
    const connect = testConnect({ resolve, allowed: ["*.localhost"], blocked: ["127.0.0.2"] });
    assert.equal(await opens(connect, `http://a.localhost:${good.port}`), "127.0.0.1");
    assert.match(
      await opens(connect, `http://b.localhost:${good.port}`),
      /^refused: .*127\.0\.0\.2.* is blocked by "127\.0\.0\.2"/,
    );
    assert.equal(bad.connections, 0);
  });

  test("X1: an answer of DNS that changes between check and connection changes nothing: there is one look-up", async () => {
    await using good = await new Listening().on("127.0.0.1");
    await using bad = await new Listening().on("127.0.0.2", good.port);
    let lookups = 0;
    const resolve = async (): Promise<string[]> => [lookups++ === 0 ? "127.0.0.1" : "127.0.0.2"];
    const connect = testConnect({ resolve, allowed: ["a.localhost"], blocked: ["127.0.0.2"] });
    assert.equal(await opens(connect, `http://a.localhost:${good.port}`), "127.0.0.1");
    assert.match(await opens(connect, `http://a.localhost:${good.port}`), /^refused/);
    assert.deepEqual([lookups, bad.connections], [2, 0]);
  });

  test("X1: a name that no entry can allow is not looked up; odd spellings of an address are that address", async () => {
    await using server = await new Listening().on("127.0.0.1");
    const asked: string[] = [];
    const resolve = names({}, asked);
    const connect = testConnect({ resolve, allowed: ["127.0.0.1"], blocked: ["127.0.0.3"] });
    assert.match(
      await opens(testConnect({ resolve, allowed: ["a.example"] }), "https://b.example"),
      /^refused: .*Add "b\.example:443"/,
    );
    assert.deepEqual(asked, []);
    for (const host of ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"])
      assert.match(await opens(connect, `http://${host}:${server.port}`), /127\.0\.0\.1$/, host);
    for (const host of ["127.0.0.3", "127.3", "0x7f.3", "2130706435", "[::ffff:127.0.0.3]"])
      assert.match(
        await opens(connect, `http://${host}:${server.port}`),
        /^refused: .*is blocked by "127\.0\.0\.3"/,
        host,
      );
  });

  test("X2: plain HTTP does not leave the machine, and TLS that is not checked neither, whatever the name says", async () => {
    const resolve = names({ "cloud.localhost": ["93.184.216.34"] });
    const unchecked = { ...trusting(), rejectUnauthorized: false };
    const connect = testConnect({ resolve, allowed: ["*.localhost", "93.184.216.34"], tls: unchecked });
    for (const protocol of ["http", "ws", "https", "wss"])
      assert.match(
        await opens(connect, `${protocol}://cloud.localhost`),
        /^refused: .*\(93\.184\.216\.34\) is not on this machine/,
      );
    for (const url of ["http://93.184.216.34", "ftp://127.0.0.1", "unix:/x", "file:///x"])
      assert.match(await opens(connect, url), /^refused/);
  });

  test("a redirect is an answer like any other: no connection is made to where it leads", async () => {
    await using elsewhere = await new Listening().on("127.0.0.1");
    const location = `http://127.0.0.1:${elsewhere.port}/`;
    const origin = createHttpServer((request, response) => {
      request.resume();
      response.writeHead(307, { location }).end();
    });
    await using server = await new Listening(origin).on("127.0.0.1");
    await using http = new HttpClient({ connect: testConnect(), connectionsMax: 1 });
    const { statusCode, body } = await http.request(`http://127.0.0.1:${server.port}/`, { method: "POST", body: "x" });
    body.destroy();
    assert.deepEqual([statusCode, elsewhere.connections], [307, 0]);
  });

  test("nobody listens, no such name, a caller that leaves: each is told as what it is", async () => {
    await using server = await new Listening().on("127.0.0.1");
    const { port } = server;
    server.server.close();
    await once(server.server, "close");
    const connect = testConnect({ resolve: names({}), allowed: ["127.0.0.1", "a.example"] });
    assert.match(
      await opens(connect, `http://127.0.0.1:${port}`),
      /^unreachable: 127\.0\.0\.1:\d+ could not be reached: .*ECONNREFUSED/,
    );
    assert.match(
      await opens(connect, "https://a.example"),
      /^unreachable: a\.example cannot be resolved: no such name/,
    );
    const gone = new AbortController();
    const waiting = testOutbound({ resolve: () => new Promise(() => {}), allowed: ["a.example"] }).open(
      new URL("https://a.example"),
      {
        ...{ tls: () => trusting(), timeoutMs: 60_000, signal: gone.signal },
      },
    );
    gone.abort(new Error("left"));
    await assert.rejects(waiting, /^Error: left$/);
    server.server.listen(0);
    await once(server.server, "listening");
  });

  test("what is configured of TLS is asked for each connection that has TLS, before anything is opened, and for no other", async () => {
    await using server = await new Listening().on();
    let asked = 0;
    const connect: Connect = (url, signal) =>
      testOutbound().open(url, {
        tls: () => {
          asked += 1;
          throw new Error("no such file");
        },
        timeoutMs: 10_000,
        signal,
      });
    assert.equal(await opens(connect, `http://127.0.0.1:${server.port}`), "127.0.0.1");
    assert.equal(asked, 0);
    for (const time of [1, 2]) {
      await assert.rejects(connect(new URL(`https://127.0.0.1:${server.port}`), never), /no such file/);
      assert.equal(asked, time);
    }
    assert.equal(server.connections, 1);
  });

  test("timeoutMs: at exactly that time it is over, and no timer stays", async () => {
    const clock = new ManualClock();
    const connect = testConnect({
      clock,
      resolve: () => new Promise(() => {}),
      allowed: ["a.example"],
      timeoutMs: 1_000,
    });
    let said = "";
    const opening = opens(connect, "https://a.example").then((text) => (said = text));
    await clock.advance(999);
    assert.equal(said, "");
    await clock.advance(1);
    assert.match(await opening, /^(timeout|unreachable): a\.example:443 could not be reached.* within 1000 ms/);
    assert.equal(clock.timers, 0);
  });
});
