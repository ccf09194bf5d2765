/**
 * Goal: C1: an id has one effect in every race; P2, P3: every end is told once, across restarts of the daemon, as it was.
 * Method: the real hl-runner; races are made by asking in one turn of the loop, restarts by a second daemon over the same files.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { until } from "@hl/testkit/waiting.ts";
import { HlError, type ErrorType } from "@hl/protocol/errors.ts";
import { Runner } from "../runner/runner.ts";
import { appears, CommandsFixture, params, script } from "./commands.fixture.test.ts";

const refusal =
  (type: ErrorType) =>
  (error: unknown): boolean =>
    error instanceof HlError && error.type === type;

const resultOf = async (command: {
  readonly ended: Promise<unknown>;
  result(now: number, max: number): Promise<object>;
}) => {
  await command.ended;
  return (await command.result(0, 100_000)) as { stdout?: string; status: string; reason?: string; exit_code?: number };
};

describe("commands: one effect for each id (C1)", () => {
  test("C1: asked twice in one turn it starts once, and both get the same command", async () => {
    await using f = await CommandsFixture.make();
    const { commands, started, records } = await f.open();
    const file = join(f.root, "effect");
    const request = script(`echo x >> ${file}; echo done`);
    const found = await Promise.all([1, 2, 3].map(() => commands.execute({ ...request })));
    assert.equal(new Set(found).size, 1);
    assert.deepEqual(await resultOf(found[0]!), { ...(await resultOf(found[2]!)), stdout: "done\n" });
    assert.equal(readFileSync(file, "utf8"), "x\n");
    assert.equal(started.length, 1);
    assert.ok(records.find(request.command_id)?.ending !== undefined || commands.running === 0);
    // Long after its end it is still the same one.
    assert.deepEqual(await resultOf(await commands.execute(request)), await resultOf(found[0]!));
    assert.equal(readFileSync(file, "utf8"), "x\n");
    assert.equal(commands.running, 0);
  });

  test("P7: a finished command is held on disk only, and its result and output are still there", async () => {
    await using f = await CommandsFixture.make();
    const { commands } = await f.open();
    const requests = Array.from({ length: 8 }, (_, index) => script(`echo ${index}`));
    const all = await Promise.all(requests.map((request) => commands.execute(request)));
    const first = await Promise.all(all.map(resultOf));
    await until("nothing to be held", async () => commands.held === 0);
    const again = await Promise.all(requests.map(async ({ command_id: id }) => resultOf(await commands.get(id))));
    assert.deepEqual(again, first);
    assert.equal(commands.held, 0);
  });

  test("X4, X2: what is secret in its environment is held before it starts until nothing of it runs; without room for it nothing starts", async () => {
    await using f = await CommandsFixture.make();
    const holding = new Map<string, unknown>();
    let refuse = false;
    const secrets = {
      hold: (owner: string, environment: unknown) => {
        if (refuse) throw new HlError("process_limit", "full");
        holding.set(owner, environment);
      },
      holdRunning: () => true,
      release: (owner: string) => void holding.delete(owner),
    };
    const { commands, started } = await f.open({ secrets });
    const env = { TOKEN: "the-token" };
    const command = await commands.execute(script("sleep 300 > /dev/null 2>&1 & echo started", { env }));
    await command.ended;
    assert.deepEqual([...holding.values()], [env]); // Something of it lives on.
    await commands.cancel(command, 0);
    await until("it to be released", async () => holding.size === 0);
    await assert.rejects(commands.execute(script("true", { env, cwd: "/nowhere" })));
    refuse = true;
    await assert.rejects(commands.execute(script("true", { env })), refusal("process_limit"));
    assert.deepEqual([holding.size, started.length, commands.running], [0, 1, 0]);
  });

  test("P1, P7: what lives on in the background keeps its command within reach, until cancel has ended it", async () => {
    await using f = await CommandsFixture.make();
    const { commands } = await f.open();
    const command = await commands.execute(script("sleep 300 > /dev/null 2>&1 & echo started"));
    await command.ended;
    assert.ok(commands.isHeld(command.id));
    assert.equal(await commands.get(command.id), command);
    await commands.cancel(command, 0);
    await until("nothing to be held", async () => commands.held === 0);
  });

  test("C1: the same id with other parameters is a conflict, while it starts, runs and after its end", async () => {
    await using f = await CommandsFixture.make();
    const { commands } = await f.open();
    const request = script("exit 3");
    const other = { ...request, args: ["-c", "exit 4"] };
    const both = await Promise.allSettled([commands.execute(request), commands.execute(other)]);
    assert.equal(both[0].status, "fulfilled");
    assert.ok(both[1].status === "rejected" && refusal("command_id_conflict")(both[1].reason));
    const command = await commands.execute({ ...request, stream_output: true }); // How it is answered is no difference.
    await command.ended;
    for (const change of [{ cwd: "." }, { env: { A: "1" } }, { timeout: 5 }, { stdin: true }]) {
      await assert.rejects(commands.execute({ ...request, ...change }), refusal("command_id_conflict"));
    }
    const again = await commands.execute({ ...request, env: undefined });
    assert.equal((await resultOf(again)).exit_code, 3);
  });

  test("C1: a refusal leaves nothing behind, so the same id may be asked for again", async () => {
    await using f = await CommandsFixture.make();
    const { commands, records, ended } = await f.open();
    const id = "again";
    const file = join(f.root, "workspace/late");
    writeFileSync(file, "no program", { mode: 0o755 }); // Passes every check before the kernel's own.
    const request = params("./late", [], { command_id: id });
    const both = await Promise.allSettled([commands.execute(request), commands.execute(request)]);
    for (const one of both) assert.ok(one.status === "rejected" && refusal("command_not_found")(one.reason));
    assert.equal(commands.running, 0);
    assert.equal(records.find(id), undefined);
    // What has a dot waits for the next command.
    const left = readdirSync(f.temporaryRoot).filter((name) => !name.startsWith("."));
    assert.deepEqual(left, ["home"]);
    await assert.rejects(commands.get(id), refusal("command_unknown"));
    writeFileSync(file, "#!/bin/sh\nexit 0\n", { mode: 0o755 });
    assert.equal((await resultOf(await commands.execute(request))).status, "completed");
    assert.deepEqual(
      ended.map((one) => one.id),
      [id],
    );
  });

  test("S4: when its record cannot be stored nothing starts, the first cause is told, and nothing of it stays", async () => {
    await using f = await CommandsFixture.make();
    const { commands, records } = await f.open();
    const broken = new Error("disk is full");
    records.begin = () => Promise.reject(broken);
    records.abandon = () => Promise.reject(new Error("also this"));
    const file = join(f.root, "effect");
    await assert.rejects(commands.execute(params("touch", [file])), broken);
    assert.equal(existsSync(file), false);
    assert.equal(commands.running, 0);
    // A start that fails keeps its own cause too.
    const nowhere = {
      socketPath: join(f.root, "none.sock"),
      stateDirectory: f.stateDirectory,
      warmShims: 0,
      reachMsMax: 0,
    };
    const next = await f.open({ runner: new Runner(nowhere) });
    next.records.abandon = () => Promise.reject(new Error("also this"));
    await assert.rejects(next.commands.execute(params("true")), refusal("runner_unavailable"));
    assert.equal(next.commands.running, 0);
  });

  test("a request larger than a frame is refused as such, and costs no shim", async () => {
    await using f = await CommandsFixture.make();
    const { commands } = await f.open();
    const args = Array.from({ length: 50 }, () => "x".repeat(100_000));
    await assert.rejects(commands.execute(params("true", args)), refusal("invalid_params"));
    assert.equal(commands.running, 0);
    assert.equal((await resultOf(await commands.execute(params("true")))).status, "completed");
  });
});

describe("commands: limits and stops", () => {
  test("process_limit counts what starts and what runs, and a place is free again after an end", async () => {
    await using f = await CommandsFixture.make();
    const { commands } = await f.open({ processesMax: 2 });
    const requests = ["a", "b", "c"].map((id) => params("sleep", ["60"], { command_id: id }));
    const states = await Promise.allSettled(requests.map((request) => commands.execute(request)));
    assert.deepEqual(
      states.map(({ status }) => status),
      ["fulfilled", "fulfilled", "rejected"],
    );
    assert.ok(refusal("process_limit")((states[2] as PromiseRejectedResult).reason));
    assert.deepEqual(commands.runningIds(), ["a", "b"]);
    const a = await commands.get("a");
    await commands.cancel(a, 1_000);
    assert.equal(a.ending?.reason, "cancelled");
    const c = await commands.execute(requests[2]!);
    await Promise.all([commands.cancel(c, 0), commands.cancel(await commands.get("b"), 0)]);
    assert.equal(commands.running, 0);
  });

  test("P1: a cancel that comes while the command starts stops it, and its children with it", async () => {
    await using f = await CommandsFixture.make();
    const { commands } = await f.open();
    const request = script("setsid sleep 61 & sleep 62");
    const starting = commands.execute(request);
    await Promise.resolve();
    assert.ok(commands.isHeld(request.command_id), "it is starting");
    const command = await commands.get(request.command_id);
    await commands.cancel(command, 0);
    assert.equal((await resultOf(await starting)).reason, "cancelled");
    await command.run?.empty;
  });

  test("after a drain nothing starts, and what is known is still answered", async () => {
    await using f = await CommandsFixture.make();
    const { commands, ended } = await f.open();
    const request = params("sleep", ["60"]);
    const command = await commands.execute(request);
    await commands.drain(true);
    await assert.rejects(commands.execute(params("true")), refusal("shutting_down"));
    assert.equal(await commands.execute(request), command);
    assert.deepEqual(
      ended.map(({ ending }) => ending.reason),
      ["shutdown"],
    );
  });
});

describe("commands: restarts of the daemon (P3)", () => {
  test("P3: what still runs is attached to, its end is stored before its shim is let go, and its folder is removed", async () => {
    await using f = await CommandsFixture.make();
    const first = await f.open();
    const request = script("echo before; read line; echo after $line; exit 7", { stdin: true });
    const { runId } = await first.commands.execute(request);
    await appears(join(f.stateDirectory, runId, "identity")); // The last one: the shim can be attached to.
    await f.leave(first);

    const second = await f.open();
    const order: string[] = [];
    const end = second.records.end.bind(second.records);
    second.records.end = async (...args) => {
      await end(...args);
      order.push("stored");
    };
    await second.commands.recover();
    assert.deepEqual(second.commands.runningIds(), [request.command_id]);
    assert.equal(second.commands.running, 1);
    const command = await second.commands.execute(request); // The caller asks again and finds it.
    const release = command.run!.release.bind(command.run);
    const released = Promise.withResolvers<undefined>();
    command.run!.release = () => {
      order.push("released");
      release();
      released.resolve(undefined);
    };
    assert.equal(await command.run!.input(Buffer.from("word\n")), 5);
    const result = await resultOf(command);
    assert.equal(result.stdout, "before\nafter word\n");
    assert.equal(result.exit_code, 7);
    await Promise.all([command.run!.empty, released.promise]);
    assert.deepEqual(order, ["stored", "released"]);
    assert.equal(second.commands.running, 0);
    assert.equal(second.ended.length, 1);
    await until("its private folder to be gone", () => !existsSync(join(f.temporaryRoot, runId)));
  });

  test("P3: an end that came while no daemon was there is taken from its file, once", async () => {
    await using f = await CommandsFixture.make();
    const first = await f.open();
    const go = join(f.root, "go");
    const request = script(`while [ ! -e ${go} ]; do sleep 0.01; done; echo late; exit 5`);
    const { runId } = await first.commands.execute(request);
    await appears(join(f.stateDirectory, runId, "identity")); // The last one: the shim can be attached to.
    await f.leave(first);
    writeFileSync(go, "");
    await appears(join(f.stateDirectory, runId, "end"));

    const second = await f.open();
    await second.commands.recover();
    const result = await resultOf(await second.commands.get(request.command_id));
    assert.deepEqual([result.status, result.exit_code, result.stdout], ["failed", 5, "late\n"]);
    assert.deepEqual(
      second.ended.map(({ id }) => id),
      [request.command_id],
    );
    await f.leave(second);

    const third = await f.open();
    await third.commands.recover();
    assert.deepEqual(third.ended, []); // Told once, not at every start.
    const again = await resultOf(await third.commands.execute(request));
    assert.deepEqual([again.exit_code, again.stdout], [5, "late\n"]);
    await assert.rejects(third.commands.execute({ ...request, timeout: 1 }), refusal("command_id_conflict"));
  });

  test("C1, P2: of a command that nobody saw end it is said so; it is not run again", async () => {
    await using f = await CommandsFixture.make();
    const first = await f.open();
    const file = join(f.root, "effect");
    const request = params("touch", [file]);
    const record = { commandId: request.command_id, runId: "gone", command: "touch", args: request.args };
    // As a power cut leaves it: the record is there, of the run nothing is, or a folder without an end.
    const { paramsHash } = await first.commands.execute({ ...request, command_id: "twin" });
    await first.records.begin({ ...record, paramsHash, bootId: "before", startedMs: 5 });
    mkdirSync(join(f.stateDirectory, "gone"));
    mkdirSync(join(f.temporaryRoot, "gone"));
    await f.leave(first);
    rmSync(file, { force: true });

    const second = await f.open();
    await second.commands.recover();
    const result = await resultOf(await second.commands.execute(request));
    assert.deepEqual([result.status, result.reason], ["failed", "interrupted"]);
    assert.equal(existsSync(file), false);
    assert.equal(second.ended.find(({ id }) => id === request.command_id)?.ending.startedMs, 5);
    assert.equal(existsSync(join(f.temporaryRoot, "gone")), false);
  });
});

test("X1: what a sandboxed command puts in the place of the private home gives the next one nothing", async () => {
  await using f = await CommandsFixture.make();
  const paths = { allowedPaths: [join(f.root, "workspace"), f.temporaryRoot], blockedPaths: [] };
  const { commands } = await f.open({}, { sandboxed: true, paths });
  const secret = join(f.root, "secret");
  writeFileSync(secret, "secret");
  const home = join(f.temporaryRoot, "home");
  // Again and again, because the shim that is forked for the next command makes the home that is missing.
  const replace = `until [ -L ${home} ]; do rmdir ${home}; ln -sT / ${home}; done`;
  const attack = script(`cat ${secret}; ${replace}; echo replaced`);
  const first = await resultOf(await commands.execute(attack));
  assert.equal(first.stdout, "replaced\n");
  const second = await resultOf(await commands.execute(script(`cat ${secret}; echo tried; echo x > ${secret}`)));
  assert.equal(second.stdout, "tried\n");
  assert.equal(readFileSync(secret, "utf8"), "secret");
  rmSync(home);
  symlinkSync("/nowhere", home);
});
