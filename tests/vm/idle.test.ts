// Goal: what an enrolled VM pays for a daemon of which nothing is asked. Method: the release, installed, and a while (HL_TEST_IDLE_SECONDS) in which nothing happens.
import { idle } from "./idle.ts";
import { walk } from "./walk.ts";

walk("an idle VM", (vm, step) => {
  step("installed, enrolled and healthy in the cloud", () => vm.install());

  step("idle from the start: both processes stay, and what they take is printed", () =>
    idle(vm, "idle from the start"),
  );
});
