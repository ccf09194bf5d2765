/**
 * Goal: with `proxy` a program reaches nothing but the daemon's proxy, its bytes unchanged in both directions; whoever is slow slows down only who writes to
 * him (P5), memory is bounded (P7), and no connection keeps a shim. Method: real programs (node) in a namespace connect to 127.0.0.1:3128; the proxy is a
 * server of this test that does what each test needs.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { frame, TYPE } from "./frames.ts";
import { readLog } from "./read-log.ts";
import {
  binary,
  childrenOf,
  descriptorsOf,
  eventually,
  newId,
  Runner,
  type Connection,
  type StartOptions,
} from "./runner.ts";

const probe = JSON.parse(execFileSync(binary, ["probe"], { encoding: "utf8" })) as Record<string, unknown>;
const skip = probe["landlock_abi"] === 0 ? "this kernel has no Landlock" : probe["network_namespaces"] === true ? false : String(probe["network_problem"]); // prettier-ignore
const MIB = 1024 * 1024;
/** What may wait in a shim: 64 connections of two pieces of 64 KiB each. */
const RELAY_BYTES_MAX = 64 * 2 * 64 * 1024;

let runner: Runner;
before(async () => {
  runner = await Runner.start();
});
after(async () => {
  await runner[Symbol.asyncDispose]();
});

/** The peer: takes connections and keeps them until the end of a test. */
class Proxy implements AsyncDisposable {
  readonly path: string;
  readonly sockets: Socket[] = [];
  readonly server: Server;

  private constructor(path: string, onConnection: (socket: Socket) => void) {
    this.path = path;
    this.server = createServer({ allowHalfOpen: true }, (socket) => {
      this.sockets.push(socket);
      socket.on("error", () => undefined);
      onConnection(socket);
    });
  }

  static async start(onConnection: (socket: Socket) => void, path = join(runner.folder, newId())): Promise<Proxy> {
    const proxy = new Proxy(path, onConnection);
    proxy.server.listen(path);
    await once(proxy.server, "listening");
    return proxy;
  }

  async connection(): Promise<Socket> {
    if (this.sockets.length === 0) await once(this.server, "connection");
    return this.sockets[0]!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    if (!this.server.listening) return;
    this.server.close();
    await once(this.server, "close");
  }
}

