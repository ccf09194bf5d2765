/** What a step did to the rows of a lane; the figures follow when that is durable. */
import type { Lane } from "@hl/protocol/event-lanes.ts";
import type { Use } from "./use.ts";

/** Rows of a lane that have been passed: taken by the cloud, or dropped. */
export interface Passed {
  readonly lane: Lane;
  readonly from: number;
  readonly to: number;
  readonly waiting: Use;
  /** Whether they stay in the table. */
  readonly isKept: boolean;
}

export interface WentBack extends Use {
  readonly lane: Lane;
  readonly acked: number;
  readonly missing: { readonly from: number; readonly to: number } | undefined;
}

export interface Forgot extends Use {
  readonly lane: Lane;
}
