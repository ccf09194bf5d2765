/** Goal: P1: REMOVE searches for what a run may have left unless its shim saw it leave nothing; then it looks at no other process.
 * Method: a stranger that carries a run's mark shows whether it was searched for; a run that left something is robbed of its shim. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { frame, parseFrames, TYPE } from "./frames.ts";
import { eventually, isAlive, newId, Runner, untilDead } from "./runner.ts";

async function ask(runner: Runner, type: number, id: string): Promise<void> {
  const connection = runner.connect();
  connection.send(frame(type, [["id", id]]));
  await connection.frame(TYPE.empty);
  await connection.untilClosed();
}

const saysEmpty = (runner: Runner, id: string): boolean => {
  const [end] = parseFrames(readFileSync(join(runner.state, id, "end"))).frames;
  return end?.fields["empty"] === 1;
};

for (const seconds of ["0", "0.2"])
  test(`P1: a run of ${seconds} s that left nothing is not searched for by REMOVE, but by SWEEP`, async () => {
    await using runner = await Runner.start();
    const { id } = await runner.run({ argv: ["/bin/sh", "-c", `echo kept; sleep ${seconds}`] });
    assert.ok(saysEmpty(runner, id));
    const stranger = spawn("sleep", ["1000"], { env: { HL_RUN_ID: id, PATH: process.env["PATH"] } });
    try {
      await once(stranger, "spawn");
      await ask(runner, TYPE.remove, id);
      assert.equal(existsSync(join(runner.state, id)), false);
      assert.equal(stranger.exitCode ?? stranger.signalCode, null);
      const ended = once(stranger, "exit");
      await ask(runner, TYPE.sweep, id);
      assert.deepEqual(await ended, [null, "SIGKILL"]);
    } finally {
      stranger.kill("SIGKILL");
    }
  });

test("P1: an end that was written while something still ran does not say empty, and REMOVE ends what runs", async () => {
  await using dead = await Runner.start();
  const id = newId();
  const connection = dead.start({ id, argv: ["/bin/sh", "-c", "sleep 1000 > /dev/null 2>&1 & echo $!"] });
  const started = await connection.frame(TYPE.started);
  const end = await connection.frame(TYPE.end);
  assert.equal("empty" in end, false);
  const log = readFileSync(join(dead.state, id, "log.000000"), "latin1");
  const left = Number(/(\d+)\n$/.exec(log)?.[1]);
  await eventually(() => existsSync(join(dead.state, id, "end")), "the end record");
  assert.equal(saysEmpty(dead, id), false);
  dead.process.kill("SIGKILL");
  await once(dead.process, "exit");
  process.kill(Number(started["shim_pid"]), "SIGKILL");
  await untilDead(Number(started["shim_pid"]));
  assert.ok(isAlive(left));
  await using next = await Runner.start([], dead.folder);
  await ask(next, TYPE.remove, id);
  assert.equal(isAlive(left), false);
  assert.equal(existsSync(join(next.state, id)), false);
});
