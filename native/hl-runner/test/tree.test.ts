/** Goal: stopping means that the whole tree is gone (P1) and the end is said when it happens (P4). Method: programs that daemonise, ignore and hold on; their pids are read from their own output. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { frame, TYPE } from "./frames.ts";
import { readLog } from "./read-log.ts";
import { childrenOf, eventually, isAlive, newId, Runner, stateOf, untilDead, type Connection } from "./runner.ts";

let runner: Runner;
before(async () => {
  runner = await Runner.start();
});
after(async () => {
  await runner[Symbol.asyncDispose]();
});

const sh = (script: string): string[] => ["/bin/sh", "-c", script];
/** A child, a child in its own session, and one that forked away twice into a session of its own; each says its pid. */
const FAMILY =
  "sh -c 'echo $$; exec sleep 1000' & setsid sh -c 'echo $$; exec sleep 1000' & (setsid sh -c '(sh -c \"echo \\$\\$; exec sleep 1000\" &) ; exit 0' &) ; ";

async function pidsOf(connection: Connection, id: string, count: number): Promise<number[]> {
  const read = (): number[] =>
    readLog(join(runner.state, id), "growing").bytes(1).toString().split("\n").slice(0, -1).map(Number);
  await connection.until(
    () => connection.frames.some((each) => each.type === TYPE.output) && read().length >= count,
    `${String(count)} pids`,
  );
  return read();
}

async function release(connection: Connection): Promise<void> {
  connection.send(frame(TYPE.release));
  await connection.untilClosed();
}

test("P1: a timeout leaves no grandchild, with setsid or double fork", async () => {
  const id = newId();
  const connection = runner.start({ id, argv: sh(`${FAMILY} wait`), numbers: { timeout_ms: 150, grace_ms: 2000 } });
  const end = await connection.frame(TYPE.end);
  assert.equal(end["reason"], "timeout");
  assert.equal(end["signal"], 15);
  await connection.frame(TYPE.empty);
  const pids = await pidsOf(connection, id, 3);
  assert.equal(pids.length, 3);
  assert.deepEqual(pids.filter(isAlive), []);
  await release(connection);
});

test("P1: what ignores SIGTERM is killed after the grace", async () => {
  const id = newId();
  const connection = runner.start({
    id,
    argv: sh(
      "trap '' TERM; sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1000; done' & echo $$; while :; do sleep 1000; done",
    ),
    numbers: { stdin: 0 },
  });
  const pids = await pidsOf(connection, id, 2);
  const asked = performance.now();
  connection.send(
    frame(TYPE.stop, [
      ["reason", "cancelled"],
      ["grace_ms", 200],
    ]),
  );
  const end = await connection.frame(TYPE.end);
  assert.ok(performance.now() - asked >= 190);
  assert.equal(end["signal"], 9);
  assert.equal(end["reason"], "cancelled");
  await connection.frame(TYPE.empty);
  assert.deepEqual(pids.filter(isAlive), []);
  await release(connection);
});

test("P1: a second STOP may be more urgent", async () => {
  const connection = runner.start({ argv: sh("trap '' TERM; echo ready; while :; do sleep 1000; done") });
  await connection.frame(TYPE.output);
  connection.send(frame(TYPE.stop, [["grace_ms", 600_000]]));
  connection.send(
    frame(TYPE.stop, [
      ["grace_ms", 0],
      ["reason", "shutdown"],
    ]),
  );
  const end = await connection.frame(TYPE.end);
  assert.equal(end["reason"], "cancelled", "the first cause wins");
  await connection.frame(TYPE.empty);
  await release(connection);
});

test("P1: a fork storm is stopped", async () => {
  const connection = runner.start({
    argv: sh("echo ready; f() { while :; do (sleep 0.01 & (sleep 1000 &) ) ; done; }; f & f & f & wait"),
  });
  const started = await connection.frame(TYPE.started);
  await connection.frame(TYPE.output);
  connection.send(frame(TYPE.stop, [["grace_ms", 0]]));
  await connection.frame(TYPE.empty);
  assert.deepEqual(childrenOf(Number(started["shim_pid"])), []);
  await release(connection);
});

