/**
 * Goal: P1, P2, P3: a daemon that starts finds everything that was left, whatever state it is in, and one hopeless run keeps nothing else.
 * Method: the real hl-runner and a second daemon over the same files; shims are stopped and killed, records and folders set apart.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { isRunning } from "@hl/testkit/processes.ts";
import { until, within } from "@hl/testkit/waiting.ts";
import { decodeFields, tag } from "../runner/frames.ts";
import { appears, CommandsFixture, params, script, type Daemon } from "./commands.fixture.test.ts";
import type { Command } from "./command.ts";

/** Resolves when the shim can be found by another daemon. */
async function published(f: CommandsFixture, { runId }: Command): Promise<number> {
  await appears(join(f.stateDirectory, runId, "identity"));
  const identity = readFileSync(join(f.stateDirectory, runId, "identity"));
  return decodeFields(identity.subarray(5, 4 + identity.readUInt32LE(0))).number(tag.shimPid)!;
}

async function pidIn(path: string): Promise<number> {
  return until(`a pid in ${path}`, () => existsSync(path) && Number(readFileSync(path, "utf8")));
}

const outcome = async (daemon: Daemon, id: string): Promise<unknown[]> => {
  const command = await daemon.commands.get(id);
  await within(`the end of ${id}`, command.ended);
  const { status, reason, exit_code, stdout, stdout_truncated } = await command.result(0, 100_000);
  return [status, reason, exit_code, stdout, stdout_truncated];
};

