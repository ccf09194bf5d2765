import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import { ConnectionClosed } from "@hl/core/rpc/peer.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { toWireError } from "@hl/protocol/wire-error.ts";
import type { RequestRecord, RequestStore } from "../store/store.ts";
import type { Answer, OutboundRequest } from "./outbox.ts";
import type { VmConnection } from "./vm-connection.ts";

/**
 * One forwarded request between its caller, its record and the outbox.
 * The caller's wait ends before the request does when the VM stays away: then it is detached (the caller's signal and
 * notifications count no more) and goes on by itself until it is answered, withdrawn or expired.
 */
export interface RequestInFlightOptions {
  readonly record: RequestRecord;
  readonly recorded: boolean;
  readonly changes: boolean;
  readonly caller: {
    readonly signal?: AbortSignal | undefined;
    readonly onNotification?: ((method: string, params: unknown) => void) | undefined;
    readonly waitMs?: number | undefined;
    readonly authorization?: string | undefined;
  };
  readonly store: RequestStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly expiresAtMs: number;
}

export interface Outcome {
  readonly rpcId: string;
  readonly answer: Answer;
  readonly connection: VmConnection;
}

export class RequestInFlight {
  readonly #options: RequestInFlightOptions;
  readonly #abort = new AbortController();
  readonly #outcome = Promise.withResolvers<Outcome>();
  readonly #ended = Promise.withResolvers<undefined>();
  #cancelTimers: (() => void) | undefined;
  #detached = false;
  #state: RequestRecord["state"];

  constructor(options: RequestInFlightOptions) {
    this.#options = options;
    this.#state = options.record.state;
  }

  /** The VM's answer; rejects when there is none for this caller. */
  get outcome(): Promise<Outcome> {
    return this.#outcome.promise;
  }

  /** Resolves when the request is settled and its record says so. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  async withdraw(reason: Error): Promise<void> {
    this.#abort.abort(reason);
    await this.ended;
  }

  outbound(params: unknown): OutboundRequest {
    const { record, recorded, caller } = this.#options;
    const { signal, onNotification } = caller;
    const onCallerAbort = (): void => {
      if (!this.#detached) this.#abort.abort(signal?.reason);
    };
    if (signal?.aborted === true) onCallerAbort();
    else signal?.addEventListener("abort", onCallerAbort, { once: true });
    return {
      id: record.id,
      method: record.method,
      params,
      recorded,
      authorization: caller.authorization,
      signal: this.#abort.signal,
      onNotification:
        onNotification &&
        ((method, notification) => {
          if (!this.#detached) onNotification(method, notification);
        }),
      onSent: () => this.#onSent(),
      onWaiting: () => this.#onWaiting(),
      settle: (answer, connection) => void this.#settle(answer, connection),
      fail: (error) => void this.#fail(error),
    };
  }

  #onSent(): void {
    this.#cancelTimers?.();
    this.#cancelTimers = undefined;
    const { record, recorded, store, logger } = this.#options;
    if (!recorded || this.#state === "sent") return;
    this.#state = "sent";
    // For people who look; redelivery does not depend on it.
    store.markSent(record.id).catch((error: unknown) => logger.error({ error, rpc: record.id }, "state not recorded"));
  }

  #onWaiting(): void {
    if (this.#cancelTimers !== undefined) return;
    const { record, clock, caller, expiresAtMs } = this.#options;
    const cancelExpiry = clock.after(Math.max(0, expiresAtMs - clock.wallMs()), () => {
      const hours = Math.round((expiresAtMs - record.createdAtMs) / 3_600_000);
      this.#abort.abort(new RequestExpired("instance_offline", `the VM did not come back within ${hours} h`));
    });
    const cancelWait =
      caller.waitMs === undefined || this.#detached ? undefined : clock.after(caller.waitMs, () => this.#detach());
    this.#cancelTimers = () => {
      cancelExpiry();
      cancelWait?.();
    };
  }

  #detach(): void {
    this.#detached = true;
    const { id, instanceId } = this.#options.record;
    const text = `${instanceId} is not connected; the request is queued`;
    this.#outcome.reject(new HlError("instance_offline", text, { queued: true, rpc_id: id }));
  }

  async #settle(answer: Answer, connection: VmConnection): Promise<void> {
    await this.#record("answered", answer);
    this.#outcome.resolve({ rpcId: this.#options.record.id, answer, connection });
  }

  async #fail(error: unknown): Promise<void> {
    const { record, recorded, changes } = this.#options;
    if (this.#abort.signal.aborted) {
      const state = error instanceof RequestExpired ? "expired" : "cancelled";
      const said = error instanceof HlError ? error : new HlError("request_cancelled", "the caller left or cancelled");
      await this.#record(state, { error: toWireError(said, record.id, { stackTrace: false }) });
      this.#outcome.reject(said);
    } else if (error instanceof ConnectionClosed) {
      const text = `the connection to ${record.instanceId} broke before it answered ${record.method}`;
      this.#end();
      this.#outcome.reject(new HlError(changes ? "outcome_unknown" : "instance_offline", text, { queued: false }));
    } else {
      const facts = { queued: recorded, rpc_id: record.id };
      const text = error instanceof Error ? error.message : String(error);
      this.#end();
      this.#outcome.reject(error instanceof HlError ? new HlError(error.type, text, facts) : error);
    }
  }

  async #record(state: "answered" | "cancelled" | "expired", answer: Answer): Promise<void> {
    const { record, recorded, store, clock, logger } = this.#options;
    try {
      if (recorded) await store.settle(record.id, state, JSON.stringify(answer), clock.wallMs());
    } catch (error) {
      // The caller still gets the answer (S4); after a restart the VM is asked again and answers the same (C1).
      logger.error({ error, rpc: record.id }, "an answer could not be recorded");
    }
    this.#end();
  }

  #end(): void {
    this.#cancelTimers?.();
    this.#cancelTimers = undefined;
    this.#ended.resolve(undefined);
  }
}

/** Nobody took it in time. */
class RequestExpired extends HlError {}
