import { randomUUID } from "node:crypto";
import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { parseParams, type MethodDefinition } from "@hl/protocol/method.ts";
import { daemonMethods } from "@hl/protocol/methods.ts";
import { toWireError } from "@hl/protocol/wire-error.ts";
import { requirePermission, type Operator } from "../operators/operators.ts";
import type { InstanceStore, RequestRecord, RequestStore } from "../store/store.ts";
import { deliveries, type Delivery } from "./delivery.ts";
import type { Fleet } from "./fleet.ts";
import type { Answer, OutboundRequest } from "./outbox.ts";
import { RequestInFlight } from "./request-in-flight.ts";
import type { VmConnection } from "./vm-connection.ts";

/**
 * An operator's request on its way to a VM: judged (X3), recorded where it changes something (C1), forwarded under an id
 * of our own, and answered; or, while the VM is away, left in the queue after `waitMs` with error 1701 and its rpc_id (C2).
 */
export interface ForwardOptions {
  readonly operator: Operator;
  readonly instanceId: string;
  readonly method: string;
  readonly params: unknown;
  /** A token for the daemon itself to judge. It is never stored, so a request that carries one is not queued. */
  readonly authorization: string | undefined;
  readonly waitMs: number;
  /** The caller has left or cancels: the request is cancelled at the VM too. */
  readonly signal?: AbortSignal | undefined;
  readonly onNotification?: ((method: string, params: unknown) => void) | undefined;
  /** Told the id before anything else happens. */
  readonly onAccepted?: ((rpcId: string) => void) | undefined;
}

export interface Forwarded {
  readonly rpcId: string;
  readonly answer: Answer;
  /** The connection that brought the answer, and on which its stream goes on. */
  readonly connection: VmConnection;
}

export interface RequestServiceOptions {
  readonly requests: RequestStore;
  readonly instances: InstanceStore;
  readonly fleet: () => Fleet;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A queued request that nobody took for so long is not delivered any more. */
  readonly queueLifeMs: number;
  /** How long after a start nothing of an earlier run is given up: VMs that are at work on it come back in this time. */
  readonly returnWithinMs: number;
}

export class RequestService {
  readonly #options: RequestServiceOptions;
  /** Recorded requests of this run that are not settled, for withdrawing them. */
  readonly #live = new Map<string, RequestInFlight>();

  readonly #startedAtMs: number;

  constructor(options: RequestServiceOptions) {
    this.#options = options;
    this.#startedAtMs = options.clock.now();
  }

  async forward(options: ForwardOptions): Promise<Forwarded> {
    const { operator, instanceId, method, authorization } = options;
    const params = namingOperator(options);
    await this.#requireInstance(instanceId);
    const { definition, delivery } = judge(operator, method);
    const recorded = (delivery === "now" || delivery === "queue") && authorization === undefined;
    const fleet = this.#options.fleet();
    const online = fleet.connection(instanceId) !== undefined;
    if (!online && (delivery !== "queue" || !recorded)) {
      throw new HlError("instance_offline", `${instanceId} is not connected, and ${method} is not queued`, {
        queued: false,
      });
    }
    // A mistake in a queued request would be noticed only when the VM is back; otherwise the VM itself is the judge.
    if (!online) parseParams(definition, params);
    const record: RequestRecord = {
      id: randomUUID(),
      instanceId,
      operator: operator.name,
      method,
      params: JSON.stringify(params ?? {}),
      state: online ? "sent" : "queued",
      createdAtMs: this.#options.clock.wallMs(),
      settledAtMs: undefined,
      answer: undefined,
    };
    options.onAccepted?.(record.id);
    const request = this.#inFlight(record, recorded, options, delivery);
    await fleet.submit(instanceId, request.outbound(params), async () => {
      if (recorded) await this.#options.requests.add(record);
    });
    return request.outcome;
  }

  /** What an earlier run of hl-cloud left unanswered; nobody waits for it here, its answer is stored. */
  async recover(instanceId: string): Promise<readonly OutboundRequest[]> {
    const records = await this.#options.requests.unsettled(instanceId);
    return records.map((record) => {
      const request = this.#inFlight(record, true, {}, "queue");
      request.outcome.catch(() => {}); // Its end is in the store.
      return request.outbound(JSON.parse(record.params));
    });
  }

