import type { EventSpool } from "../store/event-spool.ts";

export interface SpoolRoomOptions {
  readonly spool: Pick<EventSpool, "depth" | "bytes" | "keepNewest">;
  /** What the spool takes before it refuses. */
  readonly eventsMax: number;
  readonly bytesMax: number;
  readonly onError: (error: unknown) => void;
}

/** Fuller than that it is time to make room: what is accepted meanwhile still fits. */
const highMark = 0.75;
/** So much of it stays for local readers. */
const keptShare = 0.5;

/**
 * Keeps room in the spool of a daemon without a cloud, where nobody ever takes an event: the oldest go long before the newest would be
 * refused (S2), however fast they come.
 */
export class SpoolRoom {
  readonly #options: SpoolRoomOptions;
  #making: Promise<void> | undefined;

  constructor(options: SpoolRoomOptions) {
    this.#options = options;
  }

  /** After every accepted event. */
  check(): void {
    const { spool, eventsMax, bytesMax, onError } = this.#options;
    if (spool.depth <= eventsMax * highMark && spool.bytes <= bytesMax * highMark) return;
    this.make().catch(onError);
  }

  /** Resolves when there is room; one round at a time. */
  make(): Promise<void> {
    const { spool, eventsMax, bytesMax } = this.#options;
    this.#making ??= spool
      .keepNewest(eventsMax * keptShare, bytesMax * keptShare)
      .finally(() => (this.#making = undefined));
    return this.#making;
  }
}
