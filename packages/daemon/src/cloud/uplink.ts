import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { LoopService } from "@hl/core/service.ts";
import { RpcError } from "@hl/core/rpc/error.ts";
import type { ResponseMessage } from "@hl/core/rpc/message.ts";
import { HlError, type ErrorType } from "@hl/protocol/errors.ts";
import { eventDeliver } from "@hl/protocol/methods/event-deliver.ts";
import { fromRpcError } from "@hl/protocol/wire-error.ts";
import type { EventSpool, SpooledEvent } from "../store/event-spool.ts";
import type { CloudHttp } from "./http.ts";
import type { Retry } from "./retry.ts";

export interface UplinkOptions {
  readonly spool: EventSpool;
  readonly http: CloudHttp;
  readonly clock: Clock;
  readonly retry: Retry;
  readonly logger: Logger;
  readonly batchEventsMax: number;
  readonly batchBytesMax: number;
  readonly flushIntervalMs: number;
  /** Delivered events that stay for local readers. */
  readonly keepDelivered: number;
  /** Resolves with where to send and as whom, once the VM is enrolled. */
  readonly target: (signal: AbortSignal) => Promise<{ url: string; token: string }>;
  /** The access token was refused: it is renewed before the next attempt. */
  readonly renew: (signal: AbortSignal) => Promise<void>;
  readonly isUnauthenticated: (error: unknown) => boolean;
  readonly onContact: () => void;
}

/**
 * Ships the spool, in order, one batch in flight. What is not acknowledged is sent again, also after a restart (S1); an
 * event that the cloud refuses is set aside with its reason and does not stop the others (S2).
 */
export class Uplink extends LoopService {
  override readonly name = "cloud/uplink";
  readonly #options: UplinkOptions;
  #wake: (() => void) | undefined;
  #pruneDue = 0;

  constructor(options: UplinkOptions) {
    super();
    this.#options = options;
  }

  /** Something was accepted. */
  poke(): void {
    this.#wake?.();
  }

  /** Sends what waits, as far as that works until the signal aborts: the last act of an orderly stop. */
  async flush(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.#options.spool.depth > 0) await this.#sendBatch(this.#nextBatch(), signal);
  }

  protected override async run(signal: AbortSignal): Promise<void> {
    const { retry, spool, batchEventsMax } = this.#options;
    const stopped = (): boolean => signal.aborted; // A call, because it changes while we wait.
    while (!stopped()) {
      if (spool.depth === 0) await this.#untilPoked(signal);
      else if (spool.depth < batchEventsMax) await this.#untilFuller(signal);
      if (stopped()) return;
      try {
        await this.#sendBatch(this.#nextBatch(), signal);
        retry.succeeded();
      } catch (error) {
        if (this.#options.isUnauthenticated(error)) await this.#options.renew(signal).catch(() => {});
        await retry.failed(error, "sending events", signal);
      }
    }
  }

  #nextBatch(): SpooledEvent[] {
    const { spool, batchEventsMax, batchBytesMax } = this.#options;
    const batch: SpooledEvent[] = [];
    let bytes = 0;
    for (const event of spool.pending(batchEventsMax)) {
      bytes += Buffer.byteLength(event.body);
      if (bytes > batchBytesMax && batch.length > 0) break;
      batch.push(event);
    }
    return batch;
  }

  async #sendBatch(batch: readonly SpooledEvent[], signal: AbortSignal): Promise<void> {
    const last = batch.at(-1);
    if (last === undefined) return;
    const { http, spool, logger, onContact } = this.#options;
    const { url, token } = await this.#options.target(signal);
    const params = batch.map((event) => withSequence(event, spool.epoch));
    const outcomes = await http.batch(url, "event/stream", params, token, signal);
    onContact();
    const refused = new Map<number, string>();
    for (const [index, event] of batch.entries()) {
      const outcome = outcomes[index];
      if (outcome === undefined) throw new Error(`the cloud gave no verdict on event ${event.seq}`);
      const reason = refusalIn(outcome);
      if (reason !== undefined) refused.set(event.seq, reason);
    }
    for (const [seq, reason] of refused)
      logger.warn({ seq, reason }, "the cloud refused an event: it is kept as a dead letter");
    await spool.acknowledge(last.seq, refused);
    await this.#prune();
  }

  /** Now and then, so that shipping itself stays one transaction a batch. */
  async #prune(): Promise<void> {
    const { clock, spool, keepDelivered, logger } = this.#options;
    if (clock.now() < this.#pruneDue) return;
    try {
      const removed = await spool.prune(keepDelivered, 1_000);
      this.#pruneDue = clock.now() + (removed === 1_000 ? 0 : 10_000);
    } catch (error) {
      logger.warn({ error: errorText(error) }, "delivered events could not be removed");
    }
  }

  async #untilPoked(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#wake = () => resolve(undefined);
    const onAbort = (): void => resolve(undefined);
    signal.addEventListener("abort", onAbort, { once: true });
    if (this.#options.spool.depth === 0) await promise;
    signal.removeEventListener("abort", onAbort);
    this.#wake = undefined;
  }

  /** Waits for a full batch, but not longer than the flush interval. */
  async #untilFuller(signal: AbortSignal): Promise<void> {
    const { clock, flushIntervalMs, spool, batchEventsMax } = this.#options;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const cancel = clock.after(flushIntervalMs, () => resolve(undefined));
    this.#wake = () => {
      if (spool.depth >= batchEventsMax) resolve(undefined);
    };
    const onAbort = (): void => resolve(undefined);
    signal.addEventListener("abort", onAbort, { once: true });
    await promise;
    cancel();
    signal.removeEventListener("abort", onAbort);
    this.#wake = undefined;
  }
}

const verdictSchema = eventDeliver.result.pick({ status: true, reason: true });

/** The body is JSON already; the two members are put in without parsing it. */
function withSequence(event: SpooledEvent, epoch: string): string {
  return `{"epoch":${JSON.stringify(epoch)},"seq":${event.seq},${event.body.slice(1)}`;
}

/** Only these say something about the event itself; any other error is about us, the cloud or what lies between. */
const verdicts = new Set<ErrorType>(["event_invalid", "invalid_params", "invalid_request", "request_too_large"]);

/**
 * Why the cloud does not want an event; undefined when it has it. What is neither is thrown, so that the batch is sent again:
 * an event is given up only by a clear word, and taken for delivered only by one (S1).
 */
function refusalIn(outcome: ResponseMessage["outcome"]): string | undefined {
  if ("error" in outcome) {
    const { code, message, data } = outcome.error;
    const error = fromRpcError(new RpcError(code, message, data));
    if (error instanceof HlError && verdicts.has(error.type)) return message;
    throw error;
  }
  const { status, reason } = verdictSchema.parse(outcome.result);
  return status === "rejected" ? (reason ?? "no reason given") : undefined;
}
