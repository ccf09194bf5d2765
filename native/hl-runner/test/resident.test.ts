/** Goal: the resident is one, lets in whom it should, leaks nothing and ends when told. Method: real residents; its own /proc is the judge. */
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { frame, TYPE } from "./frames.ts";
import { binary, childrenOf, descriptorsOf, isAlive, Runner, untilDead } from "./runner.ts";

test("the ready line names socket and pid; the socket is 0660", async () => {
  await using runner = await Runner.start();
  assert.deepEqual(runner.ready, { ready: true, socket: runner.socket, pid: runner.pid });
  assert.equal(statSync(runner.socket).mode & 0o777, 0o660);
});

test("P7: 500 commands in a row leave no descriptor and no zombie", async () => {
  await using runner = await Runner.start();
  await runner.run({ argv: ["/bin/true"] });
  const before = descriptorsOf(runner.pid).length;
  const batch = async (): Promise<void> => {
    for (let i = 0; i < 125; i++) {
      const connection = runner.start({ argv: ["/bin/true"] });
      const end = await connection.frame(TYPE.end);
      assert.equal(end["exit_code"], 0);
      connection.send(frame(TYPE.release));
      await connection.untilClosed();
    }
  };
  await Promise.all([batch(), batch(), batch(), batch()]);
  /* The last shim closes its connection a moment before it is reaped. */
  for (const pid of childrenOf(runner.pid)) await untilDead(pid);
  assert.equal(descriptorsOf(runner.pid).length, before);
  await runner.run({ argv: ["/bin/true"] });
  assert.ok(childrenOf(runner.pid).length <= 1);
});

test("a second resident on the same socket refuses to start; a stale socket is replaced", async () => {
  const runner = await Runner.start();
  const second = spawnSync(binary, ["serve", "--socket", runner.socket, "--state", runner.state], {
    encoding: "utf8",
    timeout: 5000,
  });
  assert.equal(second.status, 73);
  assert.match(second.stderr, /another resident/);
  runner.process.kill("SIGKILL");
  await once(runner.process, "exit");
  assert.ok(existsSync(runner.socket));
  await using third = await Runner.start([], runner.folder);
  assert.equal((await third.run({ argv: ["/bin/true"] })).end["exit_code"], 0);
});

test("a socket whose resident was killed is stale, also while a process it forked still holds it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hl-runner-"));
  const path = join(folder, "runner.sock");
  /* Listens, hands the listening descriptor to a child that outlives it, and is killed. */
  const script = `const s=require("net").createServer();s.listen(process.argv[1],()=>{
    const c=require("child_process").spawn("sleep",["1000"],{detached:true,stdio:["ignore","ignore","ignore",s._handle.fd]});
    console.log(c.pid)})`;
  const holder = spawn(process.execPath, ["-e", script, path], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(holder.stdout, "data")) as [Buffer];
  try {
    const refused = spawnSync(binary, ["serve", "--socket", path, "--state", folder], { timeout: 5000 });
    assert.equal(refused.status, 73);
    holder.kill("SIGKILL");
    await once(holder, "exit");
    await using runner = await Runner.start([], folder);
    assert.equal((await runner.run({ argv: ["/bin/true"] })).end["exit_code"], 0);
  } finally {
    process.kill(Number(line.toString()));
  }
});

test("a file in the place of the socket is not removed", () => {
  const folder = mkdtempSync(join(tmpdir(), "hl-runner-"));
  writeFileSync(join(folder, "file"), "precious");
  const result = spawnSync(binary, ["serve", "--socket", join(folder, "file"), "--state", folder], { timeout: 5000 });
  assert.equal(result.status, 73);
  assert.ok(statSync(join(folder, "file")).isFile());
  rmSync(folder, { recursive: true });
});

test("P3: SIGTERM ends the resident, removes its socket, and its shims live on", async () => {
  const runner = await Runner.start();
  const connection = runner.start({ argv: ["/bin/cat"], numbers: { stdin: 1 } });
  await connection.frame(TYPE.started);
  runner.process.kill("SIGTERM");
  const [code] = (await once(runner.process, "exit")) as [number];
  assert.equal(code, 0);
  assert.equal(existsSync(runner.socket), false);
  connection.send(frame(TYPE.inputEof));
  assert.equal((await connection.frame(TYPE.end))["exit_code"], 0);
  connection.send(frame(TYPE.release));
  await connection.untilClosed();
  await runner[Symbol.asyncDispose]();
});

