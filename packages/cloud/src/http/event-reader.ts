import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { Clock } from "@hl/core/clock.ts";
import type { EventRecord } from "../store/store.ts";

/**
 * One reader of server-sent events. It is a cursor over the store: a slow reader costs one page of memory and delays
 * nobody (P5); one that takes nothing for too long is cut and resumes with Last-Event-ID.
 */
export interface EventReaderOptions {
  readonly response: ServerResponse;
  readonly headers: OutgoingHttpHeaders;
  readonly clock: Clock;
  readonly stopping: AbortSignal;
  readonly cursor: number;
  readonly page: (afterRow: number) => Promise<readonly EventRecord[]>;
  /** Resolves when there may be more, or when the signal aborts. */
  readonly changed: (signal: AbortSignal) => Promise<void>;
  readonly format: (record: EventRecord) => string;
}

const writeDeadlineMs = 30_000;
/** A comment now and then keeps proxies from closing a quiet stream. */
const keepAliveMs = 15_000;

export class EventReader {
  readonly #options: EventReaderOptions;
  readonly #gone = new AbortController();
  #cursor: number;

  constructor(options: EventReaderOptions) {
    this.#options = options;
    this.#cursor = options.cursor;
  }

  /** Resolves when the reader has left, was cut, or the server stops. */
  async run(): Promise<void> {
    const { response, headers, stopping } = this.#options;
    const leave = (): void => this.#gone.abort();
    response.on("close", leave);
    response.on("error", leave);
    stopping.addEventListener("abort", leave, { once: true });
    try {
      if (stopping.aborted || response.destroyed) return;
      response.writeHead(200, { ...headers, "content-type": "text/event-stream" });
      response.flushHeaders();
      await this.#follow(this.#gone.signal);
    } catch {
      response.destroy(); // The headers are out, so a failure can only be told by the end of the stream.
    } finally {
      stopping.removeEventListener("abort", leave);
      response.end();
    }
  }

  async #follow(gone: AbortSignal): Promise<void> {
    const { page, format, changed, clock } = this.#options;
    while (!gone.aborted) {
      const wait = new AbortController();
      const more = changed(wait.signal); // Before the read, so that no commit is missed.
      const records = await page(this.#cursor);
      for (const record of records) {
        await this.#write(format(record));
        this.#cursor = record.row;
      }
      if (records.length === 0) {
        const quiet = clock
          .sleep(keepAliveMs, AbortSignal.any([gone, wait.signal]))
          .then(() => this.#write(": quiet\n\n"));
        await Promise.race([more, quiet.catch(() => {})]);
      }
      wait.abort();
    }
  }

  async #write(text: string): Promise<void> {
    const { response, clock } = this.#options;
    if (this.#gone.signal.aborted || response.write(text)) return;
    const drained = Promise.withResolvers<undefined>();
    const proceed = (): void => drained.resolve(undefined);
    const cancel = clock.after(writeDeadlineMs, () => {
      response.destroy();
      proceed();
    });
    response.once("drain", proceed);
    this.#gone.signal.addEventListener("abort", proceed, { once: true });
    await drained.promise;
    cancel();
    response.off("drain", proceed);
    this.#gone.signal.removeEventListener("abort", proceed);
  }
}
