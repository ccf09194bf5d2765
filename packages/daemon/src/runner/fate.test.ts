/**
 * Goal: P2, P3, C1: what became of a run is found out and never guessed, whatever is down just then. Method: the real hl-runner; shims
 * and residents are stopped and killed, and a proxy in the resident's place cuts a connection at the worst moment.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { isRunning } from "@hl/testkit/processes.ts";
import { until, within } from "@hl/testkit/waiting.ts";
import { appears } from "../commands/commands.fixture.test.ts";
import type { Run } from "./run.ts";
import { Runner } from "./runner.ts";
import { shimPidOf, textOf, world, type World } from "./runner.fixture.test.ts";

/** The shim's pid, also before it has written it anywhere: its program's parent. */
function parentOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}

/** Stands where the resident listens; the first connection is given to `first`, all others are passed on. */
async function proxied(
  w: World,
  first: (near: Socket, far: Socket) => void,
): Promise<{ runner: Runner } & AsyncDisposable> {
  const socketPath = join(w.root, "proxy.sock");
  let connections = 0;
  const server = createServer((near) => {
    const far = connect(w.socketPath);
    for (const socket of [near, far]) socket.on("error", () => {});
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
    connections += 1;
    if (connections === 1) first(near, far);
    else near.pipe(far).pipe(near);
  });
  await once(server.listen(socketPath), "listening");
  const runner = new Runner({ socketPath, stateDirectory: w.runner.stateDirectory, warmShims: 0, random: () => 0.1 });
  return {
    runner,
    async [Symbol.asyncDispose]() {
      await runner[Symbol.asyncDispose]();
      server.close();
    },
  };
}

const request = (w: World, id: string, script: string): Parameters<Runner["start"]>[0] => ({
  id,
  argv: ["/bin/sh", "-c", script],
  env: { PATH: "/usr/bin:/bin" },
  cwd: w.root,
  stdin: "null",
  graceMs: 1_000,
  openFilesMax: 64,
  logBytesMax: 1_048_576,
});

async function ended(run: Run): Promise<void> {
  run.stop("cancelled", 0);
  await run.empty;
  run.detach();
}

describe("fate", () => {
  test("P3: a shim that lives and does not listen yet is waited for, and attached to as soon as it does", async () => {
    await using w = await world();
    const run = await w.start("a", "echo here; sleep 300");
    const shim = parentOf(run.pid);
    process.kill(shim, "SIGSTOP"); // Before it has published anything, or behind it: either way nobody answers.
    w.leave(run);
    const finding = w.runner.find("a");
    let isFound = false;
    void finding.then(() => (isFound = true));
    await (
      await w.start("other", "echo meanwhile")
    ).ended; // The time of a whole life of another one.
    assert.ok(!isFound && isRunning(shim));
    process.kill(shim, "SIGCONT");
    const found = (await within("the run", finding))!;
    assert.deepEqual([found.pid, found.isComplete], [run.pid, false]);
    await ended(found);
  });

  test("P1, P2: while the resident is down nothing is said; once it is back, what a killed shim left is ended and the end is unknown", async () => {
    await using w = await world();
    const script = `setsid sh -c 'echo $$ > ${w.root}/child; exec sleep 300' > /dev/null 2>&1 & echo out; wait`;
    const run = await w.start("b", script);
    await appears(join(run.directory, "identity"));
    await until(
      "the child",
      () => existsSync(join(w.root, "child")) && readFileSync(join(w.root, "child"), "utf8") !== "",
    );
    const child = Number(readFileSync(join(w.root, "child"), "utf8"));
    const shim = shimPidOf(run);
    await w.killResident();
    process.kill(shim, "SIGKILL");
    await until("the shim to be gone", () => !isRunning(shim));
    const { socketPath } = w;
    await using impatient = new Runner({ socketPath, stateDirectory: w.root, warmShims: 1, reachMsMax: 200 });
    await assert.rejects(impatient.open(), /ECONNREFUSED/);
    assert.equal(run.end, undefined, "nobody can know it yet");
    assert.ok(isRunning(child));
    await w.startResident();
    const end = await within("its end", run.ended);
    assert.deepEqual([end.reason, end.exitCode, end.stdoutBytes], ["unknown", undefined, 4]);
    await run.empty;
    assert.ok(!isRunning(child));
    assert.equal(await textOf(run), "out\n");
  });

  test("C1: a connection that breaks behind START and before STARTED: the run that started is the one that is answered", async () => {
    await using w = await world();
    // What the shim says first is STARTED; it is never passed on.
    await using proxy = await proxied(w, (near, far) => {
      near.pipe(far);
      far.once("data", () => near.destroy());
    });
    const run = await proxy.runner.start(
      request(w, "c", `echo once >> ${w.root}/effect; sleep 0.2; echo told; exit 6`),
    );
    assert.ok(run.pid > 0);
    const end = await within("its end", run.ended);
    assert.deepEqual([end.reason, end.exitCode], ["exited", 6]);
    assert.equal(await textOf(run), "told\n");
    assert.equal(readFileSync(join(w.root, "effect"), "utf8"), "once\n");
    run.release();
    await run.empty;
  });

  test("C1: the same where the command is over at once", async () => {
    await using w = await world();
    await using proxy = await proxied(w, (near, far) => {
      near.pipe(far);
      far.once("data", () => void once(far, "data").then(() => near.destroy()));
      far.pause();
      void once(near, "data").then(async () => {
        await appears(join(w.root, "effect"));
        near.destroy();
      });
    });
    const run = await proxy.runner.start(request(w, "d", `echo told; echo x > ${w.root}/effect; exit 7`));
    const end = await within("its end", run.ended);
    assert.deepEqual([end.reason, end.exitCode], ["exited", 7]);
    assert.equal(await textOf(run), "told\n");
    run.release(); // Where it was just in time to attach.
    await run.empty;
  });

  test("C1: a connection that breaks before the shim has read START: nothing started, so it is started once, by the next one", async () => {
    await using w = await world();
    await using proxy = await proxied(w, (near) => near.once("data", () => near.destroy()));
    const run = await proxy.runner.start(request(w, "e", `echo x >> ${w.root}/effect`));
    assert.equal((await run.ended).exitCode, 0);
    assert.equal(readFileSync(join(w.root, "effect"), "utf8"), "x\n");
    run.release();
    await run.empty;
  });

  test("P1: a stop that was asked for while the connection was lost is carried out", async () => {
    await using w = await world();
    const cut = Promise.withResolvers<undefined>();
    await using proxy = await proxied(w, (near, far) => {
      near.pipe(far).pipe(near);
      void cut.promise.then(() => near.destroy());
    });
    const run = await proxy.runner.start(request(w, "f", "sleep 300"));
    await appears(join(run.directory, "identity"));
    const shim = shimPidOf(run);
    process.kill(shim, "SIGSTOP"); // It cannot take the next connection.
    cut.resolve(undefined);
    await until("the loss to be noticed", () => !run.signal(0));
    run.stop("cancelled", 0);
    process.kill(shim, "SIGCONT");
    assert.equal((await within("its end", run.ended)).reason, "cancelled");
    run.release();
    await run.empty;
  });
});