test("--exit-with-fd: the EOF of its pipe ends the resident, and a shim does not hold its stdout", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hl-runner-"));
  const child = spawn(
    binary,
    ["serve", "--socket", join(folder, "s"), "--state", join(folder, "state"), "--exit-with-fd", "3"],
    { stdio: ["ignore", "pipe", "inherit", "pipe"] },
  );
  await once(child.stdio[1] as unknown as NodeJS.EventEmitter, "data");
  const { Connection, startFrame } = await import("./runner.ts");
  const connection = new Connection(join(folder, "s"));
  connection.send(startFrame({ argv: ["/bin/sleep", "1000"] }));
  const started = await connection.frame(TYPE.started);
  (child.stdio[3] as unknown as { destroy: () => void }).destroy();
  /* 'close' waits for stdout's EOF too, which a shim that held it would delay for 1000 s. */
  const [code] = (await once(child, "close")) as [number];
  assert.equal(code, 0);
  assert.ok(isAlive(Number(started["pid"])));
  connection.send(frame(TYPE.stop, [["grace_ms", 0]]));
  await connection.frame(TYPE.empty);
  connection.send(frame(TYPE.release));
  await connection.untilClosed();
  rmSync(folder, { recursive: true });
});

test("P7: one shim more than --shims-max is refused, and there is room again when one has gone", async () => {
  await using runner = await Runner.start(["--shims-max", "1"]);
  const first = runner.start({ argv: ["/bin/cat"], numbers: { stdin: 1 } });
  const started = await first.frame(TYPE.started);
  const second = runner.connect();
  assert.equal((await second.frame(TYPE.failed))["stage"], "limits");
  await second.untilClosed();
  first.send(frame(TYPE.inputEof));
  await first.frame(TYPE.empty);
  first.send(frame(TYPE.release));
  await first.untilClosed();
  await untilDead(Number(started["shim_pid"]));
});

test("X1: another user is refused unless --allow-uid names it", { skip: process.getuid?.() !== 0 }, async () => {
  const script = `const s=require('net').connect(process.argv[1]);s.on('error',(e)=>console.log(e.code));s.on('close',()=>console.log('closed'));s.on('connect',()=>setTimeout(()=>{console.log('open');process.exit()},300))`;
  const ask = async (more: string[]): Promise<string> => {
    await using runner = await Runner.start(more);
    execFileSync("chmod", ["0666", runner.socket]);
    const child = spawn(process.execPath, ["-e", script, runner.socket], {
      uid: 65534,
      gid: 65534,
      stdio: ["ignore", "pipe", "ignore"],
    });
    const chunks: Buffer[] = [];
    child.stdout.on("data", (bytes: Buffer) => chunks.push(bytes));
    await once(child, "close");
    return Buffer.concat(chunks).toString();
  };
  assert.match(await ask([]), /closed/);
  assert.match(await ask(["--allow-uid", "65534"]), /open/);
});

test("the command line: usage errors exit 64 and say what is wrong", () => {
  const run = (...argv: string[]): { status: number | null; stderr: string; stdout: string } =>
    spawnSync(binary, argv, { encoding: "utf8", timeout: 5000 });
  for (const argv of [
    [],
    ["nonsense"],
    ["serve"],
    ["serve", "--socket"],
    ["serve", "--socket", "a", "--colour", "red"],
    ["serve", "--shims-max", "0"],
    ["serve", "--allow-uid", "-1"],
    ["serve", "--exit-with-fd", "99"],
    ["probe", "x"],
  ]) {
    const { status, stderr } = run(...argv);
    assert.equal(status, 64, argv.join(" "));
    assert.match(stderr, /hl-runner: .*\n.*--help/);
  }
  assert.equal(run("serve", "--socket", `/tmp/${"x".repeat(120)}`, "--state", "/tmp").status, 64);
  assert.equal(run("serve", "--socket", "/no/such/folder/s", "--state", "/no/such/folder/state").status, 73);
  assert.match(run("--version").stdout, /^hl-runner \d+\.\d+\.\d+\n$/);
  assert.match(run("--help").stdout, /serve --socket PATH/);
  assert.equal(typeof (JSON.parse(run("probe").stdout) as Record<string, unknown>)["landlock_abi"], "number");
});

test("PROBE: the runner that serves answers for itself, also what limits it enforces (X2)", async () => {
  await using runner = await Runner.start(["--cgroup", "off"]);
  const connection = runner.connect();
  connection.send(frame(TYPE.probe));
  const probed = await connection.frame(TYPE.probed);
  await connection.untilClosed();
  const said = JSON.parse(String(probed["message"])) as Record<string, unknown>;
  const alone = JSON.parse(execFileSync(binary, ["probe"], { encoding: "utf8" })) as Record<string, unknown>;
  assert.deepEqual(said, { ...alone, limits: { memory: "watch", cpu: "none", processes: "none" } });
  assert.equal(probed["cgroup"], undefined);
  assert.deepEqual(runner.runs(), []);
});
