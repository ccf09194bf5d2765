import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { Liveness } from "./liveness.ts";
import { Outbox, type OutboundRequest } from "./outbox.ts";
import type { VmConnection } from "./vm-connection.ts";

export interface FleetLimits {
  /** Requests at one VM at once; the daemon refuses more than 256. */
  readonly inFlightMax: number;
  /** Requests of one VM that are unanswered, waiting ones included. */
  readonly requestsMax: number;
  /** What daemons are told when hl-cloud stops: to come back at any moment within so many seconds. */
  readonly drainSpreadSeconds: number;
  /** How long a daemon has to show that it lives, when another one comes under its identity. */
  readonly livenessMs: number;
}

export interface FleetOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: FleetLimits;
  /** Gives the requests of an instance that an earlier run of hl-cloud left unanswered. */
  readonly recover: (instanceId: string) => Promise<readonly OutboundRequest[]>;
  /** A second daemon under one identity was turned away. */
  readonly onIdentityInUse: (instanceId: string, facts: Readonly<Record<string, unknown>>) => void;
  /** Told when the connection of an instance has ended. */
  readonly onDetached: (instanceId: string) => void;
}

const retryAfterMs = 1_000;

/**
 * Who is connected, and what is on its way to whom. A newer connection of an instance replaces an older one behind which
 * nobody answers any more; while somebody does, two daemons have one identity, and the newcomer is turned away (C5).
 */
export class Fleet implements AsyncDisposable {
  readonly #options: FleetOptions;
  readonly #outboxes = new Map<string, Promise<Outbox>>();
  /** Those of `#outboxes` that are open by now. */
  readonly #opened = new Map<string, Outbox>();
  readonly #connections = new Map<string, VmConnection>();
  readonly #liveness: Liveness;
  #closing: Error | undefined;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#liveness = new Liveness(options.clock, options.limits.livenessMs);
  }

  connection(instanceId: string): VmConnection | undefined {
    return this.#connections.get(instanceId);
  }

  get connectedCount(): number {
    return this.#connections.size;
  }

  /**
   * Throws `identity_in_use` where another daemon than this one is connected under the identity and lives.
   * @param runId the process that asks; undefined where it does not say so, then nothing can be told apart
   * @param isNew it opens a connection: then also its own earlier one has to be dead
   */
  async requireSole(instanceId: string, runId: string | undefined, isNew = false): Promise<void> {
    const holder = this.#connections.get(instanceId);
    if (runId === undefined || holder === undefined || holder.peer.isClosed) return;
    if (holder.runId === undefined || (holder.runId === runId && !isNew)) return;
    if (!(await this.#liveness.isAlive(holder))) {
      holder.peer.close("nobody answers there any more, and a newer connection of this instance has come");
      return;
    }
    this.#options.logger.warn(
      { instance: instanceId, session: holder.sessionId, run: holder.runId, newcomer: runId },
      "a second daemon has come under this identity and was turned away: the VM may have been copied",
    );
    this.#options.onIdentityInUse(instanceId, { session: holder.sessionId, run: holder.runId, newcomer: runId });
    throw new HlError("identity_in_use", `another daemon is connected as ${JSON.stringify(instanceId)}`);
  }

  /** Over all instances; what an earlier run left is counted once its instance was asked for or is back. */
  get requestCounts(): { readonly waiting: number; readonly sent: number } {
    let waiting = 0;
    let sent = 0;
    for (const outbox of this.#opened.values()) {
      sent += outbox.sentCount;
      waiting += outbox.size - outbox.sentCount;
    }
    return { waiting, sent };
  }

  /** The instance is known no more. One that is connected or has requests is kept. */
  forget(instanceId: string): void {
    if (this.#connections.has(instanceId) || this.#opened.get(instanceId)?.size !== 0) return;
    this.#opened.delete(instanceId);
    this.#outboxes.delete(instanceId);
  }

  /** Takes a VM in after its hello; resolves when what waited for it is on its way. */
  async attach(connection: VmConnection): Promise<void> {
    const { instanceId, peer } = connection;
    if (this.#closing !== undefined) {
      peer.close("hl-cloud is stopping");
      return;
    }
    const earlier = this.#connections.get(instanceId);
    this.#connections.set(instanceId, connection);
    void peer.closed.then((reason) => this.#detach(connection, reason));
    const outbox = await this.#outbox(instanceId);
    if (this.#connections.get(instanceId) === connection && !peer.isClosed) outbox.connected(connection);
    earlier?.peer.close("replaced by a newer connection of this instance");
  }

  /**
   * Records a request and sends it on its way. The outbox is there before the record is: an outbox that opened in between
   * would find the record and send it a second time.
   */
  async submit(instanceId: string, request: OutboundRequest, record: () => Promise<void>): Promise<void> {
    const outbox = await this.#outbox(instanceId);
    if (outbox.size >= this.#options.limits.requestsMax) {
      const text = `${outbox.size} requests to this instance are unanswered, that is the limit`;
      throw new HlError("rate_limited", text, { retry_after_ms: retryAfterMs, help: "Wait for some of them to end." });
    }
    {
      using _place = outbox.reserve();
      await record();
    }
    if (this.#closing === undefined) outbox.submit(request);
    else request.fail(this.#closing);
  }

  /** Whether a request waits here or is at the VM; undefined when this run of hl-cloud does not know it. */
  async stateOf(instanceId: string, id: string): Promise<"waiting" | "sent" | undefined> {
    return (await this.#outboxes.get(instanceId))?.stateOf(id);
  }

  /** Ends the connection of a VM whose credentials no longer hold. */
  disconnect(instanceId: string, reason: string): void {
    this.#connections.get(instanceId)?.peer.close(reason);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= new HlError("shutting_down", "hl-cloud is stopping; what it accepted is kept");
    const outboxes = await Promise.allSettled(this.#outboxes.values());
    for (const outbox of outboxes) if (outbox.status === "fulfilled") outbox.value.close(this.#closing);
    const connections = [...this.#connections.values()];
    const spread_seconds = this.#options.limits.drainSpreadSeconds;
    for (const { peer } of connections) {
      peer.notify("vm/drain", { spread_seconds }).catch(() => {}); // Who has left needs no word.
      peer.close("hl-cloud is stopping");
    }
  }

  #detach(connection: VmConnection, reason: string): void {
    const { instanceId } = connection;
    this.#options.onDetached(instanceId);
    this.#options.logger.info({ instance: instanceId, session: connection.sessionId, reason }, "a VM has disconnected");
    void this.#outboxes.get(instanceId)?.then((outbox) => outbox.disconnected(connection));
    if (this.#connections.get(instanceId) === connection) this.#connections.delete(instanceId);
  }

  #outbox(instanceId: string): Promise<Outbox> {
    const known = this.#outboxes.get(instanceId);
    if (known !== undefined) return known;
    const opening = this.#open(instanceId);
    this.#outboxes.set(instanceId, opening);
    opening.catch(() => this.#outboxes.delete(instanceId));
    return opening;
  }

  async #open(instanceId: string): Promise<Outbox> {
    const outbox = new Outbox(this.#options.limits.inFlightMax, this.#options.clock);
    for (const request of await this.#options.recover(instanceId)) outbox.submit(request);
    this.#opened.set(instanceId, outbox);
    return outbox;
  }
}