  /**
   * Settles what an earlier run of hl-cloud left for instances that have not come back since; what this run knows has a timer of
   * its own. Answers how many, at most `limit`.
   */
  async expireForgotten(limit: number): Promise<number> {
    const { requests, clock, queueLifeMs, returnWithinMs } = this.#options;
    if (clock.now() - this.#startedAtMs < returnWithinMs) return 0;
    const now = clock.wallMs();
    const old = await requests.unsettledBefore(now - queueLifeMs, limit + this.#live.size);
    const forgotten = old.filter((id) => !this.#live.has(id)).slice(0, limit);
    for (const id of forgotten) {
      const error = new HlError("instance_offline", `the VM did not come back within ${hoursOf(queueLifeMs)} h`);
      const answer = { error: toWireError(error, id, { stackTrace: false }) };
      await requests.settle(id, "expired", JSON.stringify(answer), now);
    }
    return forgotten.length;
  }

  async find(operator: Operator, instanceId: string, rpcId: string): Promise<RequestRecord> {
    await this.#requireInstance(instanceId);
    const record = await this.#options.requests.get(instanceId, rpcId);
    if (record === undefined) {
      throw new HlError("invalid_params", `there is no recorded request ${JSON.stringify(rpcId)} of this instance`, {
        help: "Reads are not recorded; answered requests are kept for a week.",
      });
    }
    judge(operator, record.method);
    return record;
  }

  /** Takes a queued request back, or cancels it at the VM; answers the record as it is then. */
  async withdraw(operator: Operator, instanceId: string, rpcId: string): Promise<RequestRecord> {
    const record = await this.find(operator, instanceId, rpcId);
    if (record.settledAtMs !== undefined) return record;
    await this.#live.get(rpcId)?.withdraw(new HlError("request_cancelled", `withdrawn by ${operator.name}`));
    return this.find(operator, instanceId, rpcId);
  }

  #inFlight(
    record: RequestRecord,
    recorded: boolean,
    caller: Partial<Pick<ForwardOptions, "signal" | "onNotification" | "waitMs" | "authorization">>,
    delivery: Delivery,
  ): RequestInFlight {
    const { requests, clock, logger, queueLifeMs } = this.#options;
    const request = new RequestInFlight({
      record,
      recorded,
      changes: delivery !== "read",
      caller,
      store: requests,
      clock,
      logger,
      expiresAtMs: record.createdAtMs + queueLifeMs,
    });
    if (recorded) {
      this.#live.set(record.id, request);
      void request.ended.then(() => this.#live.delete(record.id));
    }
    return request;
  }

  async #requireInstance(instanceId: string): Promise<void> {
    const record = await this.#options.instances.get(instanceId);
    if (record === undefined)
      throw new HlError("instance_unknown", `there is no instance ${JSON.stringify(instanceId)}`);
    if (record.revokedAtMs === undefined) return;
    // It may have been revoked from outside, by the command line.
    this.#options.fleet().disconnect(instanceId, "this instance was revoked");
    throw new HlError("instance_revoked", `the instance ${JSON.stringify(instanceId)} was revoked`);
  }
}

/** The VM knows the cloud only, and who decides belongs into its records: nobody says it but we (X3). */
function namingOperator({ method, params, operator }: ForwardOptions): unknown {
  if (method !== "approval/decide" || typeof params !== "object" || params === null) return params;
  return { ...params, on_behalf_of: operator.name };
}

function hoursOf(ms: number): number {
  return Math.round(ms / 3_600_000);
}

function judge(operator: Operator, method: string): { definition: MethodDefinition; delivery: Delivery } {
  if (!Object.hasOwn(daemonMethods, method)) {
    throw new HlError("method_not_found", `there is no method ${JSON.stringify(method)}`);
  }
  const name = method as keyof typeof daemonMethods;
  const delivery = deliveries[name];
  if (delivery === "own") throw new HlError("method_not_found", `${method} belongs to the daemon's own connections`);
  requirePermission(operator, daemonMethods[name].permission, method);
  return { definition: daemonMethods[name], delivery };
}
