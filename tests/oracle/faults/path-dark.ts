import { systemClock } from "@hl/core/clock.ts";
import type { Fault } from "./fault.ts";

/** A black hole: everything is taken and nothing is said. Connections that were in it never come back. */
export const pathDark: Fault = {
  name: "path dark",
  lane: "path",
  weight: 1,
  msMin: 1_000,
  msMax: 5_000,
  run: async ({ proxy }, forMs) => {
    const before = proxy.hits;
    proxy.set({ kind: "dark", afterBytes: 0 });
    await systemClock.sleep(forMs);
    proxy.set({ kind: "open" });
    return proxy.hits - before;
  },
};

/** The same, from some byte in the middle of a body on. */
export const pathDarkInBody: Fault = {
  ...pathDark,
  name: "path dark in the middle",
  run: async ({ proxy }, forMs, random) => {
    const before = proxy.hits;
    proxy.set({ kind: "dark", afterBytes: random.between(1, 100_000) });
    await systemClock.sleep(forMs);
    proxy.set({ kind: "open" });
    return proxy.hits - before;
  },
};
