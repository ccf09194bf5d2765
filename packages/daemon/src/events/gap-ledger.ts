import type { Clock } from "@hl/core/clock.ts";
import type { Gap, Lane } from "@hl/protocol/event-lanes.ts";

export interface GapLedgerOptions {
  readonly clock: Pick<Clock, "after">;
  /** Whether a gap would be taken at present. */
  readonly hasRoom: () => boolean;
  /** Resolves when it is durable. */
  readonly tell: (gap: Gap) => Promise<void>;
}

/** At most one gap for each lane and reason in this time. */
const roundMs = 10_000;

interface Lost {
  readonly lane: Lane;
  readonly reason: string;
  count: number;
  bytes: number;
}

/**
 * Adds up the daemon's own events that were refused, which have no sequence number, until a gap tells them (S2): the first at once,
 * what follows in the same round together. While there is no room, or the disk fails, it goes on adding. What it holds is in memory:
 * a crash within a round forgets its numbers.
 */
export class GapLedger implements Disposable {
  readonly #options: GapLedgerOptions;
  readonly #lost = new Map<string, Lost>();
  #cancelRound: (() => void) | undefined;
  #isTelling = false;
  #isOver = false;

  constructor(options: GapLedgerOptions) {
    this.#options = options;
  }

  note(lane: Lane, bytes: number, reason: string): void {
    const key = `${lane} ${reason}`;
    const lost = this.#lost.get(key) ?? { lane, reason, count: 0, bytes: 0 };
    lost.count += 1;
    lost.bytes += bytes;
    this.#lost.set(key, lost);
    if (this.#cancelRound === undefined && !this.#isTelling) void this.#tellAll();
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#cancelRound?.();
    this.#cancelRound = undefined;
  }

  async #tellAll(): Promise<void> {
    this.#cancelRound = undefined;
    if (this.#isOver || this.#lost.size === 0) return;
    this.#isTelling = true;
    for (const [key, lost] of [...this.#lost]) {
      if (!this.#options.hasRoom()) break;
      this.#lost.delete(key);
      const { lane, count, bytes, reason } = lost;
      try {
        await this.#options.tell({ lane, from: null, to: null, count, bytes, reason });
      } catch {
        this.#putBack(key, lost);
      }
    }
    this.#isTelling = false;
    this.#beginRound();
  }

  #beginRound(): void {
    if (this.#isOver) return; // Since.
    this.#cancelRound = this.#options.clock.after(roundMs, () => void this.#tellAll());
  }

  #putBack(key: string, lost: Lost): void {
    const since = this.#lost.get(key);
    this.#lost.set(key, lost);
    lost.count += since?.count ?? 0;
    lost.bytes += since?.bytes ?? 0;
  }
}