test("P1: a stopped process obeys STOP too", async () => {
  const connection = runner.start({ argv: sh("trap 'exit 3' TERM; echo ready; kill -STOP $$; sleep 1000 & wait") });
  const started = await connection.frame(TYPE.started);
  await eventually(() => stateOf(Number(started["pid"])) === "T", "a stopped program");
  connection.send(frame(TYPE.stop, [["grace_ms", 10_000]]));
  const end = await connection.frame(TYPE.end);
  assert.equal(end["exit_code"], 3);
  await connection.frame(TYPE.empty);
  await release(connection);
});

test("P2: an idle timeout counts from the last output and says so", async () => {
  const { end, stdout } = await runner.run({
    argv: sh("for i in 1 2 3 4; do echo $i; sleep 0.1; done; sleep 1000"),
    numbers: { idle_timeout_ms: 250 },
  });
  assert.equal(end["reason"], "idle_timeout");
  assert.equal(stdout.toString(), "1\n2\n3\n4\n");
  assert.ok(Number(end["duration_us"]) >= 550_000);
});

test("P4: a background child that holds the pipe delays END by the drain only, and STOP ends it", async () => {
  const id = newId();
  const connection = runner.start({ id, argv: sh('sh -c "echo \\$\\$; exec sleep 1000" & echo main; exit 4') });
  const started = performance.now();
  const end = await connection.frame(TYPE.end);
  const took = performance.now() - started;
  assert.ok(took >= 90 && took < 1000, `END after ${String(took)} ms`);
  assert.equal(end["pipes_still_open"], 1);
  assert.equal(end["exit_code"], 4);
  assert.ok(Number(end["duration_us"]) < took * 1000 - 80_000, "the drain is not part of the duration");
  const pid =
    readLog(join(runner.state, id))
      .bytes(1)
      .toString()
      .split("\n")
      .map(Number)
      .find((number) => number > 0) ?? 0;
  assert.ok(isAlive(pid));
  connection.send(frame(TYPE.stop, [["grace_ms", 1000]]));
  await connection.frame(TYPE.empty);
  assert.equal(isAlive(pid), false);
  await release(connection);
});

test("P4: a background child without the pipe does not delay END; its late output is still logged", async () => {
  const id = newId();
  const connection = runner.start({
    id,
    argv: sh('mkfifo "$F"; (read x < "$F"; echo late) & exit 0'),
    env: ["PATH=/usr/bin:/bin", `F=${join(runner.folder, "fifo")}`],
  });
  const end = await connection.frame(TYPE.end);
  assert.equal(end["stdout_bytes"], 0);
  const { writeFileSync } = await import("node:fs");
  writeFileSync(join(runner.folder, "fifo"), "go\n");
  await connection.frame(TYPE.output, (fields) => fields["stdout_bytes"] === 5);
  await connection.frame(TYPE.empty);
  assert.equal(readLog(join(runner.state, id)).bytes(1).toString(), "late\n");
  await release(connection);
});

