import assert from "node:assert/strict";
import { systemClock } from "@hl/core/clock.ts";
import type { TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";
import type { Fault } from "./fault.ts";

/** Longer than any pause between two heartbeats of the run, on a machine that has other work. */
const noticedMsMax = 30_000;
const events = 5;

/**
 * A second machine with the first one's state: database, keys and tokens. It is turned away while the first one lives, and nothing of what
 * it accepts gets to the cloud (C5): its events have ids that nobody has issued, so one that arrives is spurious.
 */
export const identityCopied: Fault = {
  name: "two daemons with one identity",
  lane: "daemon",
  weight: 1,
  msMin: 500,
  msMax: 3_000,
  // Whoever comes first while nobody else is connected is the VM; so the first one must not be cut off meanwhile.
  alone: true,
  run: async ({ daemon, operator }, forMs, random) => {
    // As the cloud sees it, and as the daemon does: either may not know yet that the connection is gone.
    const sidesConnected = async (): Promise<void> => {
      await operator.online(noticedMsMax);
      await until("the first daemon to be connected", () => isConnected(daemon), noticedMsMax);
    };
    await sidesConnected();
    const noticed = async (): Promise<unknown> => (await operator.instance())?.identity_in_use_at;
    const before = await noticed();
    const start = await daemon.copy();
    await sidesConnected(); // It stood still for the copy.
    await using copy = await start();
    await until(
      "the copy to be noticed, and to say so",
      async () => ((await noticed()) !== before && (await isTurnedAway(copy))) || (await isConnected(copy)),
      noticedMsMax,
    );
    if (await isConnected(copy)) {
      // On a machine that is too busy for the first one to answer in time, the copy is the VM: that is no copied identity, but a replaced one.
      await copy.kill();
      return 0;
    }
    using client = await copy.connect();
    for (let number = 0; number < events; number += 1) {
      const event_id = `copy:${number}:${random.between(0, 1_000_000)}`;
      await client.call("event/stream", { event_id, event_type: "oracle.event", timestamp: 1, data: {} });
    }
    await systemClock.sleep(forMs);
    assert.equal((await operator.instance())?.online, true, "the first daemon was turned away");
    if (random.next() < 0.5) await copy.kill();
    return 1;
  },
};

interface CopyHealth {
  readonly service_status: { readonly api_connection: string };
  readonly alerts: readonly { readonly code: string }[];
}

async function isTurnedAway(daemon: TestDaemon): Promise<boolean> {
  return (await healthOf(daemon)).alerts.some(({ code }) => code === "cloud_identity_in_use");
}

async function isConnected(daemon: TestDaemon): Promise<boolean> {
  return (await healthOf(daemon)).service_status.api_connection === "connected";
}

async function healthOf(daemon: TestDaemon): Promise<CopyHealth> {
  const params = { detailed: true };
  return (await daemon.post({ jsonrpc: "2.0", id: 1, method: "system/health", params })).result;
}
