import { join } from "node:path";
import type { Config } from "@hl/config/load.ts";
import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import { AgentRecords } from "../store/agent-records.ts";
import { CommandRecords } from "../store/command-records.ts";
import { Database } from "../store/database.ts";
import { EventSpool } from "../store/event-spool.ts";
import { Inbox } from "../store/inbox.ts";

export interface ComposedStore extends Disposable {
  readonly database: Database;
  readonly spool: EventSpool;
  readonly records: CommandRecords;
  readonly agentRecords: AgentRecords;
  readonly inbox: Inbox;
}

/** The one database of the daemon and what it keeps there. */
export function composeStore(
  { home, daemon }: Config,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): ComposedStore {
  const { ballast_bytes: ballastBytes } = daemon.event_streaming;
  const database = new Database(join(home, "data/state/daemon.db"), clock, logger, ballastBytes);
  const wallMs = (): number => clock.wallMs();
  const spool = new EventSpool(database, wallMs);
  const records = new CommandRecords(database);
  database.makeRoomWith(() => spool.deleteDelivered());
  database.onReplaced((rescued) => {
    spool.reload(rescued);
    records.reload();
  });
  return {
    ...{ database, spool, records, agentRecords: new AgentRecords(database), inbox: new Inbox(database, wallMs) },
    [Symbol.dispose]: () => database[Symbol.dispose](),
  };
}
