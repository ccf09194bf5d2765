// Goal: what an enrolled VM pays for a daemon of which nothing is asked. Method: the release, installed, and a while (HL_TEST_IDLE_SECONDS) in which nothing happens.
// How many of the binary's pages count as the daemon's is up to how they came into the page cache (ADR 38): here as after a boot, by being run.
import { idle } from "./idle.ts";
import { root } from "./installed-vm.ts";
import { walk } from "./walk.ts";

walk("an idle VM", (vm, step) => {
  step("installed, enrolled and healthy in the cloud", () => vm.install());

  step("started as after a boot: the binary is read again from the disk", async () => {
    const before = await vm.mainPid();
    await vm.mustRun(`systemctl stop hl-daemon hl-runner@developer && sync &&
      dd of=${root}/lib/node/bin/node oflag=nocache conv=notrunc,fdatasync count=0 status=none && systemctl start hl-daemon`);
    await vm.restarted(before);
  });

  step("idle from the start: both processes stay, and what they take is printed", () =>
    idle(vm, "idle from the start"),
  );
});
