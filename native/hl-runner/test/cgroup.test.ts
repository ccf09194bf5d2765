/** Goal: with a control group a run ends as a whole (P1), whatever its processes did, and its usage is the whole tree's. Method: a group of the test's
 * own below the cgroup2 mount (root only), or the delegated one that HL_TEST_CGROUP names; the kernel's files are the judge. */
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";

import { controllersOf, ownGroup } from "./cgroups.ts";
import { frame, TYPE, type Fields } from "./frames.ts";
import { orphans } from "./orphans.ts";
import { binary, eventually, isAlive, newId, Runner, untilDead, type Connection } from "./runner.ts";

const { folder, problem } = ownGroup("hl-test");
const skip = problem ?? false;
after(() => {
  if (folder !== undefined) for (const each of [...runsIn(folder), "runner", "."]) rmdirSync(join(folder, each));
});

const sh = (script: string): string[] => ["/bin/sh", "-c", script];
const more = ["--cgroup", folder ?? ""];
const offered = folder === undefined ? [] : controllersOf(folder);
const runsIn = (group: string): string[] => readdirSync(group).filter((name) => name.startsWith("run-"));
/** Whether a process is in it; in one that is gone there is none, also when it goes while we look. */
const populated = (group: string): boolean => {
  try {
    return readFileSync(join(group, "cgroup.events"), "utf8").includes("populated 1");
  } catch (error) {
    if (["ENOENT", "ENODEV"].includes((error as NodeJS.ErrnoException).code ?? "")) return false;
    throw error;
  }
};

async function leave(connection: Connection): Promise<void> {
  connection.send(frame(TYPE.release));
  await connection.untilClosed();
}

test(
  "the resident is in the leaf, the program in a group of its own, its shim is not, and the group goes with the run",
  { skip },
  async () => {
    await using runner = await Runner.start(more);
    const groupOf = (pid: number): string =>
      /^0::(.*)$/m.exec(readFileSync(`/proc/${String(pid)}/cgroup`, "utf8"))?.[1] ?? "";
    const connection = runner.start({ argv: ["/bin/cat"], numbers: { stdin: 1 } });
    const started = await connection.frame(TYPE.started);
    const group = String(started["cgroup"]);
    assert.match(group.slice(String(folder).length), new RegExp(`^/run-${String(started["shim_pid"])}-${String(started["shim_start_ticks"])}$`)); // prettier-ignore
    assert.ok(group.endsWith(groupOf(Number(started["pid"])).slice(-20)));
    assert.match(groupOf(runner.pid), /\/runner$/);
    const probe = runner.connect();
    probe.send(frame(TYPE.probe));
    const probed = await probe.frame(TYPE.probed);
    assert.equal(probed["cgroup"], folder);
    assert.deepEqual((JSON.parse(String(probed["message"])) as Fields)["limits"], {
      memory: offered.includes("memory") ? "cgroup" : "watch",
      cpu: offered.includes("cpu") ? "cgroup" : "none",
      processes: offered.includes("pids") ? "cgroup" : "none",
    });
    assert.match(groupOf(Number(started["shim_pid"])), /\/runner$/);
    connection.send(frame(TYPE.inputEof));
    const end = await connection.frame(TYPE.end);
    assert.equal(end["usage_source"], "cgroup");
    await leave(connection);
    assert.equal(existsSync(group), false);
  },
);

test("P1: EMPTY waits for a stranger who joined the group, and the kernel tells when it left", { skip }, async () => {
  await using runner = await Runner.start(more);
  const stranger = spawn("sleep", ["1000"]);
  try {
    const connection = runner.start({ argv: ["/bin/cat"], numbers: { stdin: 1 } });
    const group = String((await connection.frame(TYPE.started))["cgroup"]);
    writeFileSync(join(group, "cgroup.procs"), String(stranger.pid));
    connection.send(frame(TYPE.inputEof));
    await connection.frame(TYPE.end);
    connection.send(frame(TYPE.signal, [["signal", 0]]));
    await connection.frame(TYPE.failed); // An answer to something later than the end: EMPTY would have come before it.
    assert.equal(connection.frames.some((each) => each.type === TYPE.empty), false); // prettier-ignore
    stranger.kill("SIGKILL");
    await connection.frame(TYPE.empty);
    await leave(connection);
    assert.equal(existsSync(group), false);
  } finally {
    stranger.kill("SIGKILL");
  }
});