describe("recovery", () => {
  test("P1: what a finished command left running is found again: it counts in no limit, and cancel ends it", async () => {
    await using f = await CommandsFixture.make();
    const first = await f.open();
    const child = join(f.root, "child");
    const command = await first.commands.execute(
      script(`setsid sh -c 'echo $$ > ${child}; exec sleep 300' & echo told`),
    );
    await command.ended;
    await published(f, command);
    const pid = await pidIn(child);
    await until("its end to be stored", () => first.records.find(command.id)?.ending !== undefined);
    await f.leave(first);

    const second = await f.open({ processesMax: 1 });
    await second.commands.recover();
    await until("it to be held", () => second.commands.isHeld(command.id));
    assert.deepEqual([second.commands.running, second.commands.held, second.ended], [0, 1, []]);
    const found = await second.commands.get(command.id);
    assert.deepEqual(await outcome(second, command.id), ["completed", "exited", 0, "told\n", false]);
    assert.equal((await second.commands.execute(params("true"))).id.length, 36, "a place is free");
    const lingering = (): boolean[] => second.commands.list(10).flatMap(({ commandId, lingers }) => (commandId === command.id ? [lingers] : [])); // prettier-ignore
    assert.deepEqual(lingering(), [true]);
    assert.ok(isRunning(pid));
    await second.commands.cancel(found, 0);
    assert.deepEqual(lingering(), [false]);
    assert.ok(!isRunning(pid));
    await until("nothing to be held", () => second.commands.held === 0);
  });

  test("P1: one run that gives no answer keeps cancel from nothing that another has left running", async () => {
    await using f = await CommandsFixture.make();
    const first = await f.open();
    const hopeless = await first.commands.execute(params("sleep", ["300"]));
    const child = join(f.root, "child");
    const ended = await first.commands.execute(script(`sh -c 'echo $$ > ${child}; exec sleep 300' > /dev/null 2>&1 &`));
    const shim = await published(f, hopeless);
    await published(f, ended);
    await until("its end to be stored", () => first.records.find(ended.id)?.ending !== undefined);
    const pid = await pidIn(child);
    await f.leave(first);
    process.kill(shim, "SIGSTOP");

    const second = await f.open();
    await within("the start", second.commands.recover());
    await second.commands.cancel(await second.commands.get(ended.id), 0);
    const isGone = !isRunning(pid);
    process.kill(shim, "SIGCONT");
    assert.ok(isGone);
    await second.commands.cancel(await second.commands.get(hopeless.id), 0);
  });

  test("P2: a machine that stopped: the command is interrupted, with the output that its log has; nobody saw it end otherwise: unknown", async () => {
    await using f = await CommandsFixture.make();
    const first = await f.open({ bootId: "before" });
    const other = await f.open({ bootId: "boot" });
    const interrupted = await first.commands.execute(script("echo partial; exec sleep 300"));
    const unseen = await other.commands.execute(script("echo partial too; exec sleep 300"));
    const pids = [await published(f, interrupted), await published(f, unseen)];
    await until("the output", () => [interrupted, unseen].every(({ run }) => (run?.output.position ?? 0) > 0));
    await f.leave(other);
    await f.leave(first);
    for (const pid of pids) process.kill(pid, "SIGKILL");
    await until("the shims to be gone", () => !pids.some(isRunning));

    const second = await f.open();
    await second.commands.recover();
    assert.deepEqual(await outcome(second, interrupted.id), ["failed", "interrupted", undefined, "partial\n", false]);
    assert.deepEqual(await outcome(second, unseen.id), ["failed", "unknown", undefined, "partial too\n", false]);
    await until("the ends to be stored", () => second.commands.held === 0);
    assert.deepEqual(await outcome(second, interrupted.id), ["failed", "interrupted", undefined, "partial\n", false]);
    assert.deepEqual(second.ended.map(({ id }) => id).sort(), [interrupted.id, unseen.id].sort());
  });

  test("P3: a run that gives no answer keeps neither the others nor the start; it counts as started until it is known, and cancel waits for it", async () => {
    await using f = await CommandsFixture.make();
    const first = await f.open();
    const hopeless = await first.commands.execute(script("echo here; exec sleep 300"));
    const others = await Promise.all([1, 2, 3].map(() => first.commands.execute(params("sleep", ["300"]))));
    const shim = await published(f, hopeless);
    for (const other of others) await published(f, other);
    await f.leave(first);
    process.kill(shim, "SIGSTOP");

    const second = await f.open();
    await within("the start", second.commands.recover());
    const found = await second.commands.get(hopeless.id);
    assert.deepEqual([found.run, found.ending, found.startedResult(0).status], [undefined, undefined, "started"]);
    assert.deepEqual(second.commands.runningIds().length, 4);
    for (const { id } of others) assert.ok((await second.commands.get(id)).run !== undefined, "the others are found");
    const cancelled = second.commands.cancel(found, 0);
    process.kill(shim, "SIGCONT");
    await cancelled;
    assert.deepEqual(await outcome(second, hopeless.id), ["failed", "cancelled", undefined, "here\n", false]);
    for (const { id } of others) await second.commands.cancel(await second.commands.get(id), 0);
  });

  test("P1: a run that no record knows is ended and removed, dead or alive; those of agents are left alone", async () => {
    await using f = await CommandsFixture.make();
    const first = await f.open();
    const request = { argv: ["/bin/sleep", "300"], env: {}, cwd: f.root, stdin: "null" as const, graceMs: 1_000, openFilesMax: 64, logBytesMax: 65_536 }; // prettier-ignore
    const stray = await first.runner.start({ ...request, id: "stray" });
    const agent = await first.runner.start({ ...request, id: "agent_1" });
    for (const { directory } of [stray, agent]) await appears(join(directory, "identity"));
    stray.detach();
    agent.detach();
    mkdirSync(join(f.stateDirectory, "dead"));
    writeFileSync(join(f.stateDirectory, "dead/log.000000"), "of a command that was forgotten");
    await f.leave(first);

    const second = await f.open();
    await second.commands.recover();
    await until("the strays to be gone", () =>
      ["stray", "dead"].every((id) => !existsSync(join(f.stateDirectory, id))),
    );
    assert.ok(!isRunning(stray.pid));
    assert.ok(isRunning(agent.pid));
    assert.ok(existsSync(join(realpathSync(f.stateDirectory), "agent_1")));
  });

  test("P3, S4: an end that cannot be stored is told at once, tried again, and its shim stays until it is stored", async () => {
    await using f = await CommandsFixture.make();
    const failing = Promise.withResolvers<undefined>();
    let attempts = 0;
    let tellings = 0;
    const daemon = await f.open({
      random: () => 0,
      onEnd: async () => {
        tellings += 1;
        if (tellings === 1) throw new Error("database is locked");
      },
    });
    const { commands, records } = daemon;
    const store = records.end.bind(records);
    records.end = async (...facts) => {
      attempts += 1;
      if (attempts <= 2) throw new Error("database or disk is full");
      await failing.promise;
      await store(...facts);
    };
    const command = await commands.execute(script("sleep 0.1; echo told; exit 3"));
    await appears(join(f.stateDirectory, command.runId, "attach.sock"));
    assert.deepEqual(await outcome(daemon, command.id), ["failed", "exited", 3, "told\n", false]);
    await until("the third attempt", () => attempts === 3);
    assert.equal(tellings, 2, "told again only until that was stored");
    assert.ok(commands.isHeld(command.id));
    assert.ok(existsSync(join(f.stateDirectory, command.runId, "attach.sock")), "its shim is still there");
    assert.equal(records.find(command.id)?.ending, undefined);
    failing.resolve(undefined);
    await until("the end to be stored", () => commands.held === 0);
    assert.deepEqual(await outcome(daemon, command.id), ["failed", "exited", 3, "told\n", false]);
    await until("the shim to leave", () => !existsSync(join(f.stateDirectory, command.runId, "attach.sock")));
  });
});
