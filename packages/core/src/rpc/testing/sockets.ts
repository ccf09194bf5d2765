import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocketServer, type WebSocket } from "ws";
import { connectWebSocket } from "../connect-websocket.ts";
import type { TransportProblem, TransportReceiver } from "../transport.ts";

/** For tests: both ends of a real connection. */
export interface Ends<T> extends Disposable {
  readonly server: T;
  readonly client: T;
}

export async function unixSockets(): Promise<Ends<Socket>> {
  const directory = mkdtempSync(join(tmpdir(), "hl-rpc-"));
  const path = join(directory, "s");
  const listener = createServer({ allowHalfOpen: true });
  listener.listen(path);
  await once(listener, "listening");
  const accepted = once(listener, "connection") as Promise<[Socket]>;
  const client = connect(path);
  const [server] = await accepted;
  return {
    server,
    client,
    [Symbol.dispose]() {
      client.destroy();
      server.destroy();
      listener.close();
      rmSync(directory, { recursive: true });
    },
  };
}

export async function webSockets(messageBytesMax = 1_000_000): Promise<Ends<WebSocket>> {
  const listener = new WebSocketServer({ host: "127.0.0.1", port: 0, maxPayload: messageBytesMax });
  await once(listener, "listening");
  const accepted = once(listener, "connection") as Promise<[WebSocket]>;
  const url = `ws://127.0.0.1:${(listener.address() as AddressInfo).port}`;
  const client = await connectWebSocket({ url, messageBytesMax, timeoutMs: 5_000 });
  const [server] = await accepted;
  return {
    server,
    client,
    [Symbol.dispose]() {
      client.terminate();
      server.terminate();
      listener.close();
    },
  };
}

/** Keeps what a transport delivers, and lets a test await it. */
export class Inbox implements TransportReceiver {
  readonly messages: string[] = [];
  readonly problems: TransportProblem[] = [];
  readonly #closed = Promise.withResolvers<string>();
  #changed = Promise.withResolvers<undefined>();

  get whenClosed(): Promise<string> {
    return this.#closed.promise;
  }

  message(text: string): void {
    this.messages.push(text);
    this.#change();
  }

  problem(problem: TransportProblem): void {
    this.problems.push(problem);
    this.#change();
  }

  closed(reason: string): void {
    this.#closed.resolve(reason);
  }

  /** Resolves when so many messages have come; fails when the connection closes first. */
  async count(messages: number): Promise<readonly string[]> {
    while (this.messages.length < messages) await this.#next();
    return this.messages;
  }

  async countProblems(problems: number): Promise<readonly TransportProblem[]> {
    while (this.problems.length < problems) await this.#next();
    return this.problems;
  }

  async #next(): Promise<void> {
    const closed = this.#closed.promise.then((reason) => Promise.reject(new Error(`closed: ${reason}`)));
    await Promise.race([this.#changed.promise, closed]);
  }

  #change(): void {
    this.#changed.resolve(undefined);
    this.#changed = Promise.withResolvers();
  }
}
