// Goal: the release under the newest systemd that is supported: what differs from 252 is in the drop-ins, in how units are judged, and in a home
// that is closed to others. Method: a short walk in a Debian 13; what does not depend on systemd is walked on Debian 12 only.
import assert from "node:assert/strict";
import { until } from "@hl/testkit/waiting.ts";
import { root, slowMsMax } from "./installed-vm.ts";
import { walk } from "./walk.ts";

const workspace = "/home/developer/workspace";

walk(
  "the release on Debian 13",
  (vm, step) => {
    step("install.sh --from: installed, enrolled and healthy in the cloud, under systemd 257", async () => {
      assert.match(await vm.mustRun("systemctl --version"), /^systemd 257 /);
      await vm.install();
    });

    step("systemd-analyze verify finds nothing, and the drop-ins of this systemd are in force", async () => {
      const units = "hl-daemon.service hl-runner@developer.service hl-daemon-health.service hl-daemon-health.timer";
      const all = `${units} hl-daemon-recovery.service`;
      const { stdout, stderr } = await vm.run(`for unit in ${all}; do systemd-analyze verify $unit; done`);
      assert.equal(stdout + stderr, "");
      // Of a key that it does not know systemd complains when it loads the unit.
      const complaints = await vm.mustRun(
        "journalctl --no-pager -b _PID=1 | grep -E '(hl-[^ ]*|restart-steps)[^ ]*:[0-9]+:' || :",
      );
      assert.equal(complaints, "");
      const steps = "systemctl show -P RestartSteps -P RestartMaxDelayUSec hl-daemon";
      assert.equal(await vm.mustRun(steps), "5\n30s\n");
    });

    step(
      "a command writes in the workspace below a home that is closed to others, and cannot read the tokens",
      async () => {
        assert.equal(await vm.mustRun("stat -c %a /home/developer"), "700\n");
        const program = 'open("made.txt", "w").write("by developer"); print("written")';
        assert.equal(await vm.remote("exec", "--", "python3", "-c", program), "written\n");
        assert.equal(
          await vm.mustRun(`cat ${workspace}/made.txt; stat -c %U ${workspace}/made.txt`),
          "by developerdeveloper\n",
        );
        await assert.rejects(vm.remote("exec", "--", "python3", "-c", `open("${root}/data/auth/access_token")`));
      },
    );

    step("P3: kill -9 of the daemon and of the runner: both are back, and the command goes on", async () => {
      await vm.begin("killed");
      const before = await vm.mainPid();
      await vm.mustRun(`kill -9 ${before}`);
      await vm.restarted(before);
      await vm.mustRun(`kill -9 ${await vm.mainPid("hl-runner@developer")}`);
      const again = async (): Promise<boolean> => (await vm.remote("exec", "--", "echo", "again")) === "again\n";
      await until("it to serve again", again, slowMsMax);
      await vm.finish("killed");
    });

    step("the watchdog ends a daemon that is stuck, and the command goes on", () => vm.endByWatchdog());

    step("reload takes over what is new before it returns", async () => {
      await vm.edit("c.process_management.max_processes=17");
      await vm.mustRun("systemctl reload hl-daemon");
      const { config } = await vm.rpc("system/config/get", { config_section: "process_management.max_processes" });
      assert.equal(config, 17);
    });

    step("recovery restarts a daemon that does not answer", async () => {
      const before = await vm.mainPid();
      await vm.mustRun(`kill -STOP ${before}`);
      await vm.run("systemctl start hl-daemon-health.service", slowMsMax); // It fails, and so recovery begins.
      await vm.restarted(before);
      const isOver = async (): Promise<boolean> =>
        (await vm.run("systemctl is-active hl-daemon-recovery.service")).stdout === "inactive\n";
      await until("recovery to have ended", isOver, slowMsMax);
    });

    step("uninstall leaves nothing, drop-ins included, but the developer", async () => {
      await vm.mustRun(`cp ${root}/scripts/install.sh /root/ && /root/install.sh --uninstall`, slowMsMax);
      const left = await vm.mustRun(
        `ls -d /opt/freestyle /var/lib/hl-runner /run/hl-runner /tmp/hl-daemon-temp /etc/systemd/system/hl-* /etc/systemd/system/*/hl-* /etc/*/hl-daemon* 2>/dev/null
        getent passwd freestyle-daemon; getent group hl-runner freestyle-daemon; systemctl list-units --all --plain --no-legend 'hl-*'; cat ${workspace}/made.txt`,
      );
      assert.equal(left, "by developer");
    });
  },
  { suite: "trixie" },
);
