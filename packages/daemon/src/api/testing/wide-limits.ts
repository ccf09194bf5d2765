/** Limits that no test reaches which is not about them. */
import type { Clock } from "@hl/core/clock.ts";
import { CallerLimits } from "../caller-limits.ts";
import type { ConnectionNumbers } from "../connection-numbers.ts";
import { ConnectionSlots } from "../connection-slots.ts";
import type { ReportRefusal } from "../refusal-reports.ts";

export function wideRates(clock: Clock): CallerLimits {
  return new CallerLimits({ requestsPerMinute: 1e6, burst: 1e6, strategy: "constant" }, clock);
}

export function wideConnections(): {
  readonly slots: ConnectionSlots;
  readonly numbers: ConnectionNumbers;
  readonly report: ReportRefusal;
} {
  return {
    slots: new ConnectionSlots(10),
    numbers: { inFlightMax: 10, loginTimeoutMs: 10_000, idleTimeoutMs: 10_000 },
    report: () => {},
  };
}
