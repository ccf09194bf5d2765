import { systemClock } from "@hl/core/clock.ts";
import type { Fault } from "./fault.ts";

/** Connections break, again and again, wherever they are at that moment. */
export const pathCut: Fault = {
  name: "path cut again and again",
  lane: "path",
  weight: 2,
  msMin: 500,
  msMax: 3_000,
  run: async ({ proxy }, forMs, random) => {
    const before = proxy.hits;
    const end = systemClock.now() + forMs;
    while (systemClock.now() < end) {
      proxy.cut();
      await systemClock.sleep(random.between(5, 300));
    }
    return proxy.hits - before;
  },
};

/** Nobody gets through, as when the cloud's address is gone. */
export const pathRefusing: Fault = {
  name: "path refusing",
  lane: "path",
  weight: 1,
  msMin: 500,
  msMax: 3_000,
  run: async ({ proxy }, forMs) => {
    const before = proxy.hits;
    proxy.set({ kind: "refusing" });
    await systemClock.sleep(forMs);
    proxy.set({ kind: "open" });
    return proxy.hits - before;
  },
};
