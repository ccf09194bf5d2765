import type { Peer } from "@hl/core/rpc/peer.ts";

/** One VM on its command channel, after its hello. */
export interface VmConnection {
  readonly instanceId: string;
  readonly sessionId: string;
  readonly bootId: string;
  readonly connectedAtMs: number;
  readonly peer: Peer;
}
