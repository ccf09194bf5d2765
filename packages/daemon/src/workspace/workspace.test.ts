/**
 * Goal: hl-workspace comes when it is needed, goes when it is not, and whatever happens to it every caller hears of it (A1, P1). Method: the real
 * hl-runner and the real hl-workspace, no daemon around them.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { systemClock, type Clock } from "@hl/core/clock.ts";
import { silentLogger, type Logger } from "@hl/core/logger.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { FileChanged } from "@hl/protocol/methods/file-watch.ts";
import { until } from "@hl/testkit/waiting.ts";
import { findWorkspaceProgram } from "../host-facts.ts";
import { sandboxRules } from "../sandbox/rules.ts";
import { world, type World } from "../runner/runner.fixture.test.ts";
import { workspaceIdPrefix } from "./launch.ts";
import { Workspace, type WorkspaceOptions } from "./workspace.ts";

const never = new AbortController().signal;

async function setUp(
  t: TestContext,
  options: Partial<WorkspaceOptions> = {},
): Promise<{ there: World; workspace: Workspace; root: string }> {
  const there = await world();
  const root = join(there.root, "ws");
  mkdirSync(root);
  const workspace = new Workspace({
    ...findWorkspaceProgram(),
    runner: there.runner,
    // The kernel's part is tried in tests/system.
    host: { temporaryRoot: join(there.root, "temporary"), offlineConfinement: () => ({}) },
    clock: systemClock,
    logger: silentLogger,
    random: () => 0,
    workspace: root,
    allowedPaths: [root],
    blockedPaths: [],
    idleMs: 60_000,
    ...options,
  });
  t.after(async () => {
    await workspace.drain();
    await there[Symbol.asyncDispose]();
  });
  return { there, workspace, root };
}

const runsOf = async ({ runner }: World): Promise<string[]> =>
  (await runner.list()).filter((id) => id.startsWith(workspaceIdPrefix));

const isError = (type: string) => (error: unknown) => error instanceof HlError && error.type === type;

test("one process for all who ask at once; idle it goes with its shim and its log, and comes again", async (t) => {
  const { there, workspace } = await setUp(t, { idleMs: 50 });
  assert.deepEqual(await runsOf(there), []);
  await Promise.all(Array.from({ length: 30 }, () => workspace.call("file/list", {}, never)));
  const [first, ...others] = await runsOf(there);
  assert.ok(first !== undefined && others.length === 0);
  await until("it has gone", async () => (await runsOf(there)).length === 0);
  await workspace.call("file/list", {}, never);
  assert.notDeepEqual(await runsOf(there), [first]);
});

test("errors of files come as they are, without a word about the conversation between us and hl-workspace", async (t) => {
  const { workspace } = await setUp(t);
  await assert.rejects(workspace.call("file/read", { path: "nothing" }, never), (error: unknown) => {
    assert.ok(error instanceof HlError && error.type === "file_not_found");
    assert.deepEqual(Object.keys(error.facts).sort(), ["errno", "path"]);
    return true;
  });
});

test("A1: one that cannot be started is told to each caller, and the next call tries again", async (t) => {
  const program = findWorkspaceProgram();
  const broken = { ...program, argv: [program.argv[0] ?? "", "-e", "console.error('broken'); process.exit(3)"] };
  const { there, workspace } = await setUp(t, broken);
  for (let round = 0; round < 2; round += 1) {
    await assert.rejects(workspace.call("file/list", {}, never), (error: unknown) => {
      assert.ok(error instanceof HlError && error.type === "workspace_lost", String(error));
      assert.match(error.message, /exit code 3/);
      assert.deepEqual([error.facts["exit_code"], error.facts["stderr_tail"]], [3, "broken\n"]);
      return true;
    });
  }
  await until("nothing is left", async () => (await runsOf(there)).length === 0);
  const refused = await setUp(t, {
    host: {
      temporaryRoot: "/nowhere",
      offlineConfinement: () => {
        throw new HlError("sandbox_unavailable", "no Landlock here");
      },
    },
  });
  for (let round = 0; round < 2; round += 1) {
    await assert.rejects(refused.workspace.call("file/list", {}, never), isError("sandbox_unavailable"));
  }
});

test("X1: the kernel judges behind hl-workspace: what its own judgement would let through is refused", async (t) => {
  const program = findWorkspaceProgram();
  const { workspace, root } = await setUp(t, {
    ...program,
    allowedPaths: ["/"],
    host: {
      temporaryRoot: "/nowhere",
      offlineConfinement: () => ({
        sandbox: sandboxRules(
          { allowedPaths: [join(tmpdir(), "hl-allowed")], blockedPaths: [] },
          { read: program.read },
        ),
      }),
    },
  });
  writeFileSync(join(root, "f"), "outside of what the kernel lets it");
  const calls = [
    workspace.call("file/read", { path: join(root, "f") }, never),
    workspace.call("file/write", { path: join(root, "f"), data: "" }, never),
    workspace.call("file/remove", { path: join(root, "f") }, never),
    workspace.call("file/list", { path: root }, never),
  ];
  const isRefused = (error: unknown): boolean => {
    assert.ok(error instanceof HlError && error.type === "path_denied", String(error));
    assert.match(error.message, /the kernel refuses it/);
    return true;
  };
  // In whatever order their answers come.
  await Promise.all(calls.map((call) => assert.rejects(call, isRefused)));
  assert.equal(readFileSync(join(root, "f"), "utf8"), "outside of what the kernel lets it");
});

test("a caller that leaves is let go, and the others are served", async (t) => {
  const { workspace, root } = await setUp(t);
  writeFileSync(join(root, "f"), "f");
  const leaving = new AbortController();
  const calls = Array.from({ length: 20 }, () => workspace.call("file/read", { path: "f" }, leaving.signal));
  const stays = workspace.call("file/read", { path: "f" }, never);
  leaving.abort(new Error("left"));
  for (const { status, ...rest } of await Promise.allSettled(calls)) {
    if (status === "rejected") assert.match(String((rest as { reason: unknown }).reason), /left/);
  }
  assert.equal((await stays).data, "f");
});

/** A time limit of the methods is over at once; whoever needs the pid of hl-workspace finds it in the log. */
function stoppable(t: TestContext, limitMs: number): { options: Partial<WorkspaceOptions>; pids: number[] } {
  const pids: number[] = [];
  const note: Logger["debug"] = ({ pid }, message) => {
    if (message === "hl-workspace is there") pids.push(Number(pid));
  };
  t.after(() => {
    for (const pid of pids) if (existsSync(`/proc/${pid}`)) process.kill(pid, "SIGKILL");
  });
  const after: Clock["after"] = (ms, callback) => systemClock.after(ms === 60_000 ? limitMs : ms, callback);
  return {
    pids,
    options: { idleMs: 50_000, logger: { ...silentLogger, debug: note }, clock: { ...systemClock, after } },
  };
}

