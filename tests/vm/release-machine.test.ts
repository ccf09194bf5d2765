// Goal: the release in a machine with a kernel, a clock and control groups of its own: what an operator's limits do, what the metadata address
// answers to commands, and what steps of the clock and a cut of the power leave. Method: the release and nothing else inside, hl-cloud and
// hl-client of this checkout outside; one boot, steps that build on each other: after one fails the rest are not run.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Message } from "@hl/testkit/message-client.ts";
import type { Operator } from "@hl/testkit/operator.ts";
import { runProgram, temporaryFolder } from "@hl/testkit/programs.ts";
import { TestCloud } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";
import { emitProgram, metadataProgram } from "./guest-programs.ts";
import { missingTools } from "./image.ts";
import { Machine } from "./machine.ts";
import { diskOf, payloadRoot } from "./payload.ts";
import { putRelease } from "./release-under-test.ts";

const missing = await missingTools();
if (missing !== undefined) process.stderr.write(`*** NOT RUN: the release in a machine: ${missing} ***\n`);

const root = "/opt/freestyle/hl-daemon";
const instance = "vm-machine";
const cloudPort = 7000;
const units = "/sys/fs/cgroup/system.slice";
/** Emulated, on a machine with other work: a start of Node takes seconds. */
const slowMsMax = 600_000;
const megabyte = 2 ** 20;
const limits = { max_memory_mb: 64, max_cpu_percent: 25, max_child_processes: 24 };
/** What an emulated processor says of itself. */
const ofEmulation = ["cpu_high", "load_high", "loop_delayed"];
/** The units' own times are not meant for it, and a health check is half a minute of its work; the walks have both. */
const emulated = {
  "hl-daemon.service": String.raw`[Service]\nTimeoutStartSec=600\nWatchdogSec=600\n`,
  "hl-daemon-health.timer": String.raw`[Timer]\nOnCalendar=\nOnCalendar=yearly\n`,
};
describe("the release in a machine", { skip: missing === undefined ? false : missing }, () => {
  const folder = temporaryFolder("hl-machine");
  let vm: Machine;
  let cloud: TestCloud;
  let operator: Operator;
  let archive: string;
  let failed = false;

  /** With the time by the machine's own clock, which begins anew when it boots. */
  const step = (name: string, work: () => Promise<void>): void =>
    void it(name, async (context) => {
      if (failed) {
        context.skip("an earlier step failed");
        return;
      }
      const from = await uptime();
      try {
        await work();
      } catch (error) {
        failed = true;
        const facts = await vm.run("systemctl --no-pager status 'hl-*'; journalctl --no-pager -n 80 -u 'hl-*'; date");
        context.diagnostic(facts.stdout);
        throw error;
      }
      const to = await uptime();
      context.diagnostic(`${(to > from ? to - from : to).toFixed(1)} s of the machine's clock`);
    });
  const uptime = async (): Promise<number> => Number((await vm.mustRun("cut -d' ' -f1 /proc/uptime")).trim());
  const read = async (...files: string[]): Promise<string[]> =>
    (await vm.mustRun(`cat ${files.join(" ")}`)).trimEnd().split("\n");
  const mainPids = (): Promise<string> =>
    vm.mustRun("systemctl show -P MainPID hl-daemon; systemctl show -P MainPID hl-runner@developer");

  /** What an operator runs on a machine of his own. */
  const remote = async (...args: string[]): Promise<string> => {
    const base = ["--cloud", cloud.url, "--instance", instance, "--token-file", cloud.operatorTokenFile];
    const { code, stdout, stderr } = await runProgram("hl-client", [...base, ...args]);
    if (code !== 0) throw new Error(`hl-client ${args.join(" ")}: exit ${code}\n${stdout.toString()}${stderr}`);
    return stdout.toString("utf8");
  };
  const rpc = async (method: string, params: object): Promise<Message> =>
    JSON.parse(await remote("--json", "rpc", method, JSON.stringify(params)));
  let commands = 0;
  const python = (program: string): Promise<Message> =>
    rpc("command/execute", { command_id: `c-${(commands += 1)}`, command: "python3", args: ["-c", program] });
  const connected = (): Promise<void> => operator.online(slowMsMax);
  const alerts = async (): Promise<string[]> => {
    const codes = ((await rpc("system/health", {})).alerts as { code: string }[]).map(({ code }) => code);
    return codes.filter((code) => !ofEmulation.includes(code));
  };
  const healthy = (): Promise<unknown> =>
    until(
      "nothing to complain about",
      async () => {
        const all = await alerts();
        if (all.length > 0) throw new Error(all.join());
        return true;
      },
      slowMsMax,
    );

  /** Hands over events inside, and answers when every one was accepted. */
  const accepted = async (name: string, count = 20): Promise<string[]> => {
    const ids = Array.from({ length: count }, (_, index) => `${name}-${index}`);
    const said = await vm.mustRun(
      `${root}/lib/node/bin/node ${payloadRoot}/emit.mjs ${root} ${ids.join(" ")}`,
      slowMsMax,
    );
    assert.deepEqual(said.trim().split("\n"), ids);
    return ids;
  };
  /** Each of them is in the cloud once. */
  const delivered = async (ids: readonly string[]): Promise<void> => {
    const found = async (): Promise<string[]> =>
      (await operator.events()).map((event) => String(event.event_id)).filter((id) => ids.includes(id));
    await until("every event to be delivered", async () => new Set(await found()).size === ids.length, slowMsMax);
    assert.deepEqual((await found()).sort(), ids.toSorted());
  };

  before(async () => {
    const payload = join(folder.path, "payload");
    mkdirSync(payload);
    ({ archive } = await putRelease(payload));
    writeFileSync(join(payload, "emit.mjs"), emitProgram);
    writeFileSync(join(payload, "metadata.py"), metadataProgram);
    cloud = await TestCloud.start();
    operator = cloud.operator(instance);
    vm = await Machine.boot((into) => diskOf(payload, into), 1536);
    await vm.forward(cloudPort, Number(new URL(cloud.url).port));
  });
  after(async () => {
    await vm[Symbol.asyncDispose]();
    await cloud[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  step("install.sh --from: installed, enrolled and healthy in the cloud", async () => {
    await vm.mustRun(`umask 077; echo ${await cloud.enroll(instance)} >/root/token`);
    for (const [unit, lines] of Object.entries(emulated))
      await vm.mustRun(
        `mkdir /etc/systemd/system/${unit}.d && printf '${lines}' >/etc/systemd/system/${unit}.d/emulated.conf`,
      );
    const who = `--cloud http://127.0.0.1:${cloudPort} --instance ${instance} --token-file /root/token`;
    const what = `--from ${payloadRoot}/${archive} --public-key ${payloadRoot}/release.pub`;
    await vm.mustRun(`${payloadRoot}/install.sh ${what} ${who}`, slowMsMax);
    await connected();
    await healthy();
    assert.match(JSON.stringify(await rpc("system/info", {})), /"memory":"cgroup"/);
  });

  step("what is configured is in the control group of a command, and each unit has its own limits", async () => {
    const edit = `const f="${root}/config/daemon.json",fs=require("fs"),c=JSON.parse(fs.readFileSync(f));Object.assign(c.process_management.resource_limits,${JSON.stringify(limits)});fs.writeFileSync(f,JSON.stringify(c))`;
    await vm.mustRun(`${root}/lib/node/bin/node -e '${edit}' && systemctl reload hl-daemon`, slowMsMax);
    const id = "waits";
    await begin(id);
    const { process_id: pid } = await rpc("command/status", { command_id: id });
    const [line = ""] = await read(`/proc/${String(pid)}/cgroup`);
    const group = line.slice("0::".length);
    assert.match(group, /^\/system\.slice\/hl-runner@developer\.service\/run-[^/]+$/);
    const files = (of: string): string[] => ["memory.max", "pids.max", "cpu.max"].map((name) => `${of}/${name}`);
    // A quarter of two processors.
    const wanted = [String(64 * megabyte), "24", "50000 100000"];
    assert.deepEqual(await read(...files(`/sys/fs/cgroup${group}`)), wanted);
    assert.deepEqual(await read(`/sys/fs/cgroup${group}/memory.swap.max`), ["0"]);
    const runner = await read(...files(`${units}/hl-runner@developer.service`));
    assert.deepEqual(runner, [String(4096 * megabyte), "4096", "300000 100000"]);
    const daemon = await read(...files(`${units}/hl-daemon.service`));
    assert.deepEqual(daemon, [String(1024 * megabyte), "512", "max 100000"]);
    await vm.mustRun(`touch /home/developer/workspace/${id}`);
    assert.equal((await rpc("command/status", { command_id: id, wait: 60 })).status, "completed");
    // It goes behind the answer, when the end is stored.
    await vm.mustRun(`for i in $(seq 300); do [ ! -e /sys/fs/cgroup${group} ] && exit 0; sleep 0.1; done; exit 1`);
  });

  step("P2: a command that wants too much memory ends with oom; the daemon, the runner and others go on", async () => {
    const before = await mainPids();
    await begin("beside");
    const greedy = "print('before', flush=True)\nheld = []\nwhile True: held.append(bytearray(4 * 1024 * 1024))";
    const result = await python(greedy);
    assert.deepEqual([result.status, result.reason, result.stdout], ["failed", "oom", "before\n"]);
    const { source, max_memory: peak, oom_kills: kills } = result.resource_usage;
    assert.equal(source, "cgroup");
    assert.ok(kills >= 1);
    assert.ok(peak > limits.max_memory_mb / 2 && peak <= limits.max_memory_mb + 1, JSON.stringify(result));
    await vm.mustRun("touch /home/developer/workspace/beside");
    assert.equal((await rpc("command/status", { command_id: "beside", wait: 60 })).status, "completed");
    assert.equal(await mainPids(), before);
  });

  step("a fork storm is refused its processes", async () => {
    const storm =
      "import os, time\nborn = 0\ntry:\n  for _ in range(100):\n    if os.fork() == 0: time.sleep(600)\n    born += 1\nexcept BlockingIOError: print('refused after', born)";
    const { command_id: id, stdout } = await python(storm);
    assert.match(stdout, /^refused after 2\d\n/);
    await rpc("command/cancel", { command_id: id, grace: 1 });
  });

  step("the metadata addresses answer root and no command", async () => {
    const addresses = ["169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254", "fd00:ec2::23"];
    for (const address of addresses) await vm.mustRun(`ip address add ${address} dev lo`);
    await vm.mustRun(`systemd-run -q --unit=metadata python3 ${payloadRoot}/metadata.py`);
    const ask = (address: string): string =>
      `import socket\nlink = socket.create_connection(("${address}", 80), 8)\nprint(link.recv(99).decode())`;
    for (const address of [...addresses, "127.0.0.1"]) {
      const root = `for i in $(seq 30); do python3 -c '${ask(address)}' && exit; sleep 1; done; exit 1`;
      assert.equal(await vm.mustRun(root), "credentials\n", address);
    }
    assert.equal(
      (await python(ask("127.0.0.1"))).stdout,
      "credentials\n",
      "the network is there, and nothing but the unit in the way",
    );
    for (const address of addresses) {
      const { status, stdout, stderr } = await python(ask(address));
      assert.deepEqual([status, stdout], ["failed", ""], address);
      assert.match(stderr, /TimeoutError|PermissionError/, address);
    }
    await vm.mustRun("systemctl stop metadata");
  });

  step(
    "C3, S3: the clock is set by hours forwards and back: nothing is lost or comes twice, healthy again",
    async () => {
      const ids = await accepted("clock-before");
      let now = 0;
      for (const hours of [6, -6]) {
        await vm.mustRun(`date -s @${Math.round(Date.now() / 1000) + hours * 3600}`);
        const forward = hours * 3600 - now;
        now = hours * 3600;
        await operator.event(
          ({ data }) => data?.message === "clock_jump" && Math.abs(data.forward_ms / 1000 - forward) < 600,
          slowMsMax,
        );
        await connected();
        ids.push(...(await accepted(`clock${hours}`)));
        await until("health to say it", async () => (await alerts()).includes("clock_skewed"), slowMsMax);
        assert.equal((await python("open('clock', 'a').write('once\\n')")).status, "completed");
      }
      await vm.mustRun(`date -s @${Math.round(Date.now() / 1000)}`);
      await healthy();
      ids.push(...(await accepted("clock-after")));
      await delivered(ids);
      assert.equal(await vm.mustRun("cat /home/developer/workspace/clock"), "once\nonce\n");
      assert.equal((await operator.instance()).credentials, "valid");
    },
  );

  step("S1, P2: the power is cut while the cloud is away: all that was accepted is delivered once", async () => {
    const name = "power-cut";
    await begin(name);
    await cloud.stop();
    await vm.mustRun("echo synced >/var/tmp/synced && sync");
    // From here on nobody syncs but the daemon.
    const ids = await accepted(name, 50);
    await vm.cutPower("echo written >/var/tmp/written");
    const left = "cat /var/tmp/synced; [ ! -s /var/tmp/written ] || echo nothing was lost";
    assert.equal(await vm.mustRun(left), "synced\n", "it was a cut, and no shutdown in order");
    await cloud.restart();
    await vm.forward(cloudPort, Number(new URL(cloud.url).port));
    await connected();
    await delivered(ids);
    // Nobody saw its end: told once, as what it is known to be, and never as a success.
    const end = await rpc("command/status", { command_id: name, wait: 60 });
    assert.deepEqual([end.status, end.reason], ["failed", "interrupted"]);
    const ends = await until(
      "its end in the cloud",
      async () => {
        const found = (await operator.events()).filter(
          ({ event_type, data }) => event_type === "process_end" && data.command_id === name,
        );
        return found.length > 0 && found;
      },
      slowMsMax,
    );
    assert.equal(ends.length, 1);
    await healthy();
    assert.equal((await python("print('again')")).stdout, "again\n");
    assert.equal(await vm.mustRun("systemctl is-system-running || systemctl --failed"), "running\n");
  });

  /** Waits in the workspace for a file of its name. */
  const begin = async (name: string): Promise<void> => {
    const waiter = `import os, time\nwhile not os.path.exists("${name}"): time.sleep(0.2)`;
    await remote("exec", "--detach", "--id", name, "--", "python3", "-c", waiter);
    const runs = async (): Promise<boolean> => (await rpc("command/status", { command_id: name })).process_id > 0;
    await until(`${name} runs`, runs, slowMsMax);
  };
});
