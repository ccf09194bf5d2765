import type { Config } from "@hl/config/load.ts";
import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import type { RequestHandler } from "@hl/core/rpc/answer.ts";
import type { PeerRefusals } from "@hl/core/rpc/peer.ts";
import type { TransportLimits } from "@hl/core/rpc/transport.ts";
import type { IdentityOptions } from "../cloud/identity.ts";
import type { Shut } from "../cloud/target.ts";
import type { Health } from "../health/monitor.ts";
import type { HostFacts } from "../host-facts.ts";
import type { EventSpool } from "../store/event-spool.ts";
import type { Inbox } from "../store/inbox.ts";
import type { LiveConfig } from "./live-config.ts";
import type { ComposedOutbound } from "./outbound.ts";

/** What the cloud link needs of the rest of the daemon. */
export interface CloudPorts {
  readonly config: Config;
  readonly live: LiveConfig;
  readonly baseUrl: string;
  readonly outbound: ComposedOutbound;
  readonly enrollmentToken: string | undefined;
  readonly host: HostFacts;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly spool: EventSpool;
  readonly inbox: Inbox;
  readonly limits: TransportLimits;
  readonly handler: RequestHandler;
  readonly refusals: PeerRefusals;
  readonly capabilities: () => readonly string[];
  /** A token that from now on must be told nowhere (X4). */
  readonly onToken: IdentityOptions["onToken"];
  readonly diskFreeMb: () => number;
  readonly httpPort: () => number;
  readonly health: () => Health;
  readonly runningCommands: () => string[];
  /** The command channel came up, or has been down for the hold-off: health is to be judged again. */
  readonly onConnection: () => void;
  /** @param forwardMs how far the wall clock jumped against the monotonic one */
  readonly onClockJump: (forwardMs: number) => void;
  /** The cloud does not want this VM any more: what runs for it is to end, what is spooled is kept. */
  readonly onShut: (why: Shut) => void;
}