test("P1: STOP kills the group, also who joined it and what groups were made in it", { skip }, async () => {
  await using runner = await Runner.start(more);
  const stranger = spawn("sleep", ["1000"]);
  const ended = once(stranger, "exit");
  const connection = runner.start({ argv: sh("sleep 1000") });
  const group = String((await connection.frame(TYPE.started))["cgroup"]);
  mkdirSync(join(group, "inner/most"), { recursive: true });
  writeFileSync(join(group, "inner/most/cgroup.procs"), String(stranger.pid));
  connection.send(frame(TYPE.stop, [["grace_ms", 0]]));
  await connection.frame(TYPE.empty);
  assert.deepEqual(await ended, [null, "SIGKILL"]);
  await leave(connection);
  assert.equal(existsSync(group), false);
});

test("P1: SWEEP finds by the group what has thrown its mark away", { skip }, async () => {
  const script = "(setsid env -i sh -c '(sh -c \"echo \\$\\$; exec sleep 1000\" &) ; exit 0' &) ; wait; sleep 1000";
  const { runner, id, pids, started } = await orphans(script, 1, ["--cgroup", "off"]);
  await using _ = runner;
  await eventually(() => pids.every(isAlive), "the orphan");
  assert.equal(started["cgroup"], undefined, "off means none");
  for (const pid of pids) process.kill(pid, "SIGKILL");
  assert.equal(await sweep(runner, id), TYPE.empty);
  /* The same with groups: the new resident is started without one, so that only SWEEP can have done it. */
  const grouped = await orphans(script, 1, more, ["--cgroup", "off"]);
  await using other = grouped.runner;
  const group = String(grouped.started["cgroup"]);
  assert.ok(populated(group));
  assert.equal(await sweep(other, grouped.id), TYPE.empty);
  for (const pid of grouped.pids) assert.equal(isAlive(pid), false);
  assert.equal(existsSync(group), false);
});

async function sweep(runner: Runner, id: string): Promise<number | undefined> {
  const connection = runner.connect();
  connection.send(frame(TYPE.sweep, [["id", id]]));
  await connection.untilClosed();
  return connection.frames[0]?.type;
}

test("P1: groups of shims that died go when the resident notices, and when the next one starts", { skip }, async () => {
  const groupless = await orphans("echo $$; (setsid env -i sleep 1000 &) ; sleep 1000", 1, more);
  await using runner = groupless.runner;
  const left = String(groupless.started["cgroup"]);
  await eventually(() => !populated(left), "the end of the dead shim's group");
  runner.shimDeathsExpected++;
  const connection = runner.start({ argv: sh("(setsid env -i sleep 1000 &) ; sleep 1000") });
  const started = await connection.frame(TYPE.started);
  process.kill(Number(started["shim_pid"]), "SIGKILL");
  await untilDead(Number(started["shim_pid"]));
  const group = String(started["cgroup"]);
  await eventually(() => !populated(group), "the end of its group");
});

test("usage is the whole tree's, also of a child that lives on", { skip }, async () => {
  await using runner = await Runner.start(more);
  const burn = "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done";
  const connection = runner.start({ argv: sh(`mkfifo $TMPDIR/f; (${burn}; echo > $TMPDIR/f; sleep 1000) & read x < $TMPDIR/f`), env: ["PATH=/usr/bin:/bin", `TMPDIR=${runner.folder}`] }); // prettier-ignore
  const end = await connection.frame(TYPE.end);
  assert.ok(Number(end["cpu_us"]) > 10_000, JSON.stringify(end));
  connection.send(frame(TYPE.stop, [["grace_ms", 0]]));
  await connection.frame(TYPE.empty);
  await leave(connection);
});

test("without a limit a group that cannot be made is done without, and that is said", { skip }, async () => {
  await using runner = await Runner.start(more);
  writeFileSync(join(String(folder), "cgroup.max.descendants"), "1");
  try {
    const connection = runner.start({ argv: ["/bin/true"] });
    assert.equal((await connection.frame(TYPE.started))["cgroup"], undefined);
    assert.equal((await connection.frame(TYPE.end))["usage_source"], "wait4");
    await leave(connection);
  } finally {
    writeFileSync(join(String(folder), "cgroup.max.descendants"), "max");
  }
});

