import type { WireError } from "@hl/core/rpc/error.ts";
import { RpcError } from "@hl/core/rpc/error.ts";
import { ConnectionClosed } from "@hl/core/rpc/peer.ts";
import type { Clock } from "@hl/core/clock.ts";
import { errorTable } from "@hl/protocol/errors.ts";
import type { daemonMethods } from "@hl/protocol/methods.ts";
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

/**
 * The requests of one VM, in the order they came. At most `inFlightMax` are at the VM at once; the rest wait here, but what
 * stops something goes ahead of them: a full queue must not keep anybody from cancelling what fills it.
 */
export class Outbox {
  readonly #inFlightMax: number;
  readonly #clock: Clock;
  readonly #numbers = new WeakMap<OutboundRequest, number>();
  #nextNumber = 1;
  #waiting: OutboundRequest[] = [];
  readonly #sent = new Map<string, OutboundRequest>();
  /** Refused because the daemon is stopping; they go to the next one. */
  #held: OutboundRequest[] = [];
  /** Refused because the daemon had enough to do; they go to it again when it said. */
  readonly #later = new Map<OutboundRequest, () => void>();
  #connection: VmConnection | undefined;
  #reserved = 0;

  constructor(inFlightMax: number, clock: Clock) {
    this.#inFlightMax = inFlightMax;
    this.#clock = clock;
  }

  get connection(): VmConnection | undefined {
    return this.#connection;
  }

  /** Unanswered requests, and those that are being recorded. */
  get size(): number {
    return this.#waiting.length + this.#held.length + this.#later.size + this.#sent.size + this.#reserved;
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
    const waiting = [...this.#waiting, ...this.#held, ...this.#later.keys()];
    return waiting.some((request) => request.id === id) ? "waiting" : undefined;
  }

  submit(request: OutboundRequest): void {
    const { signal } = request;
    if (signal?.aborted === true) {
      request.fail(signal.reason);
      return;
    }
    signal?.addEventListener("abort", () => this.#withdraw(request), { once: true });
    this.#numbers.set(request, this.#nextNumber++);
    if (!stops.has(request.method)) this.#waiting.push(request);
    else this.#waiting.splice(this.#placeOf(request), 0, request);
    if (this.#connection === undefined) request.onWaiting();
    this.#pump();
  }

  /** Everything unanswered goes out again, oldest first. */
  connected(connection: VmConnection): void {
    this.#connection = connection;
    for (const request of [...this.#held.splice(0), ...this.#later.keys()]) this.#again(request);
    this.#pump();
  }

  disconnected(connection: VmConnection): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    for (const request of [...this.#held, ...this.#later.keys(), ...this.#waiting]) request.onWaiting();
  }

  /** Ends every local wait; what is recorded stays recorded. */
  close(error: unknown): void {
    const all = [...this.#sent.values(), ...this.#held, ...this.#later.keys(), ...this.#waiting];
    for (const cancel of this.#later.values()) cancel();
    this.#later.clear();
    this.#sent.clear();
    this.#held = [];
    this.#waiting = [];
    for (const request of all) request.fail(error);
  }

  #pump(): void {
    while (this.#connection?.peer.isClosed === false) {
      const [first] = this.#waiting;
      if (first === undefined) return;
      // A few places more than the rest may have; the daemon takes twice as many.
      const most = stops.has(first.method) ? this.#inFlightMax + stopsInFlightMax : this.#inFlightMax;
      if (this.#sent.size >= most) return;
      this.#waiting.shift();
      this.#send(first, this.#connection);
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
      const busyMs = request.recorded ? busyFor(error) : undefined;
      const retryLater = error.code === errorTable.shutting_down.code && request.recorded;
      if (busyMs !== undefined) {
        this.#later.set(
          request,
          this.#clock.after(busyMs, () => this.#again(request)),
        );
        request.onWaiting();
      } else if (!retryLater) {
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

  /** What was put off is due, or there is another daemon to ask. */
  #again(request: OutboundRequest): void {
    this.#later.get(request)?.();
    this.#later.delete(request);
    this.#requeue(request);
    this.#pump();
  }

  /** At the front, behind others that stop something; but never before what it is to stop, which would then begin. */
  #placeOf({ params }: OutboundRequest): number {
    const targets = idsIn(params);
    const target = this.#waiting.findLastIndex((other) => idsIn(other.params).some((id) => targets.includes(id)));
    if (target !== -1) return target + 1;
    const rest = this.#waiting.findIndex((other) => !stops.has(other.method));
    return rest === -1 ? this.#waiting.length : rest;
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
    const cancelTimer = this.#later.get(request);
    const list = [this.#waiting, this.#held].find((candidates) => candidates.includes(request));
    if (cancelTimer !== undefined) {
      cancelTimer();
      this.#later.delete(request);
    } else if (list !== undefined) list.splice(list.indexOf(request), 1);
    else return; // Sent: the peer's own signal handling cancels it at the VM.
    request.fail(request.signal?.reason);
  }
}

/** Methods that end something, or that what is under way waits for (turns wait for approvals); they pass what waits. */
const stops: ReadonlySet<string> = new Set<keyof typeof daemonMethods>([
  "command/cancel",
  "command/signal",
  "claude/interrupt",
  "claude/stop",
  "approval/list",
  "approval/decide",
]);
const stopsInFlightMax = 32;
/** Where a daemon that is busy does not say for how long. */
const busyDefaultMs = 1_000;
const busyMsMax = 60_000;

/** How long to wait before a busy daemon is asked again; undefined where that is not what it said. */
function busyFor(error: RpcError): number | undefined {
  if (error.code !== errorTable.rate_limited.code) return undefined;
  const asked = error.data?.["retry_after_ms"];
  return typeof asked === "number" ? Math.min(Math.max(asked, 0), busyMsMax) : busyDefaultMs;
}

/** What a request is about: the command or the agent that it starts, feeds or stops. */
function idsIn(params: unknown): readonly unknown[] {
  const { command_id, process_id } = (params ?? {}) as { command_id?: unknown; process_id?: unknown };
  return [command_id, process_id].filter((id) => id !== undefined);
}
