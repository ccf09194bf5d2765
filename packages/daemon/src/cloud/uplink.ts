import * as z from "zod";
import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import { LoopService } from "@hl/core/service.ts";
import { RpcError } from "@hl/core/rpc/error.ts";
import type { ResponseMessage } from "@hl/core/rpc/message.ts";
import { HlError, type ErrorType } from "@hl/protocol/errors.ts";
import { lanesAcked, type LanesAcked } from "@hl/protocol/event-lanes.ts";
import { eventDeliver } from "@hl/protocol/methods/event-deliver.ts";
import { cloudRunIdHeader } from "@hl/protocol/methods/vm.ts";
import { fromRpcError } from "@hl/protocol/wire-error.ts";
import type { EventSpool } from "../store/event-spool.ts";
import type { SpooledEvent } from "../store/spooled-event.ts";
import type { DeliveredRetention } from "../store/delivered-retention.ts";
import { nextBatch, type BatchLimits } from "./batch.ts";
import { CloudUnreachable, type CloudHttp } from "./http.ts";
import type { Retry } from "./retry.ts";

export interface UplinkOptions {
  readonly spool: EventSpool;
  readonly http: CloudHttp;
  readonly clock: Clock;
  readonly retry: Retry;
  readonly logger: Logger;
  /** False: nothing is sent, and what is accepted waits. True by default. */
  readonly enabled?: boolean | undefined;
  readonly batchEventsMax: number;
  readonly batchBytesMax: number;
  readonly flushIntervalMs: number;
  /** The same while the critical lane has something. */
  readonly criticalFlushIntervalMs: number;
  /** Forgets what was delivered long ago. */
  readonly retention: Pick<DeliveredRetention, "delivered">;
  /** Resolves with where to send and as whom, once the VM is enrolled. */
  readonly target: (signal: AbortSignal) => Promise<{ url: string; token: string }>;
  /** The access token was refused: it is renewed before the next attempt. */
  readonly renew: (signal: AbortSignal) => Promise<void>;
  readonly isUnauthenticated: (error: unknown) => boolean;
  readonly onContact: () => void;
}

/** So large an event may be what a 413 without a word of the cloud's is about; of a smaller one it is the network's folly. */
const eventBytesTooLargeMin = 65_536;

/**
 * Ships the spool, each lane in order, one batch in flight. What is not acknowledged is sent again, also after a restart (S1); an
 * event that the cloud refuses is set aside with its reason and does not stop the others (S2). A batch that is too large for
 * somebody on the way is halved, and what fits is found again by doubling. Nothing is sent to a hl-cloud before it has said what it
 * has: one that came from a backup would take a new event, and what it lacks before that would never be sent again.
 */
export class Uplink extends LoopService {
  override readonly name = "cloud/uplink";
  readonly #options: UplinkOptions;
  #wake: ((now: boolean) => void) | undefined;
  #limits: BatchLimits;
  /** The process of hl-cloud that has said what it has; none yet. */
  #comparedWith = "";
  /** Nothing has been taken since. */
  #justCompared = false;

  constructor(options: UplinkOptions) {
    super();
    this.#options = options;
    this.#limits = { eventsMax: options.batchEventsMax, bytesMax: options.batchBytesMax };
  }

  /**
   * Something was accepted.
   * @param now it is not to wait for a fuller batch
   */
  poke(now = false): void {
    this.#wake?.(now);
  }

  /**
   * The cloud has said what it has: what it lacks of what it had acknowledged waits again.
   * @param cloudRunId which process of it; undefined for one that does not tell
   */
  async compare(acked: LanesAcked, cloudRunId: string | undefined): Promise<void> {
    const { spool } = this.#options;
    const isOfNow = acked.epoch === spool.epoch; // Of an epoch that is over it says nothing about what waits.
    await spool.reconcile(acked);
    if (isOfNow) this.#comparedWith = cloudRunId ?? this.#comparedWith;
    this.poke();
  }

