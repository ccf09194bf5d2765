/**
 * Goal: the programs begin, end and fail the way an administrator, systemd and a shell expect. Method: real processes, their exit codes,
 * what they print, and what /proc says is left of them.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { isRunning, noProcessOf, processesOf, zombiesOf } from "@hl/testkit/processes.ts";
import {
  collect,
  makeDaemonHome,
  repositoryRoot,
  runProgram,
  startDaemon,
  temporaryFolder,
  type ProgramName,
} from "@hl/testkit/programs.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

const programs: readonly ProgramName[] = ["hl-daemon", "hl-client", "hl-health-check", "hl-cloud"];
const withShell = { process_management: { allowed_commands: ["sh"], stop_grace_seconds: 1 } };

describe("command lines", () => {
  test("--help and --version answer on stdout with 0, wrong usage on stderr with 64", async () => {
    for (const name of programs) {
      const help = await runProgram(name, ["--help"]);
      assert.deepEqual([help.code, help.stderr], [0, ""], name);
      assert.match(help.stdout.toString(), new RegExp(`Usage: ${name}`), name);
      const version = await runProgram(name, ["--version"]);
      assert.deepEqual([version.code, version.stderr], [0, ""], name);
      assert.match(version.stdout.toString(), /\d+\.\d+\.\d+/, name);
      const wrong = await runProgram(name, ["--no-such-option"]);
      assert.equal(wrong.code, 64, name);
      assert.equal(wrong.stdout.length, 0, name);
      assert.match(wrong.stderr, /no-such-option/, name);
    }
  });

  test("bin/* run from another directory, through a symlink, and without any node on the PATH", async () => {
    using folder = temporaryFolder("hl-bin");
    for (const name of programs) {
      const link = join(folder.path, name);
      symlinkSync(join(repositoryRoot, "bin", name), link);
      const child = spawn(link, ["--version"], { cwd: folder.path, env: { PATH: "/usr/bin:/bin" } });
      const { code, stdout, stderr } = await collect(child);
      assert.deepEqual([code, stderr], [0, ""], name);
      assert.match(stdout.toString(), /\d+\.\d+\.\d+/, name);
    }
  });
});

describe("configuration", () => {
  test("a bad one ends with 78 and every problem is listed with its place", async () => {
    using folder = temporaryFolder("hl");
    makeDaemonHome(folder.path, {
      local_api: { http_prot: 1 },
      process_management: { max_processes: "many", process_timeout: -1 },
      event_streaming: { batch_size: 0 },
    });
    const expected = [
      "http_prot",
      "/process_management/max_processes",
      "/process_management/process_timeout",
      "/event_streaming/batch_size",
    ];
    const checked = await runProgram("hl-daemon", ["--home", folder.path, "--check-config"]);
    assert.equal(checked.code, 78);
    for (const place of expected) assert.ok(checked.stdout.includes(place), `${place} in ${checked.stdout.toString()}`);
    assert.match(checked.stdout.toString(), /http_port/, "the key that was probably meant");
    const started = await runProgram("hl-daemon", ["--home", folder.path, "--test-mode"]);
    assert.deepEqual([started.code, started.stdout.length], [78, 0]);
    for (const place of expected) assert.ok(started.stderr.includes(place), `${place} in ${started.stderr}`);
    assert.ok(!existsSync(join(folder.path, "data")), "a daemon that does not start makes nothing");
  });

  test("the specification's two example files are valid, with its two variables set and not without", async () => {
    using folder = temporaryFolder("hl");
    const shipped = (name: string): string => join(repositoryRoot, "packages/config/src/shipped", name);
    const args = [
      "--home",
      folder.path,
      "--config",
      shipped("daemon.json"),
      "--security-config",
      shipped("security.json"),
    ];
    const env = { VM_INSTANCE_ID: "vm-1", WORKSPACE_ID: "workspace-1" };
    const valid = await runProgram("hl-daemon", [...args, "--check-config"], { env });
    assert.equal(valid.code, 0, valid.stdout.toString() + valid.stderr);
    const unset = await runProgram("hl-daemon", [...args, "--check-config"]);
    assert.equal(unset.code, 78);
    assert.match(unset.stdout.toString(), /VM_INSTANCE_ID[\s\S]*WORKSPACE_ID/);
  });

  test("SIGHUP with a broken configuration keeps the daemon as it is, and says so in the log", async () => {
    await using daemon = await TestDaemon.start();
    writeFileSync(join(daemon.home, "config/daemon.json"), '{"local_api": {"http_port": "none"}');
    daemon.program.signal("SIGHUP");
    await until("a line in the log", () => daemon.log.includes("the old one stays in force"));
    assert.equal((await daemon.client(["exec", "--", "echo", "still here"])).stdout.toString(), "still here\n");
  });
});

describe("start and stop", () => {
  test("the ready line is one line of JSON that leads to a daemon, with files only their owner may read", async () => {
    await using daemon = await TestDaemon.start();
    const { ready, socket, http, pid } = daemon.program.ready;
    assert.deepEqual([ready, socket, pid], [true, join(daemon.home, "data/state/daemon.sock"), daemon.pid]);
    assert.match(http, /^127\.0\.0\.1:\d+$/);
    const { statSync } = await import("node:fs");
    const mode = (path: string): string => (statSync(join(daemon.home, path)).mode & 0o777).toString(8);
    assert.deepEqual(["data/state/daemon.sock", "data/state", "data/auth", "data/auth/local_token"].map(mode), [
      "660",
      "750",
      "700",
      "640",
    ]);
  });

  test("P1: SIGTERM and SIGINT end with 0 and leave no process: no runner, no shim, no command, nothing it daemonised", async () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      await using daemon = await TestDaemon.start({ config: withShell });
      using client = await daemon.connect();
      const script =
        "setsid sh -c 'touch escaped; exec sleep 1000' & trap '' TERM; touch started; while :; do sleep 1; done";
      const args = ["-c", script];
      for (const id of ["one", "two"]) {
        await client.call("command/execute", { command_id: id, command: "sh", args, stream_output: true });
      }
      await until("the commands to run", () =>
        ["started", "escaped"].every((name) => existsSync(join(daemon.workspace, name))),
      );
      assert.ok(processesOf(daemon.home).length >= 6);
      assert.deepEqual(zombiesOf(daemon.pid), []);

      assert.equal(await daemon.program.stop(signal), 0, signal);
      await noProcessOf(daemon.home);
      assert.ok(!existsSync(daemon.program.ready.socket));
    }
  });

  test("SIGTERM lets a command that obeys end in its own way, and its end is known to the next daemon", async () => {
    const process_management = { allowed_commands: ["sh"], stop_grace_seconds: 20 };
    await using daemon = await TestDaemon.start({ config: { process_management } });
    using client = await daemon.connect();
    const args = ["-c", "trap 'echo obeyed; exit 5' TERM; touch started; while :; do sleep 0.05; done"];
    await client.call("command/execute", { command_id: "polite", command: "sh", args, stream_output: true });
    await until("the command to run", () => existsSync(join(daemon.workspace, "started")));
    await daemon.restart();
    using after = await daemon.connect();
    const status = await after.call("command/status", { command_id: "polite" });
    assert.deepEqual([status.exit_code, status.reason, status.stdout], [5, "shutdown", "obeyed\n"]);
  });

  test("a second SIGTERM forces: the daemon is gone at once, and the next one finds what it left", async () => {
    const process_management = { allowed_commands: ["sh"], stop_grace_seconds: 600 };
    await using daemon = await TestDaemon.start({ config: { process_management } });
    using client = await daemon.connect();
    const args = ["-c", "trap '' TERM; touch started; while [ ! -e go ]; do sleep 0.05; done"];
    const { process_id: pid } = await client.call("command/execute", {
      command_id: "stubborn",
      command: "sh",
      args,
      stream_output: true,
    });
    await until("the command to run", () => existsSync(join(daemon.workspace, "started")));
    daemon.program.signal("SIGTERM");
    await until("the drain", () => daemon.log.includes('"msg":"stopping"'));
    daemon.program.signal("SIGTERM");
    assert.equal(await daemon.program.exited, null);
    assert.ok(isRunning(pid));
    writeFileSync(join(daemon.workspace, "go"), "");
    await daemon.restart();
    using next = await daemon.connect();
    await until(
      "its end",
      async () => (await next.call("command/status", { command_id: "stubborn" })).status !== "started",
    );
  });

  test("a second daemon on the same home is refused in clear words, and the first is not disturbed", async () => {
    await using daemon = await TestDaemon.start();
    await assert.rejects(startDaemon(daemon.home), (error: Error) => {
      assert.match(error.message, /ended with 69/);
      assert.match(error.message, /another hl-daemon/);
      return true;
    });
    assert.equal((await daemon.client(["exec", "--", "echo", "undisturbed"])).stdout.toString(), "undisturbed\n");
    assert.equal((await daemon.healthCheck()).code, 0);
  });

  test("a daemon starts on what kill -9 left behind, and says that it was not stopped in order only in its log", async () => {
    await using daemon = await TestDaemon.start();
    const token = daemon.token;
    await daemon.kill();
    await daemon.restart();
    assert.equal(daemon.token, token);
    assert.equal((await daemon.client(["status"])).code, 0);
    assert.equal(readFileSync(join(daemon.home, "data/state/http_address"), "utf8").trim(), daemon.program.ready.http);
  });
});
