/**
 * What an agent does, by number (`claude/subscribe`), over any number of connections: each kept item once, in order, whatever a lost
 * connection has swallowed. A daemon that does not know the method is left to the notifications of its relays.
 */
import type { Clock } from "@hl/core/clock.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { agentItem, agentItemGap, type AgentItem } from "@hl/protocol/methods/claude-subscribe.ts";
import type { Connection } from "../connect/connection.ts";

export interface FollowerOptions {
  readonly processId: string;
  readonly clock: Clock;
  readonly onItem: (connection: Connection, item: AgentItem) => void;
  /** So many items are kept no more, or could not be. */
  readonly onGap: (items: number) => void;
}

/** An answer waits so long for the items of its turn, which come behind the disk. */
const untoldMs = 2_000;

export class ItemFollower {
  readonly #options: FollowerOptions;
  #nextSeq: number | undefined;
  #follows = true;
  /** The turn whose end was told last. */
  #ended: string | undefined;
  #onEnded: (() => void) | undefined;

  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  /** False where the daemon has no such stream. */
  get follows(): boolean {
    return this.#follows;
  }

  /** To be called for each connection; resolves when the stream is open. */
  async follow(connection: Connection, progress: () => void): Promise<void> {
    if (!this.#follows) return;
    const { processId: process_id } = this.#options;
    const onNotification = (method: string, params: unknown): void => {
      progress();
      this.#take(connection, method, params);
    };
    try {
      const asked = { process_id, from_seq: this.#nextSeq };
      const { next_seq } = await connection.call("claude/subscribe", asked, { onNotification });
      this.#nextSeq ??= next_seq;
    } catch (error) {
      const type = error instanceof HlError ? error.type : undefined;
      if (type === "method_not_found") this.#follows = false;
      else if (type === "invalid_params" && this.#nextSeq !== undefined) {
        this.#nextSeq = undefined; // Its database began anew: what comes from now on is told.
        await this.follow(connection, progress);
      } else throw error;
    }
  }

  /** Resolves when all of the turn was told, or could have been. */
  async toldUntilEnd(relayId: string): Promise<void> {
    if (!this.#follows || this.#ended === relayId) return;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const cancel = this.#options.clock.after(untoldMs, () => resolve(undefined));
    this.#onEnded = () => {
      if (this.#ended === relayId) resolve(undefined);
    };
    await promise;
    this.#onEnded = undefined;
    cancel();
  }

  #take(connection: Connection, method: string, params: unknown): void {
    const gap = method === "claude/gap" ? agentItemGap.safeParse(params).data : undefined;
    if (gap !== undefined) {
      this.#nextSeq = gap.to + 1;
      this.#options.onGap(gap.to - gap.from + 1);
    }
    const item = method === "claude/event" ? agentItem.safeParse(params).data : undefined;
    if (item === undefined) return;
    if (item.seq !== undefined) {
      if (this.#nextSeq !== undefined && item.seq < this.#nextSeq) return; // Of a connection that was given up.
      this.#nextSeq = item.seq + 1;
    }
    this.#options.onItem(connection, item);
    if (item.type !== "turn_completed" || item.relay_id === undefined) return;
    this.#ended = item.relay_id;
    this.#onEnded?.();
  }
}
