/**
 * The path between the daemon and its cloud, at the socket. It knows bytes and connections; what is wrong with it is set from outside.
 *
 * States of a connection: open → dark (what comes is swallowed, for good: its bytes are gone) or answered (something else than the
 * cloud has answered) → closed. A slow one is open again when the path is.
 */
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { systemClock } from "@hl/core/clock.ts";
import { UplinkTap } from "./uplink-tap.ts";

export type PathState =
  | { readonly kind: "open" }
  /** Connections are accepted and ended at once. */
  | { readonly kind: "refusing" }
  /** Everything is taken and nothing is said, on each connection from the byte after so many. */
  | { readonly kind: "dark"; readonly afterBytes: number }
  /** One byte a second in each direction. */
  | { readonly kind: "slow" }
  /**
   * Something in between answers with these bytes. `before`: the request never gets to the cloud; `after`: it does, and what the cloud
   * answers is thrown away.
   */
  | { readonly kind: "answering"; readonly answer: string; readonly when: "before" | "after" };

/** What may wait on a slow connection before its sender is told to wait too. */
const slowBytesMax = 64 * 1024;

export class PathProxy implements AsyncDisposable {
  readonly #server = createServer({ allowHalfOpen: false }, (client) => this.#serve(client));
  readonly #connections = new Set<PathConnection>();
  readonly #port: number;
  #state: PathState = { kind: "open" };
  /** Events that the cloud took, each time counted. */
  copies = 0;
  /** Connections that were ended in the middle. */
  cuts = 0;
  /** What dark connections took and nobody got. */
  swallowedBytes = 0;
  /** Connections and pieces of them that any fault has met. */
  hits = 0;

  private constructor(port: number) {
    this.#port = port;
  }

  /** In front of `http://127.0.0.1:PORT`. */
  static async start(cloudUrl: string): Promise<PathProxy> {
    const proxy = new PathProxy(Number(new URL(cloudUrl).port));
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  set(state: PathState): void {
    this.#state = state;
    for (const connection of this.#connections) connection.stateChanged();
  }

  /** Ends every connection as a broken line does, without a word. */
  cut(): void {
    this.cuts += this.#connections.size;
    this.hits += this.#connections.size;
    for (const connection of this.#connections) connection.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#connections) connection.end();
    const closed = once(this.#server, "close");
    this.#server.close();
    await closed;
  }

  #serve(client: Socket): void {
    const tap = new UplinkTap((count) => (this.copies += count));
    const hit = (swallowedBytes = 0): void => {
      this.swallowedBytes += swallowedBytes;
      this.hits += 1;
    };
    const connection = new PathConnection(client, this.#port, { state: () => this.#state, tap, hit });
    this.#connections.add(connection);
    client.once("close", () => this.#connections.delete(connection));
  }
}

interface PathHooks {
  readonly state: () => PathState;
  readonly tap: UplinkTap;
  /** A fault has met this connection, and has swallowed so much of it. */
  readonly hit: (swallowedBytes?: number) => void;
}

class PathConnection {
  readonly #client: Socket;
  readonly #cloud: Socket;
  readonly #hooks: PathHooks;
  readonly #up: Buffer[] = [];
  readonly #down: Buffer[] = [];
  #cancelTick: (() => void) | undefined;
  #dark = false;
  /** How much more gets through before it is dark. */
  #bytesToDark: number | undefined;

  constructor(client: Socket, port: number, hooks: PathHooks) {
    this.#client = client;
    this.#cloud = connect(port, "127.0.0.1");
    this.#hooks = hooks;
    client.on("data", (chunk: Buffer) => this.#fromClient(chunk));
    this.#cloud.on("data", (chunk: Buffer) => this.#fromCloud(chunk));
    for (const socket of [client, this.#cloud]) {
      socket.on("error", () => {}); // Its close says enough.
      // A dark connection stays: nobody is told that the other end has gone.
      socket.on("close", () => (socket === this.#cloud && this.#dark ? undefined : this.end()));
    }
    this.stateChanged();
  }

  end(): void {
    this.#cancelTick?.();
    this.#client.destroy();
    this.#cloud.destroy();
  }

  stateChanged(): void {
    const state = this.#hooks.state();
    this.#bytesToDark = state.kind === "dark" ? state.afterBytes : undefined;
    if (state.kind === "refusing") {
      this.#hooks.hit();
      this.end();
    }
    if (state.kind !== "slow") this.#flush();
    else this.#cancelTick ??= systemClock.after(1_000, () => this.#tick());
  }

  #fromClient(chunk: Buffer): void {
    const state = this.#hooks.state();
    if (state.kind === "answering" && state.when === "before") this.#answer(state.answer);
    else this.#pass(chunk, this.#up, this.#client, this.#cloud);
  }

  #fromCloud(chunk: Buffer): void {
    this.#hooks.tap.answered(chunk);
    const state = this.#hooks.state();
    if (state.kind === "answering") this.#answer(state.answer);
    else this.#pass(chunk, this.#down, this.#cloud, this.#client);
  }

  #answer(bytes: string): void {
    this.#hooks.hit();
    this.#client.end(bytes);
    this.#cloud.destroy();
  }

  #pass(chunk: Buffer, queue: Buffer[], from: Socket, to: Socket): void {
    if (this.#dark) {
      this.#hooks.hit(chunk.length);
      return;
    }
    if (this.#hooks.state().kind === "slow" || queue.length > 0) {
      this.#hooks.hit();
      queue.push(chunk);
      if (queue.reduce((sum, { length }) => sum + length, 0) > slowBytesMax) from.pause();
      return;
    }
    let rest = chunk;
    if (this.#bytesToDark !== undefined) {
      rest = chunk.subarray(0, this.#bytesToDark);
      this.#bytesToDark -= rest.length;
      this.#dark = this.#bytesToDark === 0;
      if (this.#dark) this.#hooks.hit(chunk.length - rest.length);
    }
    this.#write(rest, to);
  }

  #tick(): void {
    this.#cancelTick = undefined;
    for (const [queue, from, to] of this.#ways()) {
      const [first] = queue;
      if (first === undefined) continue;
      this.#write(first.subarray(0, 1), to);
      if (first.length > 1) queue[0] = first.subarray(1);
      else queue.shift();
      if (queue.length === 0) from.resume();
    }
    this.stateChanged();
  }

  #flush(): void {
    this.#cancelTick?.();
    this.#cancelTick = undefined;
    for (const [queue, from, to] of this.#ways()) {
      for (const chunk of queue.splice(0)) this.#write(chunk, to);
      from.resume();
    }
  }

  #ways(): [queue: Buffer[], from: Socket, to: Socket][] {
    return [
      [this.#up, this.#client, this.#cloud],
      [this.#down, this.#cloud, this.#client],
    ];
  }

  #write(chunk: Buffer, to: Socket): void {
    if (chunk.length === 0 || to.destroyed) return;
    if (to === this.#cloud) this.#hooks.tap.sent(chunk);
    to.write(chunk);
  }
}
