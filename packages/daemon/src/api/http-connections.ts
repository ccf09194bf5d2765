import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Clock } from "@hl/core/clock.ts";
import { WriteGate, writeProgress } from "@hl/core/rpc/write-gate.ts";
import type { Caller } from "@hl/protocol/method.ts";
import { limitedAs } from "./caller-limits.ts";
import { strangerRefusalsMax } from "./connection-guard.ts";
import type { ConnectionNumbers } from "./connection-numbers.ts";
import type { ConnectionSlots, Slot } from "./connection-slots.ts";
import type { ReportRefusal } from "./refusal-reports.ts";

/**
 * The HTTP server's connections, each with its place among all (ConnectionSlots).
 * States of one: stranger (until `login_timeout_seconds` are over or it was refused too often) → known, which is protected while it has requests
 * in progress and gives its place to newcomers between them → closed. How long it may be silent between requests is the server's own limit.
 */
export interface HttpConnectionsOptions {
  readonly clock: Clock;
  readonly slots: ConnectionSlots;
  readonly numbers: Readonly<ConnectionNumbers>;
  /** A reader that takes nothing of an answer for so long is cut off. */
  readonly writeDeadlineMs: number;
  readonly report: ReportRefusal;
}

export class HttpConnections {
  readonly #options: HttpConnectionsOptions;
  readonly #open = new Map<Socket, HttpConnection>();

  constructor(options: HttpConnectionsOptions) {
    this.#options = options;
  }

  /** Before anything of a new connection is read; one for which there is no place is destroyed. */
  accept(socket: Socket): void {
    const { clock, slots, numbers, report } = this.#options;
    const from = socket.remoteAddress ?? "";
    const slot = slots.take("http", () => {
      report("pushed_out", from);
      socket.destroy();
    });
    if (slot === undefined) {
      report("no_room", from);
      socket.destroy();
      return;
    }
    const cancelLogin = clock.after(numbers.loginTimeoutMs, () => {
      report("no_login_in_time", from);
      socket.destroy();
    });
    const connection = new HttpConnection(from, slot, cancelLogin);
    this.#open.set(socket, connection);
    socket.once("close", () => {
      cancelLogin();
      slot.release();
      this.#open.delete(socket);
    });
  }

  /** Undefined where the connection has ended already. */
  of(socket: Socket): HttpConnection | undefined {
    return this.#open.get(socket);
  }

  /** To be called behind the end of an answer. Most are with the kernel then; the rest is watched. */
  watchReader(socket: Socket, response: ServerResponse): void {
    if (socket.destroyed || response.writableFinished || socket.writableLength === 0) return;
    const { clock, writeDeadlineMs: deadlineMs, report } = this.#options;
    const expired = (): void => {
      report("reader_too_slow", this.of(socket)?.from ?? "");
      socket.destroy();
    };
    const gate = new WriteGate({ clock, deadlineMs, progress: () => writeProgress(socket), expired });
    gate.wait(true).catch(() => {});
    response.once("close", () => gate.opened());
  }
}

/** One connection, as its requests see it. */
export class HttpConnection {
  readonly from: string;
  readonly slot: Slot;
  readonly #cancelLogin: () => void;
  #inFlight = 0;
  #refusals = 0;

  constructor(from: string, slot: Slot, cancelLogin: () => void) {
    this.from = from;
    this.slot = slot;
    this.#cancelLogin = cancelLogin;
  }

  /** Requests that have no answer yet. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** It was refused so often that it is closed: what else came with those requests is not looked at. */
  get isOver(): boolean {
    return this.#refusals >= strangerRefusalsMax;
  }

  /** A request of a known caller begins, or so many in one batch. */
  begin(caller: Caller, count = 1): void {
    this.#cancelLogin();
    this.#refusals = 0;
    this.#inFlight += count;
    this.slot.protect(limitedAs(caller));
  }

  end(count = 1): void {
    this.#inFlight -= count;
    if (this.#inFlight === 0) this.slot.expose();
  }

  /** Health was answered, which needs no login. The place stays anybody's. */
  healthAsked(): void {
    this.#cancelLogin();
  }

  /** The connection has become a WebSocket, which has a watch of its own. */
  upgraded(): void {
    this.#cancelLogin();
  }

  /** One more request was refused; true when the connection has no more credit and is to be closed. */
  refused(): boolean {
    this.#refusals += 1;
    return this.isOver;
  }
}
