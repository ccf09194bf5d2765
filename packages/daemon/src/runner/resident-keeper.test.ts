/**
 * Goal: a resident that ends while we run is back by itself, and who asks meanwhile waits a moment instead of being refused. Method: the
 * real hl-runner, killed; a start is asked for in the same turn.
 */
import assert from "node:assert/strict";
import { mkdirSync, realpathSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "@hl/core/clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { within } from "@hl/testkit/waiting.ts";
import { findRunnerBinary } from "../host-facts.ts";
import { ResidentKeeper } from "./resident-keeper.ts";
import { Runner } from "./runner.ts";

test("P3: a killed resident is started again and said, its runs go on, and a start waits for the next one", async () => {
  using folder = temporaryFolder("hlk");
  const root = realpathSync(folder.path);
  mkdirSync(join(root, "state"));
  const lost: string[] = [];
  let back = Promise.withResolvers<number>();
  const paths = { socketPath: join(root, "r.sock"), stateDirectory: join(root, "state") };
  await using keeper = await ResidentKeeper.start({
    ...paths,
    binary: findRunnerBinary(),
    clock: systemClock,
    random: () => 0.5,
    onLost: (reason) => lost.push(reason),
    onBack: (pid) => back.resolve(pid),
  });
  await using runner = new Runner({ ...paths, warmShims: 1 });
  await runner.open();
  const request = {
    argv: ["/bin/sh", "-c", "read line; echo $line"],
    env: {},
    cwd: root,
    stdin: "pipe" as const,
    graceMs: 1_000,
    openFilesMax: 64,
    logBytesMax: 1_048_576,
  };
  const before = await runner.start({ ...request, id: "before" });
  for (let round = 1; round <= 3; round += 1) {
    back = Promise.withResolvers();
    const { pid } = keeper;
    process.kill(pid, "SIGKILL");
    // More than the pool has ready, so that one has to wait for the next resident.
    const runs = await Promise.all([1, 2, 3].map((n) => runner.start({ ...request, id: `run-${round}-${n}` })));
    assert.notEqual(await within("the next resident", back.promise), pid);
    assert.equal(lost.length, round);
    assert.match(lost.at(-1)!, /SIGKILL/);
    for (const run of runs) {
      assert.equal(await run.input(Buffer.from("hello\n")), 6);
      assert.equal((await run.ended).exitCode, 0);
      run.release();
      await run.empty;
    }
  }
  assert.equal(await before.input(Buffer.from("still\n")), 6);
  assert.deepEqual([(await before.ended).exitCode, before.output.stdoutBytes], [0, 6]);
  before.release();
  await before.empty;
});

test("a start that finds no resident in its time is refused with the reason, and no later", async () => {
  using folder = temporaryFolder("hlk");
  const socketPath = join(folder.path, "none.sock");
  await using runner = new Runner({ socketPath, stateDirectory: folder.path, warmShims: 1, reachMsMax: 100 });
  await assert.rejects(runner.open(), /ENOENT/);
  await runner.remove("nothing of it is there");
  mkdirSync(join(folder.path, "x"));
  await assert.rejects(runner.remove("x"), /ENOENT/);

  await using silent = createServer().listen(socketPath); // It takes the question and gives no answer.
  const stopping = new AbortController();
  silent.once("connection", (socket) => {
    socket.resume();
    stopping.abort();
  });
  await within("the end of the question", assert.rejects(runner.remove("x", stopping.signal), /detached/));
  await within("a question after the stop", assert.rejects(runner.remove("x", stopping.signal), /detached/));
});
