/** Goal: what a program writes and how it ends arrives exactly. Method: real programs through a real resident; the log is read by the test's own reader. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { frame, TYPE } from "./frames.ts";
import { readLog } from "./read-log.ts";
import { isAlive, Runner, newId } from "./runner.ts";

let runner: Runner;
before(async () => {
  runner = await Runner.start();
});
after(async () => {
  await runner[Symbol.asyncDispose]();
});

const sh = (script: string): string[] => ["/bin/sh", "-c", script];

test("P6: bytes are exact, NUL, invalid UTF-8 and split code points included", async () => {
  const { end, stdout, stderr } = await runner.run({ argv: ["/usr/bin/printf", "\\000\\377\\303(\\342\\202"] });
  assert.deepEqual([...stdout], [0, 0xff, 0xc3, 0x28, 0xe2, 0x82]);
  assert.equal(stderr.length, 0);
  assert.equal(end["exit_code"], 0);
  assert.equal(end["reason"], "exited");
  assert.equal(end["stdout_bytes"], 6);
  assert.equal(end["position"], 6);
  assert.equal(end["pipes_still_open"], 0);
  assert.equal(end["dropped_bytes"], 0);
});

test("P6: the streams are kept apart and each has its own offsets", async () => {
  const { stdout, stderr, end } = await runner.run({ argv: sh("echo out; echo err >&2; echo out2") });
  assert.equal(stdout.toString(), "out\nout2\n");
  assert.equal(stderr.toString(), "err\n");
  assert.equal(end["position"], 13);
});

test("P6: 50 MB arrive with the right checksum", async () => {
  const script =
    "const b=Buffer.alloc(1<<20);for(let i=0;i<50;i++){for(let j=0;j<b.length;j+=4)b.writeUInt32LE((Math.imul(i*262144+j,2654435761))>>>0,j);require('fs').writeSync(1,b)}";
  const expected = createHash("sha256");
  const block = Buffer.alloc(1 << 20);
  for (let i = 0; i < 50; i++) {
    for (let j = 0; j < block.length; j += 4) block.writeUInt32LE(Math.imul(i * 262144 + j, 2654435761) >>> 0, j);
    expected.update(block);
  }
  const { stdout, end } = await runner.run({ argv: [process.execPath, "-e", script] });
  assert.equal(end["stdout_bytes"], 50 << 20);
  assert.equal(createHash("sha256").update(stdout).digest("hex"), expected.digest("hex"));
});

test("P7: a line of 64 MB passes and the shim stays small", async () => {
  const id = newId();
  const connection = runner.start({
    id,
    argv: sh("head -c 67108864 /dev/zero | tr '\\0' x; echo; read wait"),
    numbers: { stdin: 1 },
  });
  const started = await connection.frame(TYPE.started);
  await connection.frame(TYPE.output, (fields) => fields["stdout_bytes"] === 67108865);
  const { readFileSync } = await import("node:fs");
  const status = readFileSync(`/proc/${String(started["shim_pid"])}/status`, "utf8");
  const rss = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]);
  if (!process.env["HL_RUNNER_BIN"]?.includes("asan")) assert.ok(rss < 4096, `the shim has ${String(rss)} kB`);
  connection.send(frame(TYPE.inputEof));
  await connection.frame(TYPE.end);
  const bytes = readLog(join(runner.state, id)).bytes(1);
  assert.equal(bytes.length, 67108865);
  assert.equal(bytes.indexOf("\n"), 67108864);
  connection.send(frame(TYPE.release));
  await connection.untilClosed();
});

test("P2: exit codes and signals are said as they are", async () => {
  assert.equal((await runner.run({ argv: sh("exit 7") })).end["exit_code"], 7);
  assert.equal((await runner.run({ argv: sh("exit 255") })).end["exit_code"], 255);
  const { end } = await runner.run({ argv: sh("kill -SEGV $$") });
  assert.equal(end["signal"], 11);
  assert.equal(end["exit_code"], undefined);
  assert.equal(end["reason"], "signalled");
});

test("P2: usage and times are real", async () => {
  const { end } = await runner.run({
    argv: [process.execPath, "-e", "while(process.cpuUsage().user<60000);"],
  });
  assert.ok(Number(end["cpu_us"]) > 50_000, `cpu ${String(end["cpu_us"])}`);
  assert.ok(Number(end["max_rss_kb"]) > 20_000, `rss ${String(end["max_rss_kb"])}`);
  assert.ok(Number(end["duration_us"]) > 60_000);
  assert.ok(Number(end["ended_ms"]) >= Number(end["started_ms"]));
});

test("C1: what cannot be started says why and leaves no folder", async () => {
  const plain = join(runner.folder, "plain");
  writeFileSync(plain, "text", { mode: 0o644 });
  const folder = join(runner.folder, "folder");
  mkdirSync(folder);
  const cases: [string, string, number][] = [
    ["/no/such/program", "exec", 2],
    [plain, "exec", 13],
    [folder, "exec", 13],
  ];
  for (const [file, stage, errno] of cases) {
    const failed = await runner.failed({ argv: [file], id: "gone" });
    assert.equal(failed["stage"], stage);
    assert.equal(failed["errno"], errno);
    assert.match(String(failed["message"]), new RegExp(file));
  }
  assert.equal((await runner.failed({ argv: ["/bin/true"], cwd: "/no/such/folder", id: "gone" }))["stage"], "cwd");
  assert.equal((await runner.failed({ argv: ["/bin/true"], cwd: plain, id: "gone" }))["errno"], 20);
  const { existsSync } = await import("node:fs");
  assert.equal(existsSync(join(runner.state, "gone")), false);
});

test("C1: an id is started once", async () => {
  const id = newId();
  const running = runner.start({ id, argv: ["/bin/cat"], numbers: { stdin: 1 } });
  await running.frame(TYPE.started);
  const refused = async (): Promise<void> => {
    const failed = await runner.failed({ id, argv: ["/bin/true"] });
    assert.equal(failed["stage"], "log");
    assert.equal(failed["errno"], 17);
  };
  await refused();
  running.send(frame(TYPE.input, [["data", "output"]]));
  running.send(frame(TYPE.inputEof));
  await running.frame(TYPE.empty);
  running.send(frame(TYPE.release));
  await running.untilClosed();
  await refused();
});

test("X4: the environment is exactly the mark and what was sent", async () => {
  const of = async (env: string[]): Promise<string> => {
    const { stdout, id } = await runner.run({ argv: ["/usr/bin/env"], env });
    return stdout.toString().replace(`HL_RUN_ID=${id}\n`, "mark\n");
  };
  assert.equal(await of(["B=2", "A=1 = x"]), "mark\nB=2\nA=1 = x\n");
  assert.equal(await of([]), "mark\n");
});

test("X1: the program has 0, 1, 2, default signals, its own session, no core, umask 022, no_new_privs", async () => {
  const script =
    'ls -l /proc/self/fd | grep -c -- "->"; umask; ulimit -c; ulimit -n; grep -E "^(SigBlk|SigIgn|NoNewPrivs)" /proc/self/status; cut -d" " -f1,5,6 /proc/$$/stat';
  const { stdout } = await runner.run({ argv: sh(script), numbers: { open_files_max: 77 } });
  const lines = stdout.toString().trim().split("\n");
  /* ls itself opens the folder it lists: 0, 1 (its pipe), 2 and that one. */
  assert.equal(lines[0], "4");
  assert.equal(lines[1], "0022");
  assert.equal(lines[2], "0");
  assert.equal(lines[3], "77");
  assert.match(lines[4] ?? "", /SigBlk:\s+0+$/);
  assert.match(lines[5] ?? "", /SigIgn:\s+0+$/);
  assert.match(lines[6] ?? "", /NoNewPrivs:\s+1$/);
  const [pid, group, session] = (lines[7] ?? "").split(" ");
  assert.equal(pid, group);
  assert.equal(pid, session);
});

