/**
 * Goal: of several addresses the first that answers is taken; one that is dead or swallows packets costs 250 ms at most; nothing stays open.
 * Method: real sockets on loopback and a clock that is moved by hand. An address that swallows packets is one of a stopped process, whose queue of connections is full.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { test } from "node:test";
import { ManualClock, settled } from "@hl/testkit/manual-clock.ts";
import { until } from "@hl/testkit/waiting.ts";
import { connectFirst, staggerMs } from "./connect-first.ts";

const never = new AbortController().signal;

async function listening(
  host: string,
  port = 0,
): Promise<AsyncDisposable & { readonly port: number; readonly sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => {});
    sockets.push(socket);
  }).listen(port, host);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, "close");
    },
  };
}

test("a dead address is passed over at once, and when all are dead the first failure is told", async () => {
  await using server = await listening("127.0.0.1");
  const clock = new ManualClock();
  const options = { clock, halfOpen: false };
  const { socket, address } = await connectFirst(["127.0.0.9", "127.0.0.1"], server.port, options, never);
  assert.deepEqual([address, socket.remoteAddress, clock.timers], ["127.0.0.1", "127.0.0.1", 0]);
  socket.destroy();
  const all = connectFirst(["127.0.0.9", "127.0.0.8"], server.port, options, never);
  await assert.rejects(all, /ECONNREFUSED 127\.0\.0\.9/);
  await assert.rejects(connectFirst([], server.port, options, never), /no address/);
  assert.equal(clock.timers, 0);
});

test("an address that does not answer holds the next one up for exactly staggerMs, and its attempt is given up", async () => {
  await using good = await listening("127.0.0.1");
  await using _full = await full127(good.port);
  const clock = new ManualClock();
  const connecting = connectFirst(["127.0.0.7", "127.0.0.1"], good.port, { clock, halfOpen: false }, never);
  await clock.advance(staggerMs - 1);
  assert.equal(good.sockets.length, 0);
  await clock.advance(1);
  const { socket, address } = await connecting;
  assert.deepEqual([address, clock.timers], ["127.0.0.1", 0]);
  socket.destroy();
});

test("who gives up leaves nothing behind", async () => {
  await using good = await listening("127.0.0.1");
  await using _full = await full127(good.port);
  const clock = new ManualClock();
  const gone = new AbortController();
  const connecting = connectFirst(["127.0.0.7", "127.0.0.1"], good.port, { clock, halfOpen: false }, gone.signal);
  gone.abort(new Error("left"));
  await assert.rejects(connecting, /left/);
  await clock.advance(staggerMs);
  await settled();
  assert.deepEqual([clock.timers, good.sockets.length], [0, 0]);
});

/** A listener on 127.0.0.7 that is stopped, with its queue full: the kernel drops what else comes. */
async function full127(port: number): Promise<AsyncDisposable> {
  const code = `require("net").createServer().listen({ port: ${port}, host: "127.0.0.7", backlog: 1 }, () => console.log("ready"))`;
  const child = spawn(process.execPath, ["-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  await once(child.stdout, "data");
  child.kill("SIGSTOP");
  await until("the listener to be stopped", () => / T /.test(readFileSync(`/proc/${child.pid}/stat`, "latin1")));
  const fillers = Array.from({ length: 8 }, () => connect(port, "127.0.0.7"));
  for (const filler of fillers) filler.on("error", () => {});
  await once(fillers[0]!, "connect");
  return {
    async [Symbol.asyncDispose]() {
      for (const filler of fillers) filler.destroy();
      child.kill("SIGKILL");
      await exited;
    },
  };
}
