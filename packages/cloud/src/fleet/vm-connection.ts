import type { Peer } from "@hl/core/rpc/peer.ts";

/** One VM on its command channel, after its hello. */
export interface VmConnection {
  readonly instanceId: string;
  readonly sessionId: string;
  readonly bootId: string;
  /** The process of the daemon; one of an older version does not say. */
  readonly runId: string | undefined;
  readonly connectedAtMs: number;
  readonly peer: Peer;
}