  /** Sends what waits, as far as that works until the signal aborts: the last act of an orderly stop. */
  async flush(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.#isEnabled && this.#options.spool.depth > 0) await this.#sendNext(signal);
  }

  protected override async run(signal: AbortSignal): Promise<void> {
    const { retry, spool } = this.#options;
    const stopped = (): boolean => signal.aborted; // A call, because it changes while we wait.
    while (!stopped()) {
      if (spool.depth === 0 || !this.#isEnabled) await this.#untilPoked(signal);
      else if (!this.#isFull()) await this.#untilFuller(signal);
      if (stopped()) return;
      if (!this.#isEnabled) continue;
      try {
        await this.#sendNext(signal);
        retry.succeeded();
      } catch (error) {
        if (this.#options.isUnauthenticated(error)) await this.#options.renew(signal).catch(() => {});
        await retry.failed(error, "sending events", signal);
      }
    }
  }

  async #sendNext(signal: AbortSignal): Promise<void> {
    const { spool, onContact, retention, logger } = this.#options;
    const { generation, epoch } = spool;
    const batch = nextBatch(spool, this.#limitsNow);
    if (batch.length === 0) {
      if (spool.depth === 0) return;
      // A page that is damaged may read as the end of its table. Trying again without a pause would hold the event loop.
      throw new Error(`${spool.depth} events wait, and none of them can be read: the database may be damaged`);
    }
    const refused = await this.#send({ batch, generation, epoch }, signal);
    if (refused === undefined) return;
    onContact();
    this.#noteRefused(refused);
    const upTo = new Map(batch.map(({ lane, seq }) => [lane, seq]));
    await spool.acknowledge(upTo, refused, generation);
    logger.debug({ events: batch.length, refused: refused.size, up_to: Object.fromEntries(upTo) }, "sent to the cloud");
    await retention.delivered();
  }

  /** Answers what the cloud refused; undefined when nothing is decided and the next attempt is another one. */
  async #send(read: ReadBatch, signal: AbortSignal): Promise<Map<number, string> | undefined> {
    const { http, spool } = this.#options;
    const { batch, generation, epoch } = read;
    const { url, token } = await this.#options.target(signal);
    // The spool has gone back meanwhile: what waits before these would be passed over, here and in the cloud's cursors.
    if (spool.generation !== generation) return undefined;
    const params = batch.map((event) => withSequence(event, epoch));
    try {
      const headers = { [cloudRunIdHeader]: this.#comparedWith };
      const outcomes = await http.batch(url, "event/stream", params, token, signal, headers);
      const refused = refusedIn(batch, outcomes);
      this.#justCompared = false;
      this.#grow();
      return refused;
    } catch (error) {
      if (error instanceof HlError && error.type === "epoch_conflict") {
        if (spool.epoch !== epoch) return undefined; // Another one has begun already.
        this.#options.logger.warn({ epoch: spool.epoch, error: error.message }, "a new epoch begins");
        await spool.beginEpoch();
        return undefined;
      }
      if (error instanceof HlError && error.type === "cloud_restarted") {
        const { cloud_run_id, events_acked } = comparisonSchema.parse(error.facts);
        await this.compare(events_acked, cloud_run_id);
        // Twice in a row is another hl-cloud each time, as behind something that divides requests among several: not without a pause.
        if (this.#justCompared) throw error;
        this.#justCompared = true;
        return undefined;
      }
      if (!isRefusedAsWhole(error)) throw error;
      return this.#halve(batch, error);
    }
  }

  /** One of them is at fault: a single one that is refused so is set aside, so that it does not stop the others. */
  #halve(batch: readonly SpooledEvent[], error: Error): Map<number, string> | undefined {
    const [first] = batch;
    const bytes = batch.reduce((sum, { body }) => sum + Buffer.byteLength(body), 0);
    if (first === undefined || batch.length > 1) {
      this.#limits = { eventsMax: Math.ceil(batch.length / 2), bytesMax: Math.ceil(bytes / 2) };
      return undefined;
    }
    if (error instanceof CloudUnreachable && bytes < eventBytesTooLargeMin) throw error;
    return new Map([[first.seq, error.message]]);
  }

  get #isEnabled(): boolean {
    return this.#options.enabled !== false;
  }

  /** What is set may have become less than what has fitted. */
  get #limitsNow(): BatchLimits {
    const { batchEventsMax, batchBytesMax } = this.#options;
    const { eventsMax, bytesMax } = this.#limits;
    return { eventsMax: Math.min(eventsMax, batchEventsMax), bytesMax: Math.min(bytesMax, batchBytesMax) };
  }

  #grow(): void {
    const { batchEventsMax, batchBytesMax } = this.#options;
    this.#limits = {
      eventsMax: Math.min(this.#limits.eventsMax * 2, batchEventsMax),
      bytesMax: Math.min(this.#limits.bytesMax * 2, batchBytesMax),
    };
  }

  #noteRefused(refused: ReadonlyMap<number, string>): void {
    for (const [seq, reason] of refused)
      this.#options.logger.warn({ seq, reason }, "the cloud refused an event: it is kept as a dead letter");
  }

  #isFull(): boolean {
    const { spool, batchEventsMax, batchBytesMax } = this.#options;
    return spool.depth >= batchEventsMax || spool.bytes >= batchBytesMax;
  }