test("--cgroup: auto takes the own group only where it was delegated", { skip }, async () => {
  const run = async (setUp: string): Promise<Fields> => {
    const id = newId();
    const inner = join(String(folder), id);
    mkdirSync(inner);
    const own = spawn("/bin/sh", ["-c", `echo $$ > ${inner}/cgroup.procs; ${setUp.replace("GROUP", inner)}; exec "$@"`, "sh", binary, "serve", "--socket", join("/tmp", id), "--state", join("/tmp", `${id}.state`)], { stdio: ["ignore", "pipe", "inherit"] }); // prettier-ignore
    await once(own.stdout, "data");
    const { Connection, startFrame } = await import("./runner.ts");
    const connection = new Connection(join("/tmp", id));
    connection.send(startFrame({ argv: ["/bin/true"] }));
    const started = await connection.frame(TYPE.started);
    await connection.frame(TYPE.empty);
    await leave(connection);
    own.kill("SIGTERM");
    await once(own, "exit");
    execFileSync("rm", ["-r", join("/tmp", `${id}.state`)]);
    if (existsSync(join(inner, "runner"))) rmdirSync(join(inner, "runner"));
    rmdirSync(inner);
    return started;
  };
  assert.equal((await run("true"))["cgroup"], undefined);
  const delegate = `python3 -c 'import os;os.setxattr("GROUP","user.delegate",b"1")'`;
  assert.match(String((await run(delegate))["cgroup"]), /\/run-\d+-\d+$/);
});

test("--cgroup: what is no group of ours is refused at the start", () => {
  const status = (value: string): number | null =>
    spawnSync(binary, ["serve", "--socket", "/tmp/hl-never", "--state", "/tmp/hl-never.state", "--cgroup", value], { timeout: 5000 }).status; // prettier-ignore
  assert.equal(status("relative"), 64);
  for (const path of ["/tmp", "/no/such/group"]) assert.equal(status(path), 73, path);
  execFileSync("rm", ["-rf", "/tmp/hl-never.state"]);
});

/* What needs controllers: in a virtual machine, or where HL_TEST_CGROUP names a delegated group. */
const needs = (controller: string): string | false =>
  problem ?? (offered.includes(controller) ? false : `no ${controller} controller is offered here`);

test(
  "memory_bytes_max: the group is killed as a whole, says oom, and others go on",
  { skip: needs("memory") },
  async () => {
    await using runner = await Runner.start(more);
    const other = runner.start({ argv: ["/bin/cat"], numbers: { stdin: 1 } });
    await other.frame(TYPE.started);
    const hog = "x=[]\nwhile 1: x.append(b'x'*(1<<20))";
    const { end, stdout } = await runner.run({ argv: sh(`echo partial; sleep 1000 & python3 -c "${hog}"; echo never; sleep 1000`), numbers: { memory_bytes_max: 64 << 20 } }); // prettier-ignore
    assert.equal(end["reason"], "oom");
    assert.equal(stdout.toString(), "partial\n");
    assert.ok(Number(end["oom_kills"]) >= 1);
    assert.equal(end["usage_source"], "cgroup");
    if (end["memory_peak_kb"] !== undefined) assert.ok(Math.abs(Number(end["memory_peak_kb"]) - 65536) < 1024);
    other.send(frame(TYPE.inputEof));
    assert.equal((await other.frame(TYPE.end))["exit_code"], 0);
    await leave(other);
  },
);

test("processes_max: one more is refused by the kernel", { skip: needs("pids") }, async () => {
  await using runner = await Runner.start(more);
  const { end, stderr } = await runner.run({ argv: sh("for i in 1 2 3 4 5 6; do sleep 1000 & done; echo all"), numbers: { processes_max: 4 } }); // prettier-ignore
  assert.notEqual(end["exit_code"], 0);
  assert.match(stderr.toString(), /fork|resource/i);
});

test("cpu_percent_max: a program gets its share and no more", { skip: needs("cpu") }, async () => {
  await using runner = await Runner.start(more);
  const { end } = await runner.run({ argv: sh("while :; do :; done"), numbers: { cpu_percent_max: 20, timeout_ms: 2000, grace_ms: 0 } }); // prettier-ignore
  const share = Number(end["cpu_us"]) / Number(end["duration_us"]);
  assert.ok(share < 0.3, `it had ${String(share)} of a processor`);
});
