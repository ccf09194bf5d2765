/**
 * Goal: a plain request arrives as it was meant and says nothing of the proxy or of the client; its answer comes back whole or visibly cut.
 * Method: the real proxy in front of real HTTP servers.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { EgressFixture, headOf, textOf } from "./egress.fixture.test.ts";

const run = promisify(execFile);
const loopback = { allowed: ["127.0.0.1"] };

async function origin(fixture: EgressFixture, listener: RequestListener): Promise<string> {
  return `http://127.0.0.1:${await fixture.own(createServer(listener))}`;
}

describe("egress plain requests", () => {
  test("method, path, headers and body arrive untouched; the answer comes back with its own headers", async () => {
    await using fixture = await EgressFixture.start(loopback);
    const seen: { request: IncomingMessage; body: string }[] = [];
    const url = await origin(fixture, (request, response) => {
      void textOf(request).then((body) => {
        seen.push({ request, body });
        response.sendDate = false;
        response.writeHead(201, "Made", [
          ["X-Twice", "1"],
          ["X-Twice", "2"],
          ["Keep-Alive", "timeout=9"],
          ["Set-Cookie", "a=b"],
        ]);
        response.end("done");
      });
    });
    const answer = await fixture.ask(`${url}/a/../b%2f?q=1`, {
      method: "PUT",
      headers: { "X-Own": "é" },
      body: "body",
    });
    const [{ request, body } = assert.fail()] = seen;
    assert.deepEqual([request.method, request.url, body], ["PUT", "/a/../b%2f?q=1", "body"]);
    assert.equal(request.headers["x-own"], "é");
    assert.deepEqual([answer.status, answer.text], [201, "done"]);
    assert.deepEqual(answer.rawHeaders.slice(0, 6), ["X-Twice", "1", "X-Twice", "2", "Set-Cookie", "a=b"]);
    assert.equal(answer.headers.date, undefined);
  });

  test("X4: nothing of the connection to the proxy goes on: no credentials, no hop-by-hop header, no address of the client; Host is what was judged", async () => {
    await using fixture = await EgressFixture.start(loopback);
    let seen: IncomingMessage | undefined;
    const url = await origin(fixture, (request, response) => {
      seen = request;
      response.end();
    });
    const socket = await fixture.open();
    const lines = [
      `GET ${url}/ HTTP/1.1`,
      "Host: somebody.else.example",
      "Proxy-Authorization: Basic c2VjcmV0",
      "Proxy-Connection: keep-alive",
      "Connection: keep-alive, X-Private",
      "X-Private: yes",
      "Keep-Alive: timeout=5",
      "TE: trailers",
      "Upgrade: h2c",
      "X-Kept: yes",
    ];
    socket.write(`${lines.join("\r\n")}\r\n\r\n`);
    assert.match(await headOf(socket), /^HTTP\/1\.1 200 /);
    assert.deepEqual(seen?.rawHeaders, ["Host", new URL(url).host, "X-Kept", "yes", "Connection", "close"]);
  });

  test("what Connection names never takes the framing or the host away: such a request is 400, such an answer keeps its length", async () => {
    await using fixture = await EgressFixture.start(loopback);
    let requests = 0;
    const url = await origin(fixture, (_, response) => {
      requests += 1;
      response.writeHead(200, ["Connection", "Content-Length, X-Own", "X-Own", "1", "Content-Length", "2"]).end("ok");
    });
    const cases = [
      ["Connection: Content-Length", "Content-Length: 2"],
      ["Connection: close, HOST", "Content-Length: 2"],
      ["Connection: close", "Content-Length: 2", "Connection: x,\tcontent-length "],
      ["Connection: transfer-encoding", "Transfer-Encoding: chunked"],
    ];
    for (const lines of cases) {
      const socket = await fixture.open();
      socket.write(`POST ${url}/ HTTP/1.1\r\nHost: x\r\n${lines.join("\r\n")}\r\n\r\nhi`);
      assert.match(await headOf(socket), /^HTTP\/1\.1 400 /, lines.join());
    }
    assert.deepEqual([requests, fixture.decisions], [0, []]);
    const { status, headers } = await fixture.ask(`${url}/`);
    assert.deepEqual([status, headers["content-length"], headers["x-own"]], [200, "2", undefined]);
  });

  test("bodies of any framing stream through: chunked, announced, none, after 100-continue", async () => {
    await using fixture = await EgressFixture.start(loopback);
    const url = await origin(fixture, (request, response) => {
      const { "content-length": length, "transfer-encoding": coding } = request.headers;
      void textOf(request).then((body) => response.end(JSON.stringify([length, coding, body.length])));
    });
    const big = "x".repeat(3_000_000);
    const cases: [options: Parameters<EgressFixture["ask"]>[1], expected: unknown][] = [
      [{ method: "POST", headers: { "transfer-encoding": "chunked" }, body: big }, [null, "chunked", big.length]],
      [
        { method: "POST", headers: { "content-length": String(big.length) }, body: big },
        [String(big.length), null, big.length],
      ],
      [{ method: "DELETE", headers: { "transfer-encoding": "chunked" }, body: "x" }, [null, "chunked", 1]],
      [{ method: "POST", headers: { "content-length": "0" } }, ["0", null, 0]],
      [{ method: "GET" }, [null, null, 0]],
    ];
    for (const [options, expected] of cases) {
      assert.deepEqual(JSON.parse((await fixture.ask(url, options)).text), expected);
    }
    const socket = await fixture.open();
    socket.write(
      `POST ${url}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n`,
    );
    assert.match(await headOf(socket), /^HTTP\/1\.1 100 /);
    socket.write("ok");
    assert.match(await textOf(socket), /\["2",null,2\]/);
  });

  test("P2: an answer that breaks off is cut for the client too; a server that answers nothing is 502", async () => {
    await using fixture = await EgressFixture.start(loopback);
    const port = await fixture.serve((socket) => {
      socket.once("data", () =>
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", () => socket.resetAndDestroy()),
      );
    });
    await assert.rejects(fixture.ask(`http://127.0.0.1:${port}/`), /aborted|hang up|reset/i);
    const silent = await fixture.serve((socket) => void socket.once("data", () => socket.destroy()));
    assert.equal((await fixture.ask(`http://127.0.0.1:${silent}/`)).status, 502);
  });

  test("P2: no answer of a server ends the daemon: a status that is none is 502, a reason that is not printable is left out", async () => {
    await using fixture = await EgressFixture.start(loopback);
    const ask = async (line: string): Promise<string> => {
      const port = await fixture.serve((server) => {
        server.once("data", () => server.end(Buffer.from(`HTTP/1.1 ${line}\r\nContent-Length: 2\r\n\r\nhi`, "latin1")));
      });
      const socket = await fixture.open();
      socket.write(`GET http://127.0.0.1:${port}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      return textOf(socket);
    };
    for (const status of ["000", "099", "600", "999"]) {
      assert.match(
        await ask(`${status} OK`),
        new RegExp(`^HTTP/1.1 502 [^]*with the status ${Number(status)}\n$`),
        status,
      );
    }
    for (const reason of ["a\u0001b", "a\u007fb", "a\tb", "\u0080", "\u00e9"]) {
      assert.match(
        await ask(`200 ${reason}`),
        /^HTTP\/1\.1 (200 OK\r\n[^]*\r\n\r\nhi|502 [^]*)$/,
        JSON.stringify(reason),
      );
    }
    assert.match(await ask("200 Very Well"), /^HTTP\/1\.1 200 Very Well\r\n/);
    assert.match(await ask("200"), /^HTTP\/1\.1 200 \r\n/);
  });

  test("P2: what is thrown while a request is served costs the client its connection and nobody else anything", async () => {
    await using fixture = await EgressFixture.start({
      ...loopback,
      onDecision: () => {
        throw new Error("nobody has foreseen this");
      },
    });
    for (const line of ["GET http://other.example/", "CONNECT other.example:443"]) {
      const socket = await fixture.open();
      socket.write(`${line} HTTP/1.1\r\nHost: x\r\n\r\n`);
      assert.equal(await headOf(socket), "", line);
    }
    assert.equal((await fixture.ask("/")).status, 400);
  });

  test("an answer that changes the protocol is 502, and its place can be taken again", async () => {
    await using fixture = await EgressFixture.start({ ...loopback, limits: { connectionsMax: 1 } });
    const port = await fixture.serve((server) => {
      server.once("data", () =>
        server.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"),
      );
    });
    for (const round of [1, 2]) {
      const socket = await fixture.open();
      socket.write(`GET http://127.0.0.1:${port}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
      const closed = once(socket, "close");
      assert.match(await textOf(socket), /^HTTP\/1\.1 502 [^]*without an answer\n$/, String(round));
      socket.end();
      await closed;
    }
  });

  test("a client that leaves ends the request at the server", async () => {
    await using fixture = await EgressFixture.start(loopback);
    const closed = Promise.withResolvers<unknown>();
    const asked = Promise.withResolvers<undefined>();
    const url = await origin(fixture, (request) => {
      closed.resolve(once(request.socket, "close"));
      asked.resolve(undefined);
    });
    const socket = await fixture.open();
    socket.write(`GET ${url}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
    await asked.promise;
    socket.destroy();
    await closed.promise;
  });

  test("X1: a refusal is 403 with one line; the record has neither path nor query (X4)", async () => {
    await using fixture = await EgressFixture.start(loopback);
    const answer = await fixture.ask("http://other.example/path?token=secret");
    assert.equal(answer.status, 403);
    assert.match(
      answer.text,
      /^refused by hl-daemon: other\.example:80 is not on the list.*security\.sandbox\.proxy_allowed_hosts.*\n$/,
    );
    assert.ok(!JSON.stringify([fixture.decisions, answer]).includes("secret"));
  });

  test("what is not asked of a proxy is answered 400 and never served", async () => {
    await using fixture = await EgressFixture.start(loopback);
    for (const target of ["/", "/rpc", "https://127.0.0.1/", "http://user:word@127.0.0.1/", "ftp://127.0.0.1/"]) {
      assert.equal((await fixture.ask(target)).status, 400, target);
    }
    const socket = await fixture.open();
    socket.write("\u0016\u0003\u0001 this is TLS");
    assert.match(await headOf(socket), /^HTTP\/1\.1 400 /);
    const smuggled = await fixture.open();
    smuggled.write(
      "POST http://127.0.0.1/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    );
    assert.match(await headOf(smuggled), /^HTTP\/1\.1 400 /);
    assert.deepEqual(fixture.decisions, []);
  });
});

describe("egress with real clients", () => {
  test("X1: curl gets what is allowed, follows a redirect only where that is allowed too, and shows why not", async () => {
    await using fixture = await EgressFixture.start({ allowed: ["127.0.0.1"] });
    const url = await origin(fixture, (request, response) => {
      if (request.url === "/away")
        response.writeHead(302, { Location: "http://169.254.169.254/latest/meta-data" }).end();
      else response.end("hello");
    });
    const proxy = await fixture.relay();
    const curl = (...args: string[]): Promise<{ stdout: string }> =>
      run("curl", ["-sS", "--noproxy", "", "--proxy", proxy, ...args]);
    assert.equal((await curl(url)).stdout, "hello");
    assert.equal((await curl("--proxytunnel", url)).stdout, "hello");
    assert.match(
      (await curl("-L", `${url}/away`)).stdout,
      /^refused by hl-daemon: 169\.254\.169\.254:80 is not on the list/,
    );
    await assert.rejects(curl("https://metadata.example/"), /403/);
  });
});