test("argv0 is shown instead of the file", async () => {
  const { stdout } = await runner.run({ argv: ["/bin/sh", "-c", "echo $0"], env: [] });
  assert.equal(stdout.toString(), "/bin/sh\n");
  const connection = runner.connect();
  const id = newId();
  connection.send(
    frame(TYPE.start, [
      ["id", id],
      ["argv", "/bin/cat"],
      ["argv", "/proc/self/cmdline"],
      ["argv0", "renamed"],
      ["cwd", "/"],
    ]),
  );
  await connection.frame(TYPE.end);
  assert.equal(readLog(join(runner.state, id)).bytes(1).toString(), "renamed\0/proc/self/cmdline\0");
  connection.send(frame(TYPE.release));
  await connection.untilClosed();
});

test("ps shows what a process is for, and no environment of its starter", async () => {
  const { readFileSync } = await import("node:fs");
  const id = newId();
  const connection = runner.start({ id, argv: ["/bin/cat"], numbers: { stdin: 1 } });
  const started = await connection.frame(TYPE.started);
  const shim = String(started["shim_pid"]);
  const title = (pid: string): string => readFileSync(`/proc/${pid}/cmdline`, "latin1").replace(/\0+$/, "");
  /* The title is set after STARTED has gone out: a later frame is the sign that it is there. */
  connection.send(frame(TYPE.input, [["data", "x"]]));
  await connection.frame(TYPE.inputTaken);
  assert.equal(title(shim), `hl-runner: shim ${id}`);
  assert.equal(title(String(runner.pid)), "hl-runner: serve");
  assert.match(readFileSync(`/proc/${String(runner.pid)}/environ`, "latin1"), /^\0*$/);
  connection.send(frame(TYPE.inputEof));
  await connection.frame(TYPE.empty);
  connection.send(frame(TYPE.release));
  await connection.untilClosed();
});

test("P1: after RELEASE the shim is gone", async () => {
  const connection = runner.start({ argv: ["/bin/true"] });
  const started = await connection.frame(TYPE.started);
  await connection.frame(TYPE.empty);
  assert.ok(isAlive(Number(started["shim_pid"])));
  connection.send(frame(TYPE.release));
  await connection.untilClosed();
});
