/** Goal: whatever outlived its shim is found and ended (P1), a run that lives is never touched, and REMOVE takes a run's folders and nothing else.
 * Method: resident and shim are killed with -9 under a family of daemonised processes; a new resident on the same state folder is asked. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { frame, TYPE, type Fields } from "./frames.ts";
import { orphans } from "./orphans.ts";
import { readLog } from "./read-log.ts";
import { eventually, isAlive, newId, Runner, stateOf, untilDead } from "./runner.ts";

const sh = (script: string): string[] => ["/bin/sh", "-c", script];

async function ask(runner: Runner, type: number, id: string, temporary?: string): Promise<Fields | "empty"> {
  const connection = runner.connect();
  connection.send(frame(type, temporary === undefined ? [["id", id]] : [["id", id], ["temporary", temporary]])); // prettier-ignore
  await connection.untilClosed();
  const [answer] = connection.frames;
  assert.equal(connection.frames.length, 1, JSON.stringify(connection.frames));
  return answer?.type === TYPE.empty ? "empty" : (answer?.fields ?? {});
}

const FAMILY = `setsid sh -c 'echo $$; exec sleep 1000' &
  (setsid sh -c '(sh -c "echo \\$\\$; trap \\"\\" TERM HUP; sleep 1000; sleep 1000" &) ; exit 0' &)
  setsid env -i sh -c 'echo $$; exec sleep 1000' & `;

test("P1: SWEEP ends what a killed shim and a killed resident left: setsid, double forks, an emptied environment below", async () => {
  const { runner, id, pids } = await orphans(`${FAMILY} setsid sh -c 'echo $$; env -i sleep 1000 & wait' & wait`, 4);
  await using _ = runner;
  assert.equal(await ask(runner, TYPE.sweep, id), "empty");
  const left = pids.filter(isAlive);
  /* What threw its mark away and is below nobody who carries it is out of reach without a control group. */
  for (const pid of left)
    assert.equal(readFileSync(`/proc/${String(pid)}/environ`, "latin1").includes("HL_RUN_ID"), false);
  for (const pid of left) process.kill(pid, "SIGKILL");
  assert.ok(left.length <= 1, `${String(left.length)} are left`);
  assert.equal(await ask(runner, TYPE.sweep, id), "empty", "and again");
});

test("P1: a killed shim takes its main process with it, without anybody's help", async () => {
  const { runner, pids } = await orphans("echo $$; exec sleep 1000", 1);
  await using _ = runner;
  for (const pid of pids) await untilDead(pid);
});

test("P1: SWEEP ends a process whose first thread has ended while another runs on", async () => {
  const script =
    "import ctypes,os,threading,time;print(os.getpid(),flush=True);threading.Thread(target=time.sleep,args=(1000,)).start();ctypes.CDLL(None).pthread_exit(None)";
  const { runner, id, pids } = await orphans(`setsid python3 -c '${script}' & wait`, 1);
  await using _ = runner;
  const [pid] = pids as [number];
  await eventually(() => stateOf(pid) === "Z", "a first thread that has ended");
  assert.equal(readdirSync(`/proc/${String(pid)}/task`).length, 2);
  assert.equal(await ask(runner, TYPE.sweep, id), "empty");
  await eventually(() => !existsSync(`/proc/${String(pid)}/task`) || readdirSync(`/proc/${String(pid)}/task`).length < 2, "its end"); // prettier-ignore
});

test("P1: SWEEP ends a fork storm", async () => {
  const { runner, id } = await orphans(
    "setsid sh -c 'echo $$; while :; do (setsid sleep 1000 & setsid sleep 0.01 &) ; done' & wait",
    1,
  );
  await using _ = runner;
  assert.equal(await ask(runner, TYPE.sweep, id), "empty");
  assert.deepEqual(markedBy(id), []);
});

/** Processes whose environment holds the mark, as the test itself sees it. */
function markedBy(id: string): string[] {
  return readdirSync("/proc").filter((name) => {
    try {
      return (
        /^\d+$/.test(name) && readFileSync(`/proc/${name}/environ`, "latin1").split("\0").includes(`HL_RUN_ID=${id}`)
      );
    } catch {
      return false;
    }
  });
}

test("P3: SWEEP and REMOVE of a run that lives are refused, whatever its state, and change nothing", async () => {
  await using runner = await Runner.start();
  const id = newId();
  const connection = runner.start({ id, argv: ["/bin/cat"], numbers: { stdin: 1 } });
  await connection.frame(TYPE.started);
  for (const type of [TYPE.sweep, TYPE.remove]) {
    const refused = (await ask(runner, type, id)) as Fields;
    assert.equal(refused["stage"], "alive");
    assert.equal(refused["errno"], 16);
  }
  connection.send(frame(TYPE.input, [["data", "still here"]]));
  connection.send(frame(TYPE.inputEof));
  await connection.frame(TYPE.end);
  await connection.frame(TYPE.empty);
  /* Ended but not released: the shim still holds it. */
  assert.equal(((await ask(runner, TYPE.remove, id)) as Fields)["stage"], "alive");
  assert.equal(readLog(join(runner.state, id)).bytes(1).toString(), "still here");
  connection.send(frame(TYPE.release));
  await connection.untilClosed();
  assert.equal(await ask(runner, TYPE.remove, id), "empty");
  assert.deepEqual(runner.runs(), []);
});

