// Goal: the .deb is as good as the archive: installed by dpkg alone, enrolled by a credential of systemd, upgraded with a command running, removed with what it
// keeps, purged with nothing left. Method: dpkg in a VM of its own; the newer version is the same one with another number and another hl-runner.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { calm } from "@hl/testkit/calm.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { until } from "@hl/testkit/waiting.ts";
import { cloudUrl, instanceId, root, slowMsMax } from "./installed-vm.ts";
import { walk } from "./walk.ts";

const newer = "newer.deb";

walk("the .deb", (vm, step) => {
  const dpkg = (args: string): Promise<string> => vm.mustRun(`DEBIAN_FRONTEND=noninteractive dpkg ${args}`, slowMsMax);
  const identity = (): Promise<string> => vm.mustRun(`cat ${root}/data/auth/refresh_token | sha256sum`);

  step("dpkg -i: users, units and folders are there, it runs and answers", async () => {
    await vm.mustRun("echo 'of somebody else' >/usr/local/bin/hl-client");
    await dpkg(`-i /mnt/payload/${vm.release.deb}`);
    assert.equal(
      await vm.mustRun("systemctl is-active hl-daemon hl-runner@developer hl-daemon-health.timer"),
      "active\n".repeat(3),
    );
    assert.equal(
      await vm.mustRun("systemctl is-enabled hl-daemon hl-runner@developer hl-daemon-health.timer"),
      "enabled\n".repeat(3),
    );
    assert.match(await vm.mustRun("dpkg-query -W -f '${Status}' hl-daemon"), /install ok installed/);
    assert.match(await vm.mustRun(`${root}/bin/hl-client status`), /hl-daemon/);
  });

  step("X2: configure.sh refuses what it cannot do, says what to do, and changes nothing", async () => {
    const configure = (options: string): ReturnType<typeof vm.run> => vm.run(`${root}/scripts/configure.sh ${options}`);
    const sums = `cd ${root} && sha256sum config/* && ls config data/auth`;
    const before = await vm.mustRun(sums);
    for (const [options, code, text] of [
      [`--cloud ${cloudUrl}`, 64, /no pin is configured.*--pin.*--no-pins/],
      [`--cloud ${cloudUrl} --pin sha256:short`, 78, /pin_hashes/],
      [`--pin sha256:x --no-pins`, 64, /cannot both hold/],
      [`${vm.cloudOptions} --ca-file /mnt/payload/token`, 66, /has no certificate.*PEM/],
      [`--pins`, 64, /unknown option --pins/],
    ] as const) {
      const { code: actual, stdout, stderr } = await configure(options);
      assert.equal(actual, code, options);
      assert.match(stdout + stderr, text, options);
    }
    assert.equal(await vm.mustRun(sums), before);
  });

  step(
    "configured, with the one-time token as a credential of systemd: enrolled and healthy in the cloud",
    async () => {
      await vm.mustRun("install -D -m 0600 /mnt/payload/token /etc/credstore/hl-enrollment-token");
      await vm.edit(`Object.assign(c.health_monitoring.alerts, ${JSON.stringify(calm)})`);
      await vm.mustRun(
        `${root}/scripts/configure.sh ${vm.cloudOptions} --ca-file /mnt/payload/ca.crt && systemctl restart hl-daemon`,
      );
      await vm.healthy();
      assert.equal(await vm.remote("exec", "--", "echo", "hello"), "hello\n");
      const { jwt } = JSON.parse(await vm.mustRun(`cat ${root}/config/security.json`)).authentication;
      assert.equal(jwt.public_key_url, `${cloudUrl}/.well-known/jwks.json`, "the keys of callers are the new cloud's");
      const mode = `cd ${root} && stat -c '%a %U:%G' config/security.json data/auth/ca.crt`;
      assert.equal(await vm.mustRun(mode), "640 root:freestyle-daemon\n644 freestyle-daemon:freestyle-daemon\n");
      const security = `sha256sum ${root}/config/security.json`;
      await vm.mustRun(`echo >>${root}/config/security.json`);
      const asWritten = await vm.mustRun(security);
      await vm.mustRun(`${root}/scripts/configure.sh --instance ${instanceId}`);
      assert.equal(
        await vm.mustRun(security),
        asWritten,
        "nothing was asked of it, so it is as somebody has written it",
      );
      // The credential is still there, and of no use any more: it is not tried again.
      await vm.mustRun(`test ! -e ${root}/data/auth/enrollment_token && systemctl restart hl-daemon`);
      await vm.healthy();
      const written = await vm.mustRun(
        `grep -rlF "$(cat /mnt/payload/token)" ${root} /var/log /var/lib/systemd /run/log 2>/dev/null || :`,
      );
      assert.equal(written, "", "X4: the token is nowhere but in the credential");
    },
  );

  step("P3: an upgrade keeps configuration and data, restarts both parts, and the command goes on", async () => {
    makeNewer(join(vm.payload, vm.release.deb), join(vm.payload, newer));
    await vm.begin("upgraded");
    const sums = `cd ${root} && sha256sum config/*.json data/state/instance_id 2>/dev/null || :`;
    const [old, daemon, runner] = [await vm.mustRun(sums), await vm.mainPid(), await vm.mainPid("hl-runner@developer")];
    await dpkg(`-i /mnt/payload/${newer}`);
    assert.match(await vm.mustRun("dpkg-query -W -f '${Version}' hl-daemon"), /^99\.0\.0$/);
    assert.equal(await vm.mustRun(sums), old);
    await vm.restarted(daemon);
    assert.notEqual(await vm.mainPid("hl-runner@developer"), runner, "it is another program now");
    const same = `cmp /proc/${await vm.mainPid("hl-runner@developer")}/exe ${root}/lib/native/hl-runner`;
    await vm.mustRun(same);
    await vm.finish("upgraded");
  });

  step("removed: nothing runs, data and configuration stay; installed again it is the same VM", async () => {
    await vm.begin("removed");
    const before = await identity();
    await dpkg("-r hl-daemon");
    const left = await vm.mustRun(
      `ls -A ${root}; ls -d /etc/systemd/system/hl-* /etc/systemd/system/*/hl-* /etc/*/hl-daemon* /run/hl-runner 2>/dev/null; pgrep -al 'hl-|python3'; systemctl list-units --all --plain --no-legend 'hl-*'; :`,
    );
    assert.equal(left, "config\ndata\nlogs\n");
    assert.equal(await identity(), before);
    await dpkg(`-i /mnt/payload/${newer}`);
    await vm.healthy();
    const { status, reason } = await vm.rpc("command/status", { command_id: "removed", wait: 30 });
    assert.equal(status, "failed", reason);
  });

  step("purged: nothing is left but the developer", async () => {
    await dpkg("-P hl-daemon");
    const left = await vm.mustRun(
      "ls -d /opt/freestyle /var/lib/hl-runner /run/hl-runner /tmp/hl-daemon-temp /etc/systemd/system/hl-* /etc/systemd/system/*/hl-* /etc/*/hl-daemon* 2>/dev/null; getent passwd freestyle-daemon; getent group hl-runner freestyle-daemon; pgrep -al 'hl-|python3'; systemctl list-units --all --plain --no-legend 'hl-*'; dpkg-query -W hl-daemon 2>/dev/null; cat /home/developer/workspace/upgraded.runs /usr/local/bin/hl-client",
    );
    assert.equal(left, "xof somebody else\n");
    await until("systemd to be well", async () => /running/.test((await vm.run("systemctl is-system-running")).stdout));
  });
});

/** Not compressed: it is only unpacked again. */
function makeNewer(from: string, to: string): void {
  using folder = temporaryFolder("hl-deb");
  const tree = join(folder.path, "tree");
  execFileSync("dpkg-deb", ["--raw-extract", from, tree]);
  const control = join(tree, "DEBIAN/control");
  writeFileSync(control, readFileSync(control, "utf8").replace(/^Version: .*$/m, "Version: 99.0.0"));
  appendFileSync(join(tree, root, "lib/native/hl-runner"), "another");
  execFileSync("dpkg-deb", ["--root-owner-group", "-Znone", "--build", tree, to], { stdio: "pipe" });
}
