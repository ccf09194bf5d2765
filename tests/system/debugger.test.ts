/**
 * Goal: nobody opens a debugger in a program of ours: who reaches its port runs code as that program, and commands reach loopback. Method: the
 * attack: SIGUSR1, by which Node opens one and which other daemons take for "open the log files again". A bare Node, asked last, shows that it
 * works; what listens is read from /proc.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { processesOf } from "@hl/testkit/processes.ts";
import { makeDaemonHome, runProgram, startCloud, startDaemon, temporaryFolder } from "@hl/testkit/programs.ts";
import { until } from "@hl/testkit/waiting.ts";

/** Ports on which a process listens. */
function listensOn(pid: number): string[] {
  const links = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return ""; // Closed meanwhile.
    }
  });
  const sockets = ["tcp", "tcp6"].flatMap((name) => readFileSync(`/proc/${pid}/net/${name}`, "utf8").split("\n"));
  return sockets
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode]) => state === "0A" && links.includes(`socket:[${inode}]`))
    .map(([, address]) => address ?? "")
    .sort();
}

test("SIGUSR1 opens no debugger in hl-daemon, hl-workspace and hl-cloud, and they go on", async () => {
  using folder = temporaryFolder("hl-debugger");
  const { home } = makeDaemonHome(join(folder.path, "vm"));
  await using cloud = await startCloud(join(folder.path, "cloud"));
  await using daemon = await startDaemon(home);
  const asked = [
    "--socket",
    daemon.ready.socket,
    "--token-file",
    join(home, "data/auth/local_token"),
    "file",
    "ls",
    ".",
  ];
  const { code, stderr } = await runProgram("hl-client", asked);
  assert.equal(code, 0, stderr);
  const workspace = processesOf(folder.path).find(({ commandLine }) =>
    /workspace\/(src\/main\.ts|main\.mjs)/.test(commandLine),
  );
  assert.ok(workspace, "hl-workspace runs");
  const bare = spawn(process.execPath, ["--inspect-port=0", "--eval", "console.log(1); setInterval(() => {}, 1_000)"]);
  using stack = new DisposableStack();
  stack.defer(() => bare.kill("SIGKILL"));
  let said = "";
  bare.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  await once(bare.stdout, "data"); // From now on it has Node's handler.
  const programs = [daemon, cloud].map((program) => ({ program, before: listensOn(program.pid) }));
  for (const pid of [daemon.pid, cloud.pid, workspace.pid]) process.kill(pid, "SIGUSR1");
  bare.kill("SIGUSR1");
  await until("the debugger of a bare Node", () => said.includes("Debugger listening"));
  for (const { program, before } of programs) {
    assert.equal(before.length, 1, before.join());
    assert.deepEqual(listensOn(program.pid), before);
    assert.doesNotMatch(program.stderr, /Debugger/);
  }
  assert.deepEqual(listensOn(workspace.pid), []);
  assert.equal((await runProgram("hl-client", asked)).code, 0);
  assert.equal((await fetch(`http://${daemon.ready.http}/health`)).status, 200);
  assert.equal((await fetch(`${cloud.ready.url}/health`)).status, 200);
});