test("SWEEP leaves another run alone whose id begins alike", async () => {
  await using runner = await Runner.start();
  const id = newId();
  const other = runner.start({ id: `${id}0`, argv: ["/bin/cat"], numbers: { stdin: 1 }, env: [`OTHER=x HL_RUN_ID=${id}`, `xHL_RUN_ID=${id}`] }); // prettier-ignore
  await other.frame(TYPE.started);
  assert.equal(await ask(runner, TYPE.sweep, id), "empty");
  other.send(frame(TYPE.inputEof));
  assert.equal((await other.frame(TYPE.end))["exit_code"], 0);
  other.send(frame(TYPE.release));
  await other.untilClosed();
});

test("SWEEP and REMOVE of an unknown id: nothing is there, and nothing is left there", async () => {
  await using runner = await Runner.start();
  assert.equal(await ask(runner, TYPE.sweep, newId()), "empty");
  assert.equal(await ask(runner, TYPE.remove, newId(), "/no/such/folder"), "empty");
  assert.deepEqual(runner.runs(), []);
});

test("SWEEP and REMOVE that make no sense are refused", async () => {
  await using runner = await Runner.start();
  for (const id of ["../x", ".", "", "a/b", "x".repeat(65)])
    assert.equal(((await ask(runner, TYPE.remove, id)) as Fields)["stage"], "protocol", id);
  for (const temporary of ["relative", "", "/with\0nul"])
    assert.equal(((await ask(runner, TYPE.remove, newId(), temporary)) as Fields)["stage"], "protocol");
  assert.equal(((await ask(runner, TYPE.remove, newId(), "/tmp/..")) as Fields)["stage"], "log");
  assert.deepEqual(runner.runs(), []);
});

test("every program is told the id of its run, once, and not by its caller", async () => {
  await using runner = await Runner.start();
  const { stdout, id } = await runner.run({ argv: ["/usr/bin/env"], env: ["A=1", "HL_RUN_ID=forged", "B=2"] });
  assert.deepEqual(stdout.toString().split("\n").slice(0, -1).sort(), ["A=1", "B=2", `HL_RUN_ID=${id}`]);
});

test("P7: a released command without output leaves nothing on the disk, however long it ran", async () => {
  await using runner = await Runner.start();
  for (const script of ["exit 0", "sleep 0.2"]) await runner.run({ argv: sh(script) });
  assert.deepEqual(runner.runs(), []);
  const { id } = await runner.run({ argv: sh("echo kept") });
  assert.deepEqual(runner.runs(), [id]);
});

/** What a program can leave in its folder to harm whoever removes it; `outside` must survive. */
function trap(folder: string, outside: string): void {
  mkdirSync(join(folder, "a/b/c"), { recursive: true });
  symlinkSync(outside, join(folder, "link"));
  symlinkSync(outside, join(folder, "a/b/link"));
  symlinkSync("../../..", join(folder, "a/up"));
  writeFileSync(join(folder, ".removed-0"), "a name that the remover uses");
  mkdirSync(join(folder, ".removed-1/x/y"), { recursive: true });
  mkdirSync(join(folder, "closed/inner/deep"), { recursive: true });
  for (const each of ["closed/inner/deep", "closed/inner", "closed"]) chmodSync(join(folder, each), 0);
}

const makeDeep = `import os,sys
os.chdir(sys.argv[1])
for i in range(3000):
    os.mkdir("deeper-than-any-path"); os.chdir("deeper-than-any-path")
open("f","w")`;

test("REMOVE takes the temporary folder with all it holds, at any depth, and follows no link", async () => {
  await using runner = await Runner.start(process.getuid?.() === 0 ? ["--allow-uid", "0"] : []);
  const folder = mkdtempSync(join(tmpdir(), "hl-remove-"));
  const outside = join(folder, "outside");
  const temporary = join(folder, "temporary");
  mkdirSync(outside);
  writeFileSync(join(outside, "precious"), "");
  mkdirSync(temporary);
  trap(temporary, outside);
  const maker = spawn("python3", ["-c", makeDeep, temporary], { stdio: "inherit" });
  assert.deepEqual(await once(maker, "exit"), [0, null]);
  const { id } = await runner.run({ argv: sh("echo something; sleep 0.1") });
  assert.ok(existsSync(join(runner.state, id)));
  assert.equal(await ask(runner, TYPE.remove, id, temporary), "empty");
  assert.equal(existsSync(temporary), false);
  assert.equal(existsSync(join(runner.state, id)), false);
  assert.deepEqual(readdirSync(outside), ["precious"]);
  rmSync(folder, { recursive: true });
});

test("REMOVE leaves a link in the place of a folder alone, and says so", async () => {
  await using runner = await Runner.start();
  const folder = mkdtempSync(join(tmpdir(), "hl-remove-"));
  mkdirSync(join(folder, "outside"));
  writeFileSync(join(folder, "outside/precious"), "");
  symlinkSync("outside", join(folder, "temporary"));
  const id = newId();
  symlinkSync(join(folder, "outside"), join(runner.state, id));
  const refused = (await ask(runner, TYPE.remove, id, join(folder, "temporary"))) as Fields;
  assert.equal(refused["stage"], "log", "the state folder is a link");
  const other = (await ask(runner, TYPE.remove, newId(), join(folder, "temporary"))) as Fields;
  assert.equal(other["stage"], "log", "the temporary folder is a link");
  assert.equal(other["errno"], 20);
  assert.deepEqual(readdirSync(join(folder, "outside")), ["precious"]);
  rmSync(folder, { recursive: true });
});
