import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { repositoryRoot, temporaryFolder } from "@hl/testkit/programs.ts";

// Goal: a program that was launched speaks to systemd with the pid that systemd started. Method: python3 is systemd, because Node cannot be.
const program = join(repositoryRoot, "native/hl-runner/build/hl-runner");
const manager = `import os, socket, struct, subprocess, sys
server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
server.settimeout(30)
name = sys.argv[2]
server.bind(chr(0) + name[1:] if name.startswith("@") else name)
child = subprocess.Popen([sys.argv[1], "launch", "/bin/sh", "-c", 'printf "READY=1 %s" "$NOTIFY_SOCKET" >&"$HL_NOTIFY_FD"'], env={"NOTIFY_SOCKET": name})
text, ancillary, _, _ = server.recvmsg(4096, 256)
pid = struct.unpack("3i", ancillary[0][2])[0]
print(text.decode(), "main" if pid == child.pid else "other", child.wait())`;

for (const kind of ["a path", "an abstract name"])
  test(`launch connects to ${kind}, hands over the descriptor and keeps the pid`, () => {
    using folder = temporaryFolder("hl-launch");
    const socket = `${kind === "a path" ? "" : "@"}${join(folder.path, "notify")}`;
    const said = execFileSync("python3", ["-c", manager, program, socket], { encoding: "utf8" });
    assert.equal(said, "READY=1  main 0\n");
  });

test("launch without systemd only becomes the program", () => {
  const line = 'echo "${HL_NOTIFY_FD-none}"';
  const env = { HL_NOTIFY_FD: "9" };
  assert.equal(execFileSync(program, ["launch", "/bin/sh", "-c", line], { env, encoding: "utf8" }), "none\n");
});

test("launch says what cannot be reached or executed", () => {
  const bad = spawnSync(program, ["launch", "/bin/true"], { env: { NOTIFY_SOCKET: "/nowhere" }, encoding: "utf8" });
  assert.equal(bad.status, 69);
  assert.match(bad.stderr, /NOTIFY_SOCKET cannot be reached: \/nowhere/);
  const absent = spawnSync(program, ["launch", "/nowhere/program"], { env: {}, encoding: "utf8" });
  assert.equal(absent.status, 66);
  assert.match(absent.stderr, /\/nowhere\/program/);
});
