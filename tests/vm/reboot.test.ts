// Goal: S1, S3, C1, P2: the machine goes down with the cloud away and events waiting: every accepted event is delivered once, in order, and what ran has one
// truthful end. Method: a reboot as an operator does it, then one as a power cut does it; the cloud hangs before the first and is gone before the second.
import assert from "node:assert/strict";
import { until } from "@hl/testkit/waiting.ts";
import { slowMsMax } from "./installed-vm.ts";
import { Notes } from "./notes.ts";
import { walk } from "./walk.ts";

walk("the machine goes down", (vm, step) => {
  const notes = new Notes(vm);
  const bootId = (): Promise<string> => vm.mustRun("cat /proc/sys/kernel/random/boot_id");

  /** Nothing is asked of the daemon: its unit is enabled, and that has to be enough. */
  const comesUp = async (): Promise<void> => {
    await until("it to be active", async () => (await vm.run("systemctl is-active hl-daemon")).code === 0, slowMsMax);
    await vm.startCloud();
    await vm.healthy();
  };

  /** Of a command that ran when the machine went down: what is told of its end, by everybody who tells it. */
  const endedOnce = async (command_id: string, reasons: readonly string[]): Promise<void> => {
    const { status, reason, exit_code, stdout } = await vm.rpc("command/status", { command_id, wait: 30 });
    assert.deepEqual([status, exit_code, stdout], ["failed", undefined, "started\n"]);
    assert.ok(reasons.includes(reason), reason);
    const ends = await vm.endsInCloud(command_id);
    assert.deepEqual(
      ends.map(({ data }) => [data.status, data.reason, data.exit_code]),
      [["failed", reason, undefined]],
    );
    const ran = await vm.mustRun(`cat /home/developer/workspace/${command_id}.runs; pgrep -c python3 || :`);
    assert.equal(ran, "x0\n", "C1: it was not run again");
  };

  step("installed, enrolled and healthy", () => vm.install());

  step("S1: reboot: the cloud hangs, 200 events wait, a command runs: all are there once, it has one end", async () => {
    await vm.begin("at-reboot");
    vm.signalCloud("SIGSTOP");
    await notes.emit("reboot", 200);
    const before = await bootId();
    await vm.container.reboot(() => vm.stopCloud("SIGKILL"));
    assert.notEqual(await bootId(), before);
    await comesUp();
    await notes.delivered();
    await endedOnce("at-reboot", ["shutdown"]);
  });

  step(
    "S1: power cut: the cloud is away, 200 events wait, a command runs: all are there once, it has one end",
    async () => {
      await vm.begin("at-cut");
      await vm.stopCloud("SIGKILL");
      await notes.emit("cut", 200);
      const before = await bootId();
      await vm.container.powerCycle();
      assert.notEqual(await bootId(), before);
      await comesUp();
      await notes.delivered();
      // The daemon sees the boot id of this machine, since its unit has a /proc of its own: there it cannot tell the other boot, in a VM it can.
      await endedOnce("at-cut", ["interrupted", "unknown"]);
    },
  );

  step("and everything works as before", async () => {
    assert.equal(await vm.remote("exec", "--", "echo", "again"), "again\n");
  });
});