const options = (script: string, proxySocket: string): StartOptions => ({
  argv: [process.execPath, "-e", `const net = require("net"); const reach = () => net.connect({ port: 3128, host: "127.0.0.1", allowHalfOpen: true }); ${script}`], // prettier-ignore
  numbers: { sandbox: 1, network: 2 },
  proxySocket,
  allowRead: ["/"],
  allowWrite: [runner.folder, "/dev/null"],
});
const run = async (script: string, proxySocket: string): Promise<string> => {
  const { stdout, stderr } = await runner.run(options(script, proxySocket));
  return stdout.toString().trim() + stderr.toString();
};
const release = async (connection: Connection): Promise<void> => {
  connection.send(frame(TYPE.release));
  await connection.untilClosed();
};
/** The same bytes in both programs, without a way to send them beside the relay. */
const pattern = "(count) => Buffer.alloc(count, Buffer.from(Array.from({ length: 251 }, (_, i) => i ^ (i >> 3))))";
const patternOf = (count: number): Buffer => Buffer.alloc(count, Buffer.from(Array.from({ length: 251 }, (_, i) => i ^ (i >> 3)))); // prettier-ignore
const digest = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
const residentKb = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${String(pid)}/status`, "utf8"))?.[1]);

describe("the way to the proxy", { skip }, () => {
  test("bytes go through, and the end of one direction leaves the other open", async () => {
    await using proxy = await Proxy.start((socket) => {
      const parts: Buffer[] = [];
      socket.on("data", (part) => parts.push(part));
      socket.on("end", () => socket.end(`had ${Buffer.concat(parts).toString()}`));
    });
    const script = `const s = reach(); s.end("question"); s.on("data", (d) => process.stdout.write(d)); s.on("end", () => console.log(", ended"))`;
    assert.equal(await run(script, proxy.path), "had question, ended");
    // And the other way round: the proxy ends first.
    await using ending = await Proxy.start((socket) => {
      socket.end("bye");
      socket.on("data", (part) => assert.equal(part.toString(), "still here"));
    });
    const last = `const s = reach(); s.on("data", () => undefined); s.on("end", () => s.end("still here", () => console.log("sent")))`;
    assert.equal(await run(last, ending.path), "sent");
    const socket = await ending.connection();
    if (!socket.readableEnded) await once(socket, "end");
  });

  test("C1: a start that is held has its way when GO has come, and nothing has gone there before", async () => {
    await using proxy = await Proxy.start((socket) => socket.end("served"));
    const id = newId();
    const start = options(`reach().on("data", (d) => { console.log(String(d)); process.exit(); })`, proxy.path);
    const connection = runner.start({ ...start, id, numbers: { ...start.numbers, hold: 1 } });
    await eventually(() => childrenOf(runner.pid).flatMap(childrenOf).length === 1, "the process that waits for GO");
    assert.equal(proxy.sockets.length, 0);
    connection.send(frame(TYPE.go));
    await connection.frame(TYPE.empty);
    assert.equal(readLog(join(runner.state, id)).bytes(1).toString(), "served\n");
    await release(connection);
  });

  test("X1: nothing else is there: not the machine, not the metadata address", async () => {
    await using proxy = await Proxy.start((socket) => socket.end());
    const script = `for (const [port, host] of [[80, "169.254.169.254"], [53, "8.8.8.8"]])
      net.connect(port, host).on("error", (e) => { console.log(e.code); });`;
    assert.equal(await run(script, proxy.path), "ENETUNREACH\nENETUNREACH");
    assert.equal(proxy.sockets.length, 0);
  });

  test("X1: a program has no descriptor but its three", async () => {
    await using proxy = await Proxy.start((socket) => socket.end());
    const numbers = { sandbox: 1, network: 2, stdin: 1 };
    const argv = ["/bin/sh", "-c", "echo ready; read line"];
    const connection = runner.start({ ...options("", proxy.path), argv, numbers });
    const { pid } = await connection.frame(TYPE.started);
    await connection.frame(TYPE.output);
    assert.equal(descriptorsOf(Number(pid)).length, 3);
    connection.send(frame(TYPE.stop, [["grace_ms", 0]]));
    await connection.frame(TYPE.empty);
    await release(connection);
  });

  test("P6: 5 MB arrive as they were sent, in both directions at once", async () => {
    const count = 5 * MIB + 17;
    let arrived = "";
    await using proxy = await Proxy.start((socket) => {
      const parts: Buffer[] = [];
      socket.on("data", (part) => parts.push(part));
      socket.on("end", () => (arrived = digest(Buffer.concat(parts))));
      socket.end(patternOf(count));
    });
    const script = `const pattern = ${pattern}; const hash = require("crypto").createHash("sha256"); const s = reach();
      s.end(pattern(${String(count)})); s.on("data", (d) => hash.update(d)); s.on("end", () => console.log(hash.digest("hex")))`;
    assert.equal(await run(script, proxy.path), digest(patternOf(count)));
    const socket = await proxy.connection();
    if (!socket.readableEnded) await once(socket, "end");
    assert.equal(arrived, digest(patternOf(count)));
  });

  test("100 connections at once are all served, 64 of them at a time", async () => {
    let open = 0;
    let most = 0;
    await using proxy = await Proxy.start((socket) => {
      most = Math.max(most, ++open);
      socket.on("close", () => open--);
      socket.on("data", (part) => socket.write(part));
      socket.on("end", () => socket.end());
    });
    const script = `let done = 0; for (let i = 0; i < 100; i++) { const s = reach(); let got = "";
      s.on("data", (d) => { got += d; if (got === "number " + i) s.end(); });
      s.on("end", () => { if (++done === 100) console.log("all"); }); s.write("number " + i); }`;
    assert.equal(await run(script, proxy.path), "all");
    assert.equal(proxy.sockets.length, 100);
    assert.ok(most <= 64, `${String(most)} at once`);
  });

  test("a proxy that is away is an error at once, and one that is back is used", async () => {
    const first = await Proxy.start((socket) => socket.end());
    const { path } = first;
    await first[Symbol.asyncDispose]();
    rmSync(path, { force: true });
    const connection = runner.start({
      ...options(
        `const ask = () => { const s = reach(); s.on("error", (e) => { console.log(e.code); }); s.on("data", (d) => { console.log(String(d)); process.exit(); }); };
         ask(); process.stdin.on("data", ask)`,
        path,
      ),
      id: "proxy-away",
      numbers: { sandbox: 1, network: 2, stdin: 1 },
    });
    await connection.frame(TYPE.output);
    assert.equal(readLog(join(runner.state, "proxy-away")).bytes(1).toString(), "ECONNRESET\n");
    await using back = await Proxy.start((socket) => socket.end("back"), path);
    assert.ok(back.server.listening);
    connection.send(frame(TYPE.input, [["data", "again"]]));
    assert.equal((await connection.frame(TYPE.end))["exit_code"], 0);
    assert.equal(readLog(join(runner.state, "proxy-away")).bytes(1).toString(), "ECONNRESET\nback\n");
    connection.send(frame(TYPE.stop, [["grace_ms", 0]]));
    await release(connection);
  });

  test("P5, P7: a proxy that does not read holds up its connection only, and no more than its share waits in the shim", async () => {
    const count = 24 * MIB;
    const hash = createHash("sha256");
    await using proxy = await Proxy.start((socket) => socket.pause());
    const id = newId();
    const script = `const pattern = ${pattern}; const s = reach(); const all = pattern(${String(count)}); let sent = 0;
      const more = () => { while (sent < all.length) { const part = all.subarray(sent, sent += 65536); if (!s.write(part)) return s.once("drain", more); } s.end(); };
      more(); process.stdin.on("data", (d) => console.log("heard " + d)); process.stdin.unref(); s.resume();`;
    const connection = runner.start({ ...options(script, proxy.path), id, numbers: { sandbox: 1, network: 2, stdin: 1 } }); // prettier-ignore
    const { shim_pid } = await connection.frame(TYPE.started);
    const socket = await proxy.connection();
    // Input and output go on while that connection stands still.
    connection.send(frame(TYPE.input, [["data", "this"]]));
    await connection.frame(TYPE.output);
    assert.equal(readLog(join(runner.state, id)).bytes(1).toString(), "heard this\n");
    assert.ok(residentKb(Number(shim_pid)) < (RELAY_BYTES_MAX + 8 * MIB) / 1024);
    socket.on("data", (part) => hash.update(part));
    socket.resume();
    await once(socket, "end");
    assert.equal(hash.digest("hex"), digest(patternOf(count)));
    socket.end();
    assert.equal((await connection.frame(TYPE.end))["exit_code"], 0);
    await connection.frame(TYPE.empty);
    await release(connection);
  });

  test("P5: a proxy that has no room for more connections is asked again, and everything else goes on", async () => {
    const path = join(runner.folder, newId());
    const script = `use Socket; $| = 1; socket(my $l, AF_UNIX, SOCK_STREAM, 0) or die; bind($l, pack_sockaddr_un($ARGV[0])) or die; listen($l, 1) or die;
      print "listening\\n"; <STDIN>; for (1 .. 20) { accept(my $c, $l) or die; syswrite($c, "served"); close $c } print "done\\n"`;
    const full = spawn("/usr/bin/perl", ["-e", script, path], { stdio: ["pipe", "pipe", "inherit"] });
    try {
      await once(full.stdout, "data");
      const id = newId();
      const many = `let served = 0; for (let i = 0; i < 20; i++) { const s = reach(); s.on("data", () => { if (++served === 20) { console.log("all"); process.exit(); } }); }
        process.stdin.on("data", () => console.log("heard"))`;
      const connection = runner.start({ ...options(many, path), id, numbers: { sandbox: 1, network: 2, stdin: 1 } });
      await connection.frame(TYPE.started);
      connection.send(frame(TYPE.input, [["data", "x"]]));
      await connection.frame(TYPE.output);
      full.stdin.end("go\n");
      await connection.frame(TYPE.empty);
      assert.equal(readLog(join(runner.state, id)).bytes(1).toString(), "heard\nall\n");
      await release(connection);
    } finally {
      full.kill();
    }
  });

  test("the way stays open for a child in the background, until the tree is empty", async () => {
    await using proxy = await Proxy.start((socket) => socket.write("begin\n"));
    const id = newId();
    const child = `const s = reach(); s.on("data", (d) => { if (String(d) === "begin\\n") s.write("up"); else { s.end("done"); } });`;
    const start = options(child, proxy.path);
    const [file = "", flag = "", script = ""] = start.argv;
    const shell = ["/bin/sh", "-c", `"$0" "$1" "$2" >/dev/null 2>&1 &`, file, flag, script];
    const connection = runner.start({ ...start, argv: shell, id });
    assert.equal((await connection.frame(TYPE.end))["exit_code"], 0);
    const socket = await proxy.connection();
    assert.equal(String((await once(socket, "data"))[0]), "up");
    assert.equal(connection.frames.some(({ type }) => type === TYPE.empty), false); // prettier-ignore
    socket.write("finish\n");
    assert.equal(String((await once(socket, "data"))[0]), "done");
    socket.end();
    await connection.frame(TYPE.empty);
    await release(connection);
  });

  test("P1: no connection keeps a shim whose tree is empty, and what was sent last still arrives", async () => {
    let arrived = "";
    await using proxy = await Proxy.start((socket) => socket.on("data", (part) => (arrived += part.toString())));
    // The program is gone with its last write, and the proxy never ends its side.
    const script = `const s = reach(); s.on("connect", () => s.write("last words", () => process.exit()))`;
    const connection = runner.start(options(script, proxy.path));
    await connection.frame(TYPE.empty);
    const socket = await proxy.connection();
    await release(connection);
    if (!socket.closed && !socket.readableEnded) await once(socket, "end");
    assert.equal(arrived, "last words");
  });
});
