import type { Clock } from "@hl/core/clock.ts";
import { ConnectionClosed } from "@hl/core/rpc/peer.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { CommandResult } from "@hl/protocol/methods/command-result.ts";
import type { Connection } from "../connect/connection.ts";
import { persist, untilClosed, type PersistDeps } from "../connect/persist.ts";
import { isPassing } from "../failure.ts";
import { takeSample, type Sample } from "./sample.ts";

/** After one of these another sample is taken at once; everything else is as old as the interval. */
const tellingEvents = [
  ...["process_start", "process_end", "health_alert", "health_check", "approval.requested", "approval.decided"],
  ...["agent.ready", "agent.exited", "agent.stuck", "agent.restart_failed", "agent.restart_cancelled"],
  ...["agent.turn_started", "agent.turn_completed"],
];

/** Between samples, however many events come: a thousand short commands a second are four looks. */
const spacingMs = 250;

export interface FeedOptions {
  readonly persistence: PersistDeps;
  readonly clock: Clock;
  readonly intervalMs: number;
  readonly onSample: (sample: Sample) => void;
  /** The connection is lost; it is made again, however long that takes. */
  readonly onLost: (why: string) => void;
}

/** Samples of one daemon, one after the other: at each event that changes what is shown, and once an interval for what only changes by itself. */
export class Feed {
  readonly #options: FeedOptions;
  #connection: Connection | undefined;
  /** There was a sample: what is lost from now on comes back. */
  #hasBegun = false;
  #due = Promise.withResolvers<undefined>();

  constructor(options: FeedOptions) {
    this.#options = options;
  }

  /** Rejects when the first connection fails, when the signal of the persistence aborts, and when no other attempt would help. */
  run(): Promise<never> {
    const { persistence, onLost } = this.#options;
    const deps = { ...persistence, notice: () => {}, patienceMs: Infinity };
    return persist(deps, async (connection, progress) => {
      this.#connection = connection;
      try {
        return await this.#follow(connection, progress);
      } catch (error) {
        // What may pass on a connection that stands (a VM that is away behind its cloud) is a lost one too: it is asked for again with back-off.
        if (persistence.signal.aborted || !this.#hasBegun || !isPassing(error)) throw error;
        onLost((error as Error).message);
        throw error instanceof ConnectionClosed ? error : new ConnectionClosed((error as Error).message);
      } finally {
        this.#connection = undefined;
      }
    });
  }

  /** Answers the end of the command. */
  async cancel(commandId: string): Promise<CommandResult> {
    if (this.#connection === undefined) throw new ConnectionClosed("there is no connection, so nothing was asked for");
    const result = await this.#connection.call("command/cancel", { command_id: commandId });
    this.#due.resolve(undefined);
    return result;
  }

  async #follow(connection: Connection, progress: () => void): Promise<never> {
    const closed = untilClosed(connection);
    closed.catch(() => {}); // Also when nobody waits at that moment.
    await this.#subscribe(connection);
    for (;;) {
      this.#due = Promise.withResolvers();
      const sample = await takeSample(connection);
      progress();
      this.#hasBegun = true;
      this.#options.onSample(sample);
      await this.#sleep(spacingMs, closed);
      await this.#sleep(this.#options.intervalMs - spacingMs, closed, this.#due.promise);
    }
  }

  /** Who may not see events is shown what the interval brings. */
  async #subscribe(connection: Connection): Promise<void> {
    const onNotification = (): void => this.#due.resolve(undefined);
    try {
      await connection.call("event/subscribe", { types: tellingEvents }, { onNotification });
    } catch (error) {
      if (!(error instanceof HlError) || isPassing(error)) throw error;
    }
  }

  async #sleep(ms: number, ...others: Promise<unknown>[]): Promise<void> {
    const { clock, persistence } = this.#options;
    const awake = new AbortController();
    const slept = clock.sleep(ms, AbortSignal.any([persistence.signal, awake.signal])).catch(() => {});
    try {
      await Promise.race([slept, ...others]);
      persistence.signal.throwIfAborted();
    } finally {
      awake.abort();
    }
  }
}
