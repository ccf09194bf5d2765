/** Goal: a command that works against its shim is ended all the same (P1), and whoever ends the wrong process lies to nobody. Method: hostile programs. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { frame, TYPE } from "./frames.ts";
import { readLog } from "./read-log.ts";
import { childrenOf, eventually, newId, Runner, startFrame } from "./runner.ts";

let runner: Runner;
before(async () => {
  runner = await Runner.start(["--cgroup", "off"]);
});
after(async () => {
  await runner[Symbol.asyncDispose]();
});

const MANY = 10;
/** Lives only until it has forked: whoever looks for it in a list finds a number that is nobody's any more. */
const hopper = (each: string): string[] => ["/usr/bin/perl", "-MPOSIX", "-e", `$| = 1; print "up\\n"; while (1) { ${each}; if (fork()) { POSIX::_exit(0) } }`]; // prettier-ignore

for (const [name, each] of [
  ["in one process group", ""],
  ["in a session of its own each time", "setsid()"],
] as const) {
  test(`P1: what forks and exits without end is stopped at once, ${name}`, async () => {
    for (let i = 0; i < MANY; i++) {
      const connection = runner.start({ argv: hopper(each) });
      await connection.frame(TYPE.end);
      const asked = performance.now();
      connection.send(frame(TYPE.stop, [["grace_ms", 0]]));
      await connection.frame(TYPE.empty);
      const took = performance.now() - asked;
      assert.ok(took < 1000, `EMPTY after ${String(took)} ms`);
      connection.send(frame(TYPE.release));
      await connection.untilClosed();
    }
  });

  test(`P1: what forks and exits without end does not outlive a killed shim, ${name}`, async () => {
    await using own = await Runner.start(["--cgroup", "off"]);
    own.shimDeathsExpected = MANY;
    for (let i = 0; i < MANY; i++) {
      const connection = own.start({ argv: hopper(each) });
      const started = await connection.frame(TYPE.started);
      await connection.frame(TYPE.end);
      process.kill(Number(started["shim_pid"]), "SIGKILL");
      await connection.untilClosed();
    }
    await eventually(() => childrenOf(own.pid).length === 0, "the end of what was left");
  });
}

test("a process that is killed while it waits for GO has started nothing, and the answer says so", async () => {
  const id = newId();
  const before = new Set(childrenOf(runner.pid));
  const connection = runner.connect();
  connection.send(startFrame({ id, argv: ["/bin/true"], numbers: { hold: 1 } }));
  let waiting: number[] = [];
  await eventually(() => (waiting = childrenOf(childrenOf(runner.pid).find((pid) => !before.has(pid)) ?? 0)).length === 1, "the process that waits for GO"); // prettier-ignore
  process.kill(waiting[0]!, "SIGKILL");
  const failed = await connection.frame(TYPE.failed);
  assert.equal(failed["stage"], "fork");
  await connection.untilClosed();
  assert.equal(existsSync(join(runner.state, id)), false);
});

/** Connects to each path, sends what it is given, and prints what came back, or why nothing did. */
const caller = `use Socket; $| = 1; my ($path, $bytes) = @ARGV; socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die;
  connect($s, pack_sockaddr_un($path)) or do { print "no: $!\\n"; exit };
  syswrite($s, pack("H*", $bytes)); my $got = ""; while (sysread($s, my $part, 4096)) { $got .= $part; last if $got =~ /\\x{41}/ } print unpack("H*", $got), "\\n"`;
const system = ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/dev/null"];

test("X1: a sandboxed command cannot have its runner start something outside the sandbox", async () => {
  const file = join(runner.folder, "escaped");
  const bytes = startFrame({ argv: ["/bin/touch", file] }).toString("hex");
  const { stdout } = await runner.run({ argv: ["/usr/bin/perl", "-e", caller, runner.socket, bytes], numbers: { sandbox: 1 }, allowRead: system }); // prettier-ignore
  const answer = Buffer.from(stdout.toString().trim(), "hex");
  assert.equal(answer[4], TYPE.failed, stdout.toString());
  assert.equal(existsSync(file), false);
});

test("X1: a sandboxed command cannot take another command's connection", async () => {
  const id = newId();
  const other = runner.start({ id, argv: ["/bin/cat"], numbers: { stdin: 1 } });
  const socket = join(runner.state, id, "attach.sock");
  await eventually(() => existsSync(join(runner.state, id, "identity")), "the socket to attach to");
  const bytes = frame(TYPE.input, [["data", "stolen\n"]]).toString("hex");
  await runner.run({
    argv: ["/usr/bin/perl", "-e", caller, socket, bytes],
    numbers: { sandbox: 1 },
    allowRead: system,
  });
  other.send(frame(TYPE.inputEof));
  await other.frame(TYPE.end);
  assert.equal(readLog(join(runner.state, id)).bytes(1).toString(), "");
  other.send(frame(TYPE.release));
  await other.untilClosed();
});

test("a shim that is killed before it has a command leaves no folder", async () => {
  await using own = await Runner.start(["--cgroup", "off"]);
  own.shimDeathsExpected = 1;
  const warm = own.connect();
  await eventually(() => readdirSync(own.state).length === 1, "the folder of a shim that waits");
  process.kill(childrenOf(own.pid)[0]!, "SIGKILL");
  await warm.untilClosed();
  await eventually(() => readdirSync(own.state).length === 0, "the folder to go");
});

test("P3: REMOVE leaves the folder of a run alone that began after it had removed the one of that id", async () => {
  const id = newId();
  const temporary = join(runner.folder, "large");
  mkdirSync(temporary);
  for (let i = 0; i < 60_000; i++) writeFileSync(join(temporary, String(i)), "");
  const removal = runner.connect();
  removal.send(frame(TYPE.remove, [["id", id], ["temporary", temporary]])); // prettier-ignore
  await eventually(() => readdirSync(temporary).length < 60_000, "the removal to have come to the second folder");
  const run = runner.start({ id, argv: ["/bin/cat"], numbers: { stdin: 1 } });
  const shim = Number((await run.frame(TYPE.started))["shim_pid"]);
  /* Before it has put anything into its folder. */
  process.kill(shim, "SIGSTOP");
  assert.ok(existsSync(temporary), "REMOVE is still under way");
  await removal.frame(TYPE.empty);
  assert.ok(existsSync(join(runner.state, id)), "the folder of a run that lives");
  process.kill(shim, "SIGCONT");
  run.send(frame(TYPE.stop, [["grace_ms", 0]]));
  await run.frame(TYPE.empty);
  run.send(frame(TYPE.release));
  await run.untilClosed();
});
