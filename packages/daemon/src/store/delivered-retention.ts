import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { lanes } from "@hl/protocol/event-lanes.ts";
import type { EventSpool, UpTo } from "./event-spool.ts";

export interface DeliveredRetentionOptions {
  readonly spool: Pick<EventSpool, "acked" | "prune">;
  readonly clock: Pick<Clock, "now">;
  readonly logger: Logger;
  readonly keepMs: number;
  /** Of all lanes together; each has the same part of it. */
  readonly keepBytes: number;
}

/** Marks are taken so often, and rows are removed so often. */
const roundMs = 10_000;

/**
 * Delivered events stay for a while: for a cloud that was restored from a backup, and for local readers. Their age is kept in marks
 * in memory; after a restart they count as delivered at the start, so that none goes too early.
 */
export class DeliveredRetention {
  readonly #options: DeliveredRetentionOptions;
  #marks: { readonly at: number; readonly upTo: UpTo }[] = [];
  #dueAt = Number.NEGATIVE_INFINITY;

  constructor(options: DeliveredRetentionOptions) {
    this.#options = options;
  }

  /** More has been delivered. Now and then removes what has been kept long enough, in bites, so that no write takes long. */
  async delivered(): Promise<void> {
    const { spool, clock, logger, keepMs, keepBytes } = this.#options;
    const now = clock.now();
    if (now < this.#dueAt) return;
    if ((this.#marks.at(-1)?.at ?? Number.NEGATIVE_INFINITY) <= now - roundMs) {
      this.#marks.push({ at: now, upTo: spool.acked() });
    }
    const old = this.#marks.findLast(({ at }) => at <= now - keepMs);
    this.#marks = this.#marks.filter((mark) => mark === old || mark.at > now - keepMs);
    try {
      const hasMore = await spool.prune(old?.upTo ?? new Map(), keepBytes / lanes.length);
      this.#dueAt = hasMore ? now : now + roundMs;
    } catch (error) {
      logger.warn({ error: errorText(error) }, "delivered events could not be removed");
    }
  }
}