  async #untilPoked(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#wake = () => resolve(undefined);
    const onAbort = (): void => resolve(undefined);
    signal.addEventListener("abort", onAbort, { once: true });
    if (this.#options.spool.depth === 0 || !this.#isEnabled) await promise;
    signal.removeEventListener("abort", onAbort);
    this.#wake = undefined;
  }

  /** Waits for a full batch, but not longer than the flush interval of what waits. */
  async #untilFuller(signal: AbortSignal): Promise<void> {
    const { spool, clock, flushIntervalMs, criticalFlushIntervalMs } = this.#options;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const end = (): void => resolve(undefined);
    const cancels = [clock.after(flushIntervalMs, end)];
    let hurries = false;
    const look = (now = false): void => {
      if (now || this.#isFull()) end();
      if (hurries || spool.waiting("critical").events === 0) return;
      hurries = true;
      cancels.push(clock.after(criticalFlushIntervalMs, end));
    };
    this.#wake = look;
    signal.addEventListener("abort", end, { once: true });
    look();
    await promise;
    for (const cancel of cancels) cancel();
    signal.removeEventListener("abort", end);
    this.#wake = undefined;
  }
}

/** Events, and where the spool was when they were read. */
interface ReadBatch {
  readonly batch: readonly SpooledEvent[];
  readonly generation: number;
  readonly epoch: string;
}

const comparisonSchema = z.object({ cloud_run_id: z.string(), events_acked: lanesAcked });

const verdictSchema = eventDeliver.result.pick({ status: true, reason: true });

/** The body is JSON already; the members are put in without parsing it. */
function withSequence({ seq, lane, body }: SpooledEvent, epoch: string): string {
  return `{"epoch":${JSON.stringify(epoch)},"seq":${seq},"lane":"${lane}",${body.slice(1)}`;
}

/** Somebody on the way, or the cloud itself, found the request as a whole too large, or the cloud could not read it. */
function isRefusedAsWhole(error: unknown): error is Error {
  if (error instanceof CloudUnreachable) return error.status === 413;
  return error instanceof HlError && (error.type === "request_too_large" || error.type === "parse_error");
}

function refusedIn(
  batch: readonly SpooledEvent[],
  outcomes: readonly (ResponseMessage["outcome"] | undefined)[],
): Map<number, string> {
  const refused = new Map<number, string>();
  for (const [index, event] of batch.entries()) {
    const outcome = outcomes[index];
    if (outcome === undefined) throw new Error(`the cloud gave no verdict on event ${event.seq}`);
    const reason = refusalIn(outcome);
    if (reason !== undefined) refused.set(event.seq, reason);
  }
  return refused;
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