test("A1: one that is stuck is stopped when a call's time is over; the others hear of it, and the next call starts another", async (t) => {
  const { options, pids } = stoppable(t, 200);
  const { workspace } = await setUp(t, options);
  await workspace.call("file/list", {}, never);
  process.kill(pids[0]!, "SIGSTOP");
  const others = [workspace.call("file/stat", { path: "." }, never), workspace.call("file/list", {}, never)];
  await Promise.all(others.map((call) => assert.rejects(call, isError("workspace_lost"))));
  await workspace.call("file/list", {}, never);
  assert.equal(pids.length, 2);
});

test("S2: a watch outlives several hl-workspaces that end before it is begun again, and ends with the reason when its folder is gone", async (t) => {
  const { options, pids } = stoppable(t, 60_000);
  const program = findWorkspaceProgram();
  // For each file in it one start fails.
  const crashes = mkdtempSync(join(tmpdir(), "hl-crashes-"));
  t.after(() => rmSync(crashes, { recursive: true }));
  const script = `for f in ${crashes}/*; do test -e "$f" && rm "$f" && exit 3; done; exec "$0" "$@"`;
  const { workspace, root } = await setUp(t, { ...options, argv: ["/bin/sh", "-c", script, ...program.argv] });
  mkdirSync(join(root, "watched"));
  const watch = await workspace.watch({ path: "watched" }, never);
  const told: FileChanged[] = [];
  const delivered = watch.deliver(async (changed) => void told.push(changed));
  for (const name of ["1", "2", "3"]) writeFileSync(join(crashes, name), "");
  process.kill(pids[0]!, "SIGKILL");
  await until("it goes on", () => told.length > 0);
  assert.deepEqual([told, readdirSync(crashes)], [[{ watch_id: watch.id, changes: [], gap: true }], []]);
  process.kill(pids[1]!, "SIGKILL");
  rmSync(join(root, "watched"), { recursive: true });
  await delivered;
  assert.match(told.at(-1)?.ended ?? "", /does not exist/);
});

test("P7: calls whose callers have left hold their place until hl-workspace is through with them, and stop nothing", async (t) => {
  const { options, pids } = stoppable(t, 60_000);
  const { workspace } = await setUp(t, options);
  await workspace.call("file/list", {}, never);
  process.kill(pids[0]!, "SIGSTOP");
  for (let round = 0; round < 4; round += 1) {
    const leaving = new AbortController();
    const call = workspace.call("file/write", { path: "f", data: "x".repeat(1_000_000) }, leaving.signal);
    await new Promise(setImmediate);
    leaving.abort(new Error("left"));
    await assert.rejects(call, /left/);
  }
  const waiting = Array.from({ length: 256 }, () => workspace.call("file/stat", { path: "." }, never));
  await assert.rejects(workspace.call("file/stat", { path: "." }, never), isError("rate_limited"));
  process.kill(pids[0]!, "SIGCONT");
  await Promise.all(waiting);
  assert.equal(pids.length, 1);
});

test("P1: what a killed daemon has left is ended by the next one, and other runs are left alone", async (t) => {
  const { there, root } = await setUp(t);
  const left = "workspace_left";
  there.leave(await there.start(left, "exec sleep 600"));
  const command = await there.start("command", "exec sleep 600");
  const next = new Workspace({
    ...findWorkspaceProgram(),
    ...{ runner: there.runner, clock: systemClock, logger: silentLogger, random: () => 0, idleMs: 60_000 },
    ...{ workspace: root, allowedPaths: [root], blockedPaths: [] },
    host: { temporaryRoot: join(there.root, "temporary"), offlineConfinement: () => ({}) },
  });
  await next.recover();
  assert.equal(existsSync(join(there.runner.stateDirectory, left)), false);
  assert.equal(command.end, undefined);
});

test("a stop refuses new calls, ends watches and leaves nothing", async (t) => {
  const { there, workspace, root } = await setUp(t);
  const watch = await workspace.watch({}, never);
  const told = watch.deliver(async () => {});
  await workspace.call("file/write", { path: "f", data: "kept" }, never);
  await workspace.drain();
  await told;
  assert.deepEqual(await runsOf(there), []);
  await assert.rejects(workspace.call("file/list", {}, never), isError("shutting_down"));
  assert.equal(readFileSync(join(root, "f"), "utf8"), "kept");
});
