import type { Logger } from "@hl/core/logger.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { Outbox, type OutboundRequest } from "./outbox.ts";
import type { VmConnection } from "./vm-connection.ts";

export interface FleetLimits {
  /** Requests at one VM at once; the daemon refuses more than 256. */
  readonly inFlightMax: number;
  /** Requests of one VM that are unanswered, waiting ones included. */
  readonly requestsMax: number;
}

export interface FleetOptions {
  readonly logger: Logger;
  readonly limits: FleetLimits;
  /** Gives the requests of an instance that an earlier run of hl-cloud left unanswered. */
  readonly recover: (instanceId: string) => Promise<readonly OutboundRequest[]>;
  /** Told when the connection of an instance has ended. */
  readonly onDetached: (instanceId: string) => void;
}

const retryAfterMs = 1_000;

/** Who is connected, and what is on its way to whom. A newer connection of an instance replaces the older one. */
export class Fleet implements AsyncDisposable {
  readonly #options: FleetOptions;
  readonly #outboxes = new Map<string, Promise<Outbox>>();
  /** Those of `#outboxes` that are open by now. */
  readonly #opened = new Map<string, Outbox>();
  readonly #connections = new Map<string, VmConnection>();
  #closing: Error | undefined;

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  connection(instanceId: string): VmConnection | undefined {
    return this.#connections.get(instanceId);
  }

  get connectedCount(): number {
    return this.#connections.size;
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
    for (const { peer } of connections) peer.close("hl-cloud is stopping");
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
    const outbox = new Outbox(this.#options.limits.inFlightMax);
    for (const request of await this.#options.recover(instanceId)) outbox.submit(request);
    this.#opened.set(instanceId, outbox);
    return outbox;
  }
}
