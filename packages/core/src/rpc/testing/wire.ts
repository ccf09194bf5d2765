import { systemClock, type Clock } from "../../clock.ts";
import type { Call, RequestHandler } from "../answer.ts";
import { RpcError } from "../error.ts";
import { memoryTransports } from "../memory.ts";
import type { RequestMessage } from "../message.ts";
import { Peer, type PeerOptions } from "../peer.ts";
import type { Transport, TransportProblem } from "../transport.ts";

/** For tests: one end of a connection as what stands on the wire. */
export interface WireMessage {
  readonly jsonrpc?: string;
  readonly id?: string | number | null;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: Record<string, unknown> };
  readonly request_id?: string | number;
  readonly timestamp?: number;
}

export class Wire {
  readonly #transport: Transport;
  readonly #arrived: (WireMessage | WireMessage[])[] = [];
  readonly #waiting: PromiseWithResolvers<WireMessage | WireMessage[]>[] = [];
  readonly #closed = Promise.withResolvers<string>();
  readonly problems: TransportProblem[] = [];

  constructor(transport: Transport) {
    this.#transport = transport;
    transport.open({
      message: (text) => this.#arrive(JSON.parse(text) as WireMessage),
      problem: (problem) => this.problems.push(problem),
      closed: (reason) => {
        this.#closed.resolve(reason);
        for (const waiter of this.#waiting) waiter.reject(new Error(reason));
      },
    });
  }

  get closed(): Promise<string> {
    return this.#closed.promise;
  }

  /** What has arrived and nobody has taken yet. */
  get unread(): number {
    return this.#arrived.length;
  }

  send(value: unknown): void {
    void this.#transport.send(typeof value === "string" ? value : JSON.stringify(value));
  }

  /** The next message, in the order of arrival. */
  async next(): Promise<WireMessage> {
    return (await this.#next()) as WireMessage;
  }

  async nextBatch(): Promise<WireMessage[]> {
    return (await this.#next()) as WireMessage[];
  }

  close(): void {
    this.#transport.close("the test is over");
  }

  #next(): Promise<WireMessage | WireMessage[]> {
    const message = this.#arrived.shift();
    if (message !== undefined) return Promise.resolve(message);
    const waiter = Promise.withResolvers<WireMessage | WireMessage[]>();
    this.#waiting.push(waiter);
    return waiter.promise;
  }

  #arrive(message: WireMessage): void {
    const waiter = this.#waiting.shift();
    if (waiter === undefined) this.#arrived.push(message);
    else waiter.resolve(message);
  }
}

export type Script = (message: RequestMessage, call: Call) => unknown;

/** A handler from one function; what it throws becomes an error of code 1. */
export function scripted(script: Script): RequestHandler {
  return {
    request: (message, call) => script(message, call) as Promise<unknown>,
    describe: (error) =>
      error instanceof RpcError ? error : { code: 1, message: error instanceof Error ? error.message : String(error) },
  };
}

type Options = Partial<Omit<PeerOptions, "transport" | "handler">>;

/** A peer that serves, and the wire that talks to it. */
export function served(script: Script, options: Options = {}): { peer: Peer; wire: Wire } {
  const [left, right] = memoryTransports();
  const clock: Clock = options.clock ?? systemClock;
  const peer = new Peer({ ...options, transport: left, clock, handler: scripted(script) }).open();
  return { peer, wire: new Wire(right) };
}

/** A peer that asks, and the wire that may answer it. */
export function asking(options: Options = {}): { peer: Peer; wire: Wire } {
  const [left, right] = memoryTransports();
  const clock: Clock = options.clock ?? systemClock;
  return { peer: new Peer({ ...options, transport: left, clock }).open(), wire: new Wire(right) };
}

/** Two peers; the second serves. */
export function joined(script: Script, options: Options = {}): { asker: Peer; server: Peer } {
  const [left, right] = memoryTransports();
  const clock: Clock = options.clock ?? systemClock;
  const server = new Peer({ ...options, transport: right, clock, handler: scripted(script) }).open();
  return { asker: new Peer({ ...options, transport: left, clock }).open(), server };
}