test("SIGNAL reaches the main process, its group, or the tree", async () => {
  const report = (name: string): string =>
    `sh -c 'trap "echo ${name}; exit 0" USR1; echo up; while :; do sleep 0.02; done'`;
  const id = newId();
  const connection = runner.start({
    id,
    argv: sh(
      `trap 'echo main' USR1; ${report("group")} & setsid ${report("tree")} & echo up; while :; do sleep 0.02; done`,
    ),
  });
  const text = (): string => readLog(join(runner.state, id), "growing").bytes(1).toString();
  const lines = (word: string): number =>
    text()
      .split("\n")
      .filter((line) => line === word).length;
  await connection.until(() => lines("up") === 3, "three programs");
  connection.send(
    frame(TYPE.signal, [
      ["signal", 10],
      ["scope", 0],
    ]),
  );
  await connection.until(() => lines("main") === 1, "main");
  connection.send(
    frame(TYPE.signal, [
      ["signal", 10],
      ["scope", 1],
    ]),
  );
  await connection.until(() => lines("group") === 1 && lines("main") === 2, "group");
  assert.equal(lines("tree"), 0);
  connection.send(
    frame(TYPE.signal, [
      ["signal", 10],
      ["scope", 2],
    ]),
  );
  await connection.until(() => lines("tree") === 1, "tree");
  connection.send(frame(TYPE.stop, [["grace_ms", 0]]));
  await connection.frame(TYPE.empty);
  await release(connection);
});

test("P3: the resident dies by kill -9; the shim goes on", async () => {
  const own = await Runner.start();
  const id = newId();
  const connection = own.start({ id, argv: ["/bin/cat"], numbers: { stdin: 1 } });
  await connection.frame(TYPE.started);
  own.process.kill("SIGKILL");
  await untilDead(own.pid);
  connection.send(frame(TYPE.input, [["data", "after"]]));
  connection.send(frame(TYPE.inputEof));
  await connection.frame(TYPE.end);
  assert.equal(readLog(join(own.state, id)).bytes(1).toString(), "after");
  await connection.frame(TYPE.empty);
  await release(connection);
  await own[Symbol.asyncDispose]();
});

test("P1: a shim dies by kill -9; the resident kills what it left, and no other shim", async () => {
  const id = newId();
  const other = runner.start({ argv: ["/bin/cat"], numbers: { stdin: 1 } });
  await other.frame(TYPE.started);
  const connection = runner.start({ id, argv: sh(`${FAMILY} echo $$; wait`) });
  const started = await connection.frame(TYPE.started);
  const pids = await pidsOf(connection, id, 4);
  assert.equal(pids.filter(isAlive).length, 4);
  runner.shimDeathsExpected++;
  process.kill(Number(started["shim_pid"]), "SIGKILL");
  await connection.untilClosed();
  for (const pid of pids) await untilDead(pid);
  other.send(frame(TYPE.inputEof));
  assert.equal((await other.frame(TYPE.end))["exit_code"], 0);
  await release(other);
});

test("SIGTERM to a shim is a stop with reason shutdown", async () => {
  const connection = runner.start({ argv: ["/bin/sleep", "1000"] });
  const started = await connection.frame(TYPE.started);
  process.kill(Number(started["shim_pid"]), "SIGTERM");
  assert.equal((await connection.frame(TYPE.end))["reason"], "shutdown");
  await release(connection);
});

test("STARTED names the processes for good: pid and start ticks of /proc", async () => {
  const connection = runner.start({ argv: ["/bin/sleep", "1000"] });
  const started = await connection.frame(TYPE.started);
  const ticks = (pid: unknown): number => {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, "latin1");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
  };
  assert.equal(ticks(started["pid"]), started["start_ticks"]);
  assert.equal(ticks(started["shim_pid"]), started["shim_start_ticks"]);
  connection.send(frame(TYPE.stop, [["grace_ms", 0]]));
  await connection.frame(TYPE.empty);
  await release(connection);
});

test("a warm shim that never got a START leaves with its connection", async () => {
  const before = new Set(childrenOf(runner.pid));
  const warm = runner.connect();
  await new Promise((resolve) => warm.socket.once("connect", resolve));
  /* A second connection's answer proves that the resident has forked for the first. */
  await runner.run({ argv: ["/bin/true"] });
  const shims = childrenOf(runner.pid).filter((pid) => !before.has(pid) && isAlive(pid));
  assert.ok(shims.length >= 1);
  warm.disconnect();
  for (const pid of shims) await untilDead(pid);
  assert.ok(existsSync(runner.socket));
});
