/**
 * Control groups with real controllers: a runner installed as systemd does it, a daemon of another user in front of it.
 * What a machine without controllers can show of the same is in native/hl-runner/test and tests/system.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Machine } from "./machine.ts";
import { missingTools } from "./image.ts";
import { payloadRoot, runBundledTests } from "./payload.ts";

const home = "/var/lib/hl-daemon";
const workspace = "/home/developer/workspace";
const megabyte = 2 ** 20;

const config = {
  process_management: {
    runner_directory: "/run/hl-runner",
    default_user: "developer",
    temp_dir: "/tmp/hl-daemon-temp",
    allowed_commands: ["python3", "sh", "sleep", "cat"],
    resource_limits: { max_memory_mb: 64, max_cpu_percent: 25, max_child_processes: 24, max_execution_time: 300 },
  },
  security: { sandbox_mode: true, file_access: { allowed_paths: [workspace], blocked_paths: [] } },
  local_api: { http_port: 0 },
};

interface Result {
  readonly status: string;
  readonly reason: string;
  readonly exit_code?: number;
  readonly signal?: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly resource_usage: { readonly max_memory: number; readonly cpu_time: number; readonly source: string };
}

const missing = await missingTools();
const skip = missing === undefined ? false : `no machine can be booted here: ${missing}`;

describe("limits of a command where control groups are delegated", { skip }, () => {
  let machine: Machine;

  const client = async (method: string, params: object): Promise<unknown> => {
    const quoted = JSON.stringify(params).replaceAll("'", String.raw`'\''`);
    const text = await machine.mustRun(
      `${payloadRoot}/bin/hl-client --socket ${home}/data/state/daemon.sock --token-file ${home}/data/auth/local_token rpc ${method} '${quoted}'`,
    );
    return JSON.parse(text) as unknown;
  };
  let commands = 0;
  const execute = async (command: string, args: string[], more: object = {}): Promise<Result> =>
    (await client("command/execute", { command_id: `vm-${(commands += 1)}`, command, args, ...more })) as Result;
  const python = (program: string): Promise<Result> => execute("python3", ["-c", program]);
  const countGroups = "find /sys/fs/cgroup/system.slice/hl-runner-developer.service -name 'run-*' -type d | wc -l";
  const waitingShimsMax = 8;
  /** Waits until a command's group has been held back, and says its quota and period in microseconds. */
  const untilThrottled = `for i in $(seq 300); do
  for group in $(find /sys/fs/cgroup/system.slice/hl-runner-developer.service -name 'run-*' -type d); do
    grep -q '^nr_throttled [1-9]' "$group/cpu.stat" && exec cat "$group/cpu.max"
  done; sleep 0.1
done; echo 'no group was throttled'; exit 1`;

  before(async () => {
    machine = await Machine.boot();
    await machine.mustRun(
      [
        "useradd -m developer && useradd -r -g developer hl-daemon",
        `install -d -o developer -g developer ${workspace} && install -d -o hl-daemon -g developer ${home} ${home}/config`,
        `cat > ${home}/config/daemon.json <<'END'\n${JSON.stringify(config)}\nEND`,
        "systemd-run -q --unit=hl-runner-developer -p User=developer -p 'Delegate=cpu memory pids' -p OOMPolicy=continue " +
          "-p KillMode=mixed -p RuntimeDirectory=hl-runner -p StateDirectory=hl-runner -- " +
          `${payloadRoot}/native/hl-runner/build/hl-runner serve --socket /run/hl-runner/developer.sock ` +
          '--state /var/lib/hl-runner/developer --allow-uid "$(id -u hl-daemon)"',
        "systemd-run -q --unit=hl-daemon -p User=hl-daemon -p Group=developer -p UMask=0027 -- " +
          `${payloadRoot}/bin/hl-daemon --test-mode --config ${home}/config/daemon.json --home ${home}`,
        `for i in $(seq 240); do [ -S ${home}/data/state/daemon.sock ] && exit 0; sleep 0.5; done; journalctl -u hl-daemon -u hl-runner-developer; exit 1`,
      ].join("\n"),
      180_000,
    );
  });
  after(async () => {
    await machine[Symbol.asyncDispose]();
  });

  it("says what is enforced", async () => {
    const info = JSON.stringify(await client("system/info", {}));
    assert.match(info, /"memory":"cgroup"/);
    assert.match(info, /"cpu":"cgroup"/);
    assert.match(info, /"processes":"cgroup"/);
  });

  it("P2: ends a command that wants too much memory, says oom, and keeps what it had written", async () => {
    const greedy = "print('before', flush=True)\nheld = []\nwhile True: held.append(bytearray(4 * 1024 * 1024))";
    const result = await python(greedy);
    assert.equal(result.reason, "oom");
    assert.equal(result.status, "failed");
    assert.equal(result.stdout, "before\n");
    assert.equal(result.resource_usage.source, "cgroup");
    assert.ok(result.resource_usage.max_memory > 32 && result.resource_usage.max_memory <= 65, JSON.stringify(result));
  });

  it("counts the memory of the whole tree, children included", async () => {
    const parent = `import subprocess, sys
children = [subprocess.Popen([sys.executable, "-c", "held = bytearray(${12 * megabyte}); held[::4096] = b'1' * len(held[::4096]); input()"],
  stdin=subprocess.PIPE) for _ in range(2)]
for child in children: child.communicate(b"\\n")`;
    const result = await python(parent);
    assert.equal(result.status, "completed", result.stderr);
    assert.ok(result.resource_usage.max_memory > 24, JSON.stringify(result.resource_usage));
  });

  it("holds a busy command to its share of the processors", async () => {
    // Until it was seen, however long a look takes here.
    const busy = "import os, time\nwhile time.process_time() < 1 or not os.path.exists('seen'): pass";
    const running = python(busy);
    running.catch(() => {});
    const throttled = await machine.mustRun(untilThrottled);
    await machine.mustRun(`touch ${workspace}/seen`);
    const result = await running;
    assert.equal(result.status, "completed", result.stderr);
    // A quarter of two processors. Its own clock is no judge: under emulation it also counts the time in which the processor was lent.
    assert.equal(throttled, "50000 100000\n");
    assert.ok(result.resource_usage.cpu_time > 500, JSON.stringify(result.resource_usage));
  });

  it("refuses a fork storm its processes, and the command sees that as an error", async () => {
    const storm = `import os, time
born = 0
try:
  for _ in range(100):
    if os.fork() == 0: time.sleep(600)
    born += 1
except BlockingIOError: print("refused after", born)`;
    const result = await python(storm);
    assert.match(result.stdout, /^refused after 2\d\n/);
  });

  it("P1: leaves no process and no group, whatever has detached itself", async () => {
    const id = "vm-detached";
    const script =
      "sleep 600 & setsid sleep 600 & (setsid sh -c 'sleep 600 &') ; env -i setsid sleep 600 & echo started";
    const result = (await client("command/execute", {
      command_id: id,
      command: "sh",
      args: ["-c", script],
    })) as Result & {
      pipes_still_open: boolean;
    };
    assert.equal(result.stdout, "started\n");
    assert.equal(result.pipes_still_open, true);
    await client("command/cancel", { command_id: id, grace: 1 });
    assert.equal((await machine.run("pgrep -x sleep -u developer")).code, 1);
    // What is left are the groups of shims that wait for their command; a group goes a moment after its last process.
    await machine.mustRun(
      `for i in $(seq 100); do [ "$(${countGroups})" -le ${waitingShimsMax} ] && exit 0; sleep 0.1; done; exit 1`,
    );
  });

  it("passes hl-runner's own tests of groups and memory, none of them skipped", async () => {
    const { code, stdout, stderr } = await machine.run(runBundledTests, 480_000);
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /^ℹ skipped 0$/m);
  });
});
