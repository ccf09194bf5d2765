// Goal: S1, S4, P2: in a VM whose one disk is full the daemon stays up and reachable, says so with the remedy, loses no event that it accepted, tells the truth of
// what ran, and is well again by itself when there is room. Method: data folder and the runner's logs together on a small file system that is filled to
// the last byte.
import assert from "node:assert/strict";
import { calm } from "@hl/testkit/calm.ts";
import type { Message } from "@hl/testkit/message-client.ts";
import { until } from "@hl/testkit/waiting.ts";
import { root, slowMsMax } from "./installed-vm.ts";
import { Notes } from "./notes.ts";
import { walk } from "./walk.ts";

const small = "/mnt/small";

walk("the disk is full", (vm, step) => {
  const notes = new Notes(vm);
  let pid: string;
  const alerts = async (): Promise<Message[]> => (await vm.rpc("system/health", {})).alerts;
  const alertsWith = (code: string): Promise<Message> =>
    until(`health to say ${code}`, async () => (await alerts()).find((alert) => alert.code === code), slowMsMax);
  const healing = async (): Promise<string[]> =>
    (await vm.cloudEvents())
      .filter(({ event_type, data }) => event_type === "self_healing" && /^disk/.test(data.part))
      .map(({ data }) => data.outcome as string);

  step("installed, with all that it writes on a disk of 128 MiB", async () => {
    await vm.install();
    const monitoring = { check_interval: 1, self_healing: { restart_delay: 0 }, alerts: calm };
    await vm.edit(`c.health_monitoring=${JSON.stringify(monitoring)}`);
    await vm.mustRun(
      [
        "systemctl stop hl-daemon-health.timer hl-daemon hl-runner@developer",
        `mkdir ${small} && mount -t tmpfs -o size=128m,mode=0755 tmpfs ${small}`,
        ...[`${root}/data`, `${root}/logs`, "/var/lib/hl-runner"].map(
          (folder, at) => `cp -a ${folder} ${small}/${at} && mount --bind ${small}/${at} ${folder}`,
        ),
        "systemctl start hl-runner@developer hl-daemon",
      ].join(" && "),
      slowMsMax,
    );
    await vm.healthy();
    await vm.begin("at-full");
    await notes.emit("before", 50);
    await until("the ballast", async () => (await vm.run(`test -s ${root}/data/state/daemon.db.ballast`)).code === 0);
    pid = await vm.mainPid();
  });

  step("S4: filled: it says so, with the remedy, stays up and connected, and takes what it can keep", async () => {
    // The daemon stands still meanwhile, or it gives room back between the last byte and the look.
    const available = await vm.mustRun(
      `kill -STOP ${pid}; dd if=/dev/zero of=${small}/filler bs=64k 2>/dev/null
      dd if=/dev/zero bs=1 of=${small}/filler conv=notrunc oflag=append 2>/dev/null
      df --output=avail ${small} | tail -1 | tr -d ' '; kill -CONT ${pid}`,
      slowMsMax,
    );
    assert.equal(available, "0\n");
    const refused: Message[] = [];
    for (let round = 0; refused.length === 0; round += 1)
      refused.push(...(await notes.emitMany(`full-${round}`, 50, { pad: "x".repeat(20_000) })));
    for (const { error } of refused) assert.ok([1401, 1505].includes(error.code), JSON.stringify(error));
    const told = await alertsWith("disk_full");
    assert.match(told.remedy, /^Free 5 % and at least 64 MiB/);
    assert.equal((await vm.rpc("system/health", {})).status, "degraded");
    const doctor = await vm.run(`${root}/bin/hl-client doctor`);
    assert.equal(doctor.code, 2);
    await alertsWith("self_healing_exhausted"); // What it may delete by itself does not help here, so it has stopped trying.
    assert.match(doctor.stdout, /The disk is full[^]*Free 5 %/);
    assert.equal(
      (await vm.run("systemctl start hl-daemon-health.service")).code,
      0,
      "degraded is no reason to restart",
    );
    assert.equal(await vm.mainPid(), pid);
  });

  step("P2: what ran has its true end, and what would have no room is refused or cut short with a word", async () => {
    await vm.mustRun("touch /home/developer/workspace/at-full");
    await until("it to have ended", async () => (await vm.run("pgrep -u developer python3")).code === 1);
    const seen: string[] = [];
    for (let n = 0; n < 8; n += 1) {
      const params = { command_id: `full-${n}`, command: "echo", args: ["x".repeat(100)] };
      const said = await vm.rpc("command/execute", params).catch((error: unknown) => error);
      if (said instanceof Error) {
        assert.match(said.message, /1505|no room|no space/i);
        seen.push("refused");
      } else {
        assert.ok(said.stdout === `${"x".repeat(100)}\n` || said.stdout_truncated === true, JSON.stringify(said));
        seen.push("ran");
      }
    }
    process.stdout.write(`commands on a full disk: ${seen.join(" ")}\n`);
    assert.equal(await vm.mainPid(), pid);
  });

  step(
    "S1: with room it is well by itself, every accepted event is in the cloud once, the command has one end",
    async () => {
      await vm.mustRun(`rm ${small}/filler`);
      const isOfDisk = ({ code }: Message): boolean => /^disk/.test(code);
      await until("the disk to be well", async () => !(await alerts()).some(isOfDisk), slowMsMax);
      assert.equal(await vm.mainPid(), pid);
      await notes.emit("after", 50);
      await notes.delivered();
      const end = await vm.rpc("command/status", { command_id: "at-full", wait: 30 });
      assert.deepEqual([end.status, end.exit_code], ["completed", 0]);
      assert.ok(end.stdout === "started\nended\n" || end.stdout_truncated === true, JSON.stringify(end));
      assert.equal((await vm.endsInCloud("at-full")).length, 1);
      const states = await until("the end of the alert in the cloud", async () => {
        const told = (await vm.cloudEvents()).filter(({ event_type }) => event_type === "health_alert");
        const found = told.filter(({ data }) => data.code === "disk_full").map(({ data }) => data.state as string);
        return found.length > 1 && found;
      });
      assert.deepEqual(states, ["raised", "cleared"]);
      assert.equal(await vm.remote("exec", "--", "echo", "again"), "again\n");
    },
  );

  step("what self-healing tried is told, and the operator gives the attempts back", async () => {
    const outcomes = await healing();
    process.stdout.write(`self-healing of the disk: ${outcomes.join(" ")}\n`);
    assert.equal(outcomes[0], "begun");
    assert.ok(outcomes.includes("exhausted"));
    await vm.run(`${root}/bin/hl-client doctor --retry`);
    await vm.healthy();
    assert.equal(await vm.mainPid(), pid);
  });
});
