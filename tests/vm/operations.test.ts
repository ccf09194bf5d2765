// Goal: what an operator does and what breaks, in a Linux that really booted with systemd. Method: the release and nothing else inside (walk.ts).
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "@hl/testkit/programs.ts";
import { until } from "@hl/testkit/waiting.ts";
import { idle } from "./idle.ts";
import { cloudUrl, root, slowMsMax } from "./installed-vm.ts";
import { walk } from "./walk.ts";

walk("operations under systemd", (vm, step) => {
  step("refuses a release that was changed, is not signed, or has no key, and leaves nothing", async () => {
    await vm.mustRun(
      `mkdir /root/bad && cp /mnt/payload/hl-daemon-*.tar.gz* /root/bad && printf x >>/root/bad/${vm.release.archive}`,
    );
    const changed = await vm.run(`/mnt/payload/install.sh --from /root/bad/${vm.release.archive} --allow-unsigned`);
    assert.equal(changed.code, 65);
    assert.match(changed.stderr, /is not what .*sha256 says/);
    await vm.mustRun(`cd /root/bad && sha256sum ${vm.release.archive} >${vm.release.archive}.sha256`);
    const forged = await vm.run(
      `/mnt/payload/install.sh --from /root/bad/${vm.release.archive} --public-key /mnt/payload/release.pub`,
    );
    assert.equal(forged.code, 65);
    assert.match(forged.stderr, /is not signed with/);
    const unknown = await vm.run(`/mnt/payload/install.sh --from /mnt/payload/${vm.release.archive}`);
    assert.equal(unknown.code, 65);
    await vm.mustRun(vm.installLine("--dry-run"));
    await vm.mustRun("rm -r /root/bad; test ! -e /opt/freestyle; ! getent passwd freestyle-daemon");
  });

  step(
    "X2: refuses a cloud over https of which neither a key is pinned nor said that none is, and leaves nothing",
    async () => {
      const unpinned = await vm.run(vm.installLine(`--cloud ${cloudUrl} --token-file /mnt/payload/token`));
      assert.equal(unpinned.code, 64);
      assert.match(unpinned.stderr, /no pin is given.*--pin.*--no-pins/);
      await vm.mustRun(vm.installLine(`--cloud ${cloudUrl} --no-pins --dry-run`));
      const recipe =
        /^## Pins\n```\n([^`]+)```/m.exec(readFileSync(join(repositoryRoot, "docs/tls.md"), "utf8"))?.[1] ?? "";
      const pin = await vm.mustRun(recipe.replace("HOST:443", new URL(cloudUrl).host));
      assert.equal(pin.trim(), vm.pin, "docs/tls.md says how to read the pin");
      await vm.mustRun("test ! -e /opt/freestyle; ! getent passwd freestyle-daemon");
    },
  );

  step("install.sh --from: installed, enrolled and healthy in the cloud", async () => {
    await vm.install();
  });

  step("systemd-analyze verify finds nothing, and modes are as designed", async () => {
    const { stdout, stderr } = await vm.run(
      "for unit in hl-daemon.service hl-runner@developer.service hl-daemon-health.service hl-daemon-health.timer hl-daemon-recovery.service; do systemd-analyze verify $unit; done",
    );
    assert.equal(stdout + stderr, "");
    const modes = await vm.mustRun(
      `cd ${root} && stat -c '%a %U:%G %n' bin/hl-daemon config config/daemon.json data data/auth logs scripts`,
    );
    assert.equal(
      modes,
      [
        "755 root:root bin/hl-daemon",
        "750 root:freestyle-daemon config",
        "640 root:freestyle-daemon config/daemon.json",
        "751 freestyle-daemon:freestyle-daemon data",
        "700 freestyle-daemon:freestyle-daemon data/auth",
        "755 freestyle-daemon:freestyle-daemon logs",
        "755 root:root scripts",
        "",
      ].join("\n"),
    );
    const written = await vm.mustRun(
      `find ${root}/bin ${root}/lib ${root}/scripts ${root}/config ! -user root | wc -l`,
    );
    assert.equal(written, "0\n");
  });

  step("hl-client is found by its name, and works from any folder", async () => {
    const { stdout } = await vm.run("cd / && hl-client status && hl-client doctor");
    assert.match(stdout, /^hl-daemon .* healthy\n[^]*\nhealthy\n$/);
  });

  step("a command runs as the developer and writes in the workspace, not elsewhere", async () => {
    const program = 'open("made.txt", "w").write("by developer"); print("written")';
    assert.equal(await vm.remote("exec", "--", "python3", "-c", program), "written\n");
    assert.equal(await vm.mustRun("cat /home/developer/workspace/made.txt"), "by developer");
    assert.equal(await vm.mustRun("stat -c %U /home/developer/workspace/made.txt"), "developer\n");
    const secret = `open("${root}/data/auth/access_token")`;
    await assert.rejects(vm.remote("exec", "--", "python3", "-c", secret));
    const descriptors = 'import os; print([name for name in os.environ if "NOTIFY" in name or "WATCHDOG" in name])';
    assert.equal(await vm.remote("exec", "--", "python3", "-c", descriptors), "[]\n");
  });

  step("reload takes over what is new before it returns, and refuses what is wrong", async () => {
    const processesMax = (value: string): Promise<void> => vm.edit(`c.process_management.max_processes=${value}`);
    await processesMax("17");
    await vm.mustRun("systemctl reload hl-daemon");
    const { config } = await vm.rpc("system/config/get", { config_section: "process_management.max_processes" });
    assert.equal(config, 17);
    await processesMax('"many"');
    const wrong = await vm.run("systemctl reload hl-daemon");
    assert.notEqual(wrong.code, 0);
    assert.equal(await vm.mustRun("systemctl is-active hl-daemon"), "active\n");
    await processesMax("64");
    await vm.mustRun("systemctl reload hl-daemon");
  });

  step("P3: kill -9 of the daemon: it is back, and the command goes on", async () => {
    await vm.begin("killed");
    const before = await vm.mainPid();
    await vm.mustRun(`kill -9 ${before}`);
    await vm.restarted(before);
    await vm.finish("killed");
  });

  step("P3: hl-client restart: systemd starts another daemon, it is no failure, and the command goes on", async () => {
    await vm.begin("asked");
    const before = await vm.mainPid();
    const failures = await vm.mustRun("systemctl show -P NRestarts hl-daemon");
    await vm.mustRun(`${root}/bin/hl-client restart`, slowMsMax);
    await vm.restarted(before);
    assert.notEqual(await vm.mustRun("systemctl show -P NRestarts hl-daemon"), failures, "systemd has started it");
    assert.doesNotMatch(await vm.mustRun("journalctl -b -u hl-daemon --no-pager"), /status=75\/.*[Ff]ail|'exit-code'/);
    await vm.finish("asked");
  });

  step("P3: kill -9 of the runner: it is back, and the command goes on", async () => {
    await vm.begin("runner");
    await vm.mustRun(`kill -9 ${await vm.mainPid("hl-runner@developer")}`);
    await until(
      "it serves again",
      async () => (await vm.remote("exec", "--", "echo", "again")) === "again\n",
      slowMsMax,
    );
    await vm.finish("runner");
  });

  step("the watchdog ends a daemon that is stuck, and the command goes on", () => vm.endByWatchdog());

  step("an upgrade keeps configuration and data, and the command goes on", async () => {
    await vm.begin("upgraded");
    const before = await vm.mainPid();
    const sums = `cd ${root} && sha256sum config/*.json data/state/instance_id 2>/dev/null || :`;
    const old = await vm.mustRun(sums);
    await vm.mustRun(vm.installLine(""), slowMsMax);
    assert.equal(await vm.mustRun(sums), old);
    await vm.restarted(before);
    await vm.finish("upgraded");
  });

  step(
    "the health check tells, and recovery restarts a daemon that does not answer, not one that was stopped",
    async () => {
      await vm.mustRun("systemctl start hl-daemon-health.service");
      assert.equal(await vm.mustRun("systemctl is-active hl-daemon-health.timer"), "active\n");
      const before = await vm.mainPid();
      await vm.mustRun(`kill -STOP ${before}`);
      await vm.run("systemctl start hl-daemon-health.service", slowMsMax); // It fails, and so recovery begins.
      await vm.restarted(before);
      await vm.mustRun("systemctl stop hl-daemon && systemctl start hl-daemon-health.service");
      assert.equal((await vm.run("systemctl is-active hl-daemon")).stdout, "inactive\n");
      await vm.mustRun("systemctl start hl-daemon");
      await vm.healthy();
    },
  );

  step(
    "X2: a cloud with another key is refused, doctor says its pin, and configure.sh lets it in, any key or this one",
    async () => {
      await vm.stopCloud("SIGKILL"); // One that says that it goes has who comes back spread over a minute.
      vm.giveCloudAnotherKey();
      await vm.startCloud();
      const told = `the key of localhost is not pinned: it is ${vm.pin}`;
      await until("doctor to say so", async () => (await vm.run("hl-client doctor")).stdout.includes(told), slowMsMax);
      for (const trusted of ["--no-pins", `--pin ${vm.pin}`]) {
        await vm.mustRun(`${root}/scripts/configure.sh ${trusted} && systemctl restart hl-daemon`);
        await vm.healthy();
        const { tls_config: tls } = JSON.parse(await vm.mustRun(`cat ${root}/config/security.json`)).network_security;
        assert.equal(tls.certificate_pinning, trusted !== "--no-pins");
      }
    },
  );

  step("idle after all that: both processes stay, and what they take is printed", () =>
    idle(vm, "idle after all that"),
  );

  step("uninstall leaves nothing but the developer", async () => {
    await vm.begin("left");
    await vm.mustRun(`cp ${root}/scripts/install.sh /root/ && /root/install.sh --uninstall`, slowMsMax);
    const left = await vm.mustRun(
      "ls -d /opt/freestyle /var/lib/hl-runner /run/hl-runner /tmp/hl-daemon-temp /etc/systemd/system/hl-* /etc/systemd/system/*/hl-* /etc/*/hl-daemon* /usr/local/bin/hl-* 2>/dev/null; getent passwd freestyle-daemon; getent group hl-runner freestyle-daemon; pgrep -al 'hl-|python3'; systemctl list-units --all --plain --no-legend 'hl-*'; cat /home/developer/workspace/made.txt",
    );
    assert.equal(left, "by developer");
  });
});
