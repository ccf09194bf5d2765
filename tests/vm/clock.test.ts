// Goal: S1, C4: the clock of a VM is set hours forwards and back: no event is lost or twice there, what runs is not ended for it, tokens are renewed, and health says
// so while it is wrong. Method: libfaketime for the daemon alone (a container may not set the clock of its host), by a drop-in of its unit.
import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import type { Message } from "@hl/testkit/message-client.ts";
import { until } from "@hl/testkit/waiting.ts";
import { findFaketime } from "../oracle/wall-clock.ts";
import { root, slowMsMax } from "./installed-vm.ts";
import { Notes } from "./notes.ts";
import { walk } from "./walk.ts";

const faketime = findFaketime();
const needs = faketime === undefined ? "apt-get install faketime" : undefined;
const hours = 5;

walk(
  "the clock is set",
  (vm, step) => {
    const notes = new Notes(vm);
    let pid: string;
    /** So many hours away from the real time. */
    const set = (by: number): Promise<string> => vm.mustRun(`echo '${by < 0 ? "" : "+"}${by}h' >/etc/hl-clock`);
    const refreshToken = (): Promise<string> => vm.mustRun(`cat ${root}/data/auth/refresh_token`);
    const codes = async (): Promise<string[]> =>
      (await vm.rpc("system/health", {})).alerts.map(({ code }: { code: string }) => code);

    step("installed, with a clock of the daemon's own and tokens that live for 20 s", async () => {
      copyFileSync(faketime ?? "", join(vm.payload, "libfaketime.so.1"));
      await vm.stopCloud();
      await vm.startCloud(["--access-token-ttl", "20"]);
      await vm.install();
      await set(0);
      const variables =
        "LD_PRELOAD=/usr/local/lib/libfaketime.so.1 FAKETIME_TIMESTAMP_FILE=/etc/hl-clock FAKETIME_CACHE_DURATION=1 FAKETIME_DONT_FAKE_MONOTONIC=1";
      const dropIn = "/etc/systemd/system/hl-daemon.service.d";
      await vm.mustRun(
        `install -m 0644 /mnt/payload/libfaketime.so.1 /usr/local/lib/ && mkdir -p ${dropIn} && printf '[Service]\\nEnvironment=${variables}\\n' >${dropIn}/clock.conf && systemctl daemon-reload`,
      );
      await vm.edit("c.health_monitoring.check_interval=1");
      await vm.mustRun("systemctl restart hl-daemon");
      await vm.healthy();
      await vm.begin("over-it-all");
      pid = await vm.mainPid();
    });

    for (const [name, by] of [
      ["forwards", hours],
      ["back", -hours],
    ] as const) {
      step(
        `${hours} hours ${name}: told, connected, tokens renewed; events before and behind it arrive once`,
        async () => {
          await notes.emit(`before-${name}`, 50);
          await set(by);
          // Only then: health may still speak of the step before, and tokens are renewed before the daemon looks at its clock.
          const isOfThis = ({ data }: Message): boolean =>
            data?.message === "clock_jump" && Math.sign(data.forward_ms) === Math.sign(by);
          await until("the jump to be told", async () => (await vm.cloudEvents()).some(isOfThis), slowMsMax);
          await until("health to say so", async () => (await codes()).includes("clock_skewed"), slowMsMax);
          const before = await refreshToken();
          await notes.emit(`behind-${name}`, 50);
          await until("the tokens to be renewed", async () => (await refreshToken()) !== before, slowMsMax);
          assert.equal(await vm.remote("exec", "--", "echo", name), `${name}\n`);
          assert.ok((await notes.delivered()).some(isOfThis));
        },
      );
    }

    step(
      "right again: healthy by itself, the same daemon, and the command was not ended nor its time counted wrongly",
      async () => {
        await set(0);
        await vm.healthy();
        assert.equal(await vm.mainPid(), pid);
        await notes.emit("right", 50);
        await notes.delivered();
        await vm.finish("over-it-all");
        const { execution_time: ms } = await vm.rpc("command/status", { command_id: "over-it-all" });
        assert.ok(ms > 0 && ms < 3_600_000, `${ms} ms`);
      },
    );
  },
  { needs },
);
