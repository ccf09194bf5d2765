import type { WireError } from "@hl/core/rpc/error.ts";
import { RpcError } from "@hl/core/rpc/error.ts";
import { ConnectionClosed } from "@hl/core/rpc/peer.ts";
import { errorTable } from "@hl/protocol/errors.ts";
import type { VmConnection } from "./vm-connection.ts";

/** How the VM answered, whether well or with an error. */
export type Answer = { readonly result: unknown } | { readonly error: WireError };

/**
 * One request on its way to a VM.
 * States: waiting (no connection, or the VM has enough to do) → sent → settled; a broken connection turns a recorded one
 * back to waiting, and it goes out again under the same id (C1).
 */
export interface OutboundRequest {
  readonly id: string;
  readonly method: string;
  readonly params: unknown;
  /** Whether the store has it; one that is not recorded ends with its connection. */
  readonly recorded: boolean;
  readonly authorization?: string | undefined;
  /** Ends the request at the VM, and its stream after the answer. */
  readonly signal?: AbortSignal | undefined;
  readonly onNotification?: ((method: string, params: unknown) => void) | undefined;
  /** Before each time it goes out. */
  readonly onSent: (connection: VmConnection) => void;
  /** When it has to wait for a connection. */
  readonly onWaiting: () => void;
  readonly settle: (answer: Answer, connection: VmConnection) => void;
  /** Ends without an answer: its signal's reason, or ConnectionClosed for one that is not recorded. */
  readonly fail: (error: unknown) => void;
}

/** The requests of one VM, in the order they came. At most `inFlightMax` are at the VM at once; the rest wait here. */
export class Outbox {
  readonly #inFlightMax: number;
  readonly #numbers = new WeakMap<OutboundRequest, number>();
  #nextNumber = 1;
  #waiting: OutboundRequest[] = [];
  readonly #sent = new Map<string, OutboundRequest>();
  /** Refused because the daemon is stopping; they go to the next one. */
  #held: OutboundRequest[] = [];
  #connection: VmConnection | undefined;
  #reserved = 0;

  constructor(inFlightMax: number) {
    this.#inFlightMax = inFlightMax;
  }

  get connection(): VmConnection | undefined {
    return this.#connection;
  }

  /** Unanswered requests, and those that are being recorded. */
  get size(): number {
    return this.#waiting.length + this.#held.length + this.#sent.size + this.#reserved;
  }

  /** Requests at the VM. */
  get sentCount(): number {
    return this.#sent.size;
  }

  /** Keeps a place while a request is being recorded; dispose of it before submitting. */
  reserve(): Disposable {
    this.#reserved += 1;
    return { [Symbol.dispose]: () => (this.#reserved -= 1) };
  }

  stateOf(id: string): "waiting" | "sent" | undefined {
    if (this.#sent.has(id)) return "sent";
    return [...this.#waiting, ...this.#held].some((request) => request.id === id) ? "waiting" : undefined;
  }

  submit(request: OutboundRequest): void {
    const { signal } = request;
    if (signal?.aborted === true) {
      request.fail(signal.reason);
      return;
    }
    signal?.addEventListener("abort", () => this.#withdraw(request), { once: true });
    this.#numbers.set(request, this.#nextNumber++);
    this.#waiting.push(request);
    if (this.#connection === undefined) request.onWaiting();
    this.#pump();
  }

  /** Everything unanswered goes out again, oldest first. */
  connected(connection: VmConnection): void {
    this.#connection = connection;
    this.#waiting = [...this.#held.splice(0), ...this.#waiting];
    this.#pump();
  }

  disconnected(connection: VmConnection): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    for (const request of [...this.#held, ...this.#waiting]) request.onWaiting();
  }

  /** Ends every local wait; what is recorded stays recorded. */
  close(error: unknown): void {
    const all = [...this.#sent.values(), ...this.#held, ...this.#waiting];
    this.#sent.clear();
    this.#held = [];
    this.#waiting = [];
    for (const request of all) request.fail(error);
  }

  #pump(): void {
    while (this.#connection?.peer.isClosed === false && this.#sent.size < this.#inFlightMax) {
      const request = this.#waiting.shift();
      if (request === undefined) return;
      this.#send(request, this.#connection);
    }
  }

  #send(request: OutboundRequest, connection: VmConnection): void {
    const { id, method, params, signal, onNotification, authorization } = request;
    this.#sent.set(id, request);
    request.onSent(connection);
    connection.peer
      .request(method, params, { id, signal, onNotification, authorization })
      .then(
        (result) => this.#settled(request, connection, { result }),
        (error: unknown) => this.#failed(request, connection, error),
      )
      .finally(() => this.#pump());
  }

  #settled(request: OutboundRequest, connection: VmConnection, answer: Answer): void {
    if (this.#sent.delete(request.id)) request.settle(answer, connection);
  }

  #failed(request: OutboundRequest, connection: VmConnection, error: unknown): void {
    if (!this.#sent.delete(request.id)) return;
    if (error instanceof RpcError) {
      const retryLater = error.code === errorTable.shutting_down.code && request.recorded;
      if (!retryLater) {
        request.settle({ error: { code: error.code, message: error.message, data: error.data } }, connection);
      } else if (this.#connection === connection) {
        this.#held.push(request);
        request.onWaiting();
      } else {
        this.#requeue(request);
      }
    } else if (error instanceof ConnectionClosed && request.signal?.aborted !== true) {
      if (request.recorded) this.#requeue(request);
      else request.fail(error);
    } else {
      request.fail(error);
    }
  }

  /** Back to the place that its age gives it, before what came later. */
  #requeue(request: OutboundRequest): void {
    const age = this.#numberOf(request);
    const index = this.#waiting.findIndex((other) => this.#numberOf(other) > age);
    this.#waiting.splice(index === -1 ? this.#waiting.length : index, 0, request);
    if (this.#connection === undefined) request.onWaiting();
  }

  #numberOf(request: OutboundRequest): number {
    return this.#numbers.get(request) ?? 0;
  }

  #withdraw(request: OutboundRequest): void {
    const list = [this.#waiting, this.#held].find((candidates) => candidates.includes(request));
    if (list === undefined) return; // Sent: the peer's own signal handling cancels it at the VM.
    list.splice(list.indexOf(request), 1);
    request.fail(request.signal?.reason);
  }
}
