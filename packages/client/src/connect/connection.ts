import type { Clock } from "@hl/core/clock.ts";
import { connectWebSocket } from "@hl/core/rpc/connect-websocket.ts";
import { NdjsonTransport } from "@hl/core/rpc/ndjson.ts";
import { Peer, type RequestOptions } from "@hl/core/rpc/peer.ts";
import { defaultTransportLimits, type Transport, type TransportLimits } from "@hl/core/rpc/transport.ts";
import { WebSocketTransport } from "@hl/core/rpc/websocket.ts";
import type { InputOf, ResultOf } from "@hl/protocol/method.ts";
import { daemonMethods, type DaemonMethods } from "@hl/protocol/methods.ts";
import { streamClosedMethod } from "@hl/protocol/stream-closed.ts";
import { fromRpcError } from "@hl/protocol/wire-error.ts";
import { connect as connectSocket, type Socket } from "node:net";
import { ClientFailure } from "../failure.ts";
import { connectFailure } from "./refusal.ts";
import type { Target } from "./target.ts";
import type { ClientTls } from "./tls-files.ts";
import { readToken } from "./token.ts";

export interface ConnectDeps {
  readonly clock: Clock;
  /** Ends waiting, for the connection as well as for answers. */
  readonly signal: AbortSignal;
  /** Seconds that the user gave; undefined leaves every method its own limit. */
  readonly timeoutMs: number | undefined;
  /** For wss: authorities, and the certificate that is shown. */
  readonly tls?: ClientTls | undefined;
}

const connectMsDefault = 10_000;
/** The daemon keeps its own limit; ours is a little longer, so that its better explanation arrives first. */
const answerMarginMs = 5_000;

const limits: TransportLimits = {
  ...defaultTransportLimits,
  messageBytesMax: 32 * 1024 * 1024, // One page of logs may be several times its size as JSON.
};

/** An open and authenticated connection to a daemon, directly or through the cloud; the caller owns and closes it. */
export class Connection implements Disposable {
  readonly peer: Peer;
  readonly #deps: ConnectDeps;
  /** Cuts instead of closing in order where the user wants to leave at once. */
  readonly #destroy: () => unknown;

  constructor(peer: Peer, deps: ConnectDeps, destroy: () => unknown) {
    this.peer = peer;
    this.#deps = deps;
    this.#destroy = destroy;
  }

  /** Asks and checks the answer against the contract. Throws the table's errors. */
  async call<Name extends keyof DaemonMethods>(
    method: Name,
    params: InputOf<DaemonMethods[Name]>,
    options: Omit<RequestOptions, "timeoutMs"> = {},
  ): Promise<ResultOf<DaemonMethods[Name]>> {
    const definition = daemonMethods[method];
    const answer = await this.ask(method, params, { ...options, timeoutMs: this.#answerMs(definition.timeoutMs) });
    const parsed = definition.result.safeParse(answer);
    if (parsed.success) return parsed.data as ResultOf<DaemonMethods[Name]>;
    const [issue] = parsed.error.issues;
    const where = issue === undefined ? "" : `: ${issue.path.join(".")}: ${issue.message}`;
    const help = "Their versions may be too far apart: compare `hl-client --version` with `hl-client rpc system/info`.";
    throw new ClientFailure("protocol", `the answer to ${method} is not what this hl-client knows${where}`, help);
  }

  /** Asks anything; what comes back is not checked. */
  async ask(method: string, params: unknown, options: RequestOptions = {}): Promise<unknown> {
    const timeoutMs = this.#deps.timeoutMs ?? options.timeoutMs;
    const onNotification = options.onNotification && this.#unlessClosed(options.onNotification);
    try {
      const own = { signal: this.#deps.signal, ...options, timeoutMs, onNotification };
      return await this.peer.request(method, params, own);
    } catch (error) {
      throw fromRpcError(error);
    }
  }

  [Symbol.dispose](): void {
    if (!this.peer.isClosed) this.peer.close("hl-client is done");
    this.#destroy();
  }

  /** A stream that the cloud has cut is as good as a lost connection: whoever follows it connects again and goes on. */
  #unlessClosed(
    listener: NonNullable<RequestOptions["onNotification"]>,
  ): NonNullable<RequestOptions["onNotification"]> {
    return (method, params) => {
      if (method !== streamClosedMethod) listener(method, params);
      else
        this.peer.close(
          `the stream was cut: ${(params as { message?: string } | undefined)?.message ?? "no reason given"}`,
        );
    };
  }

  #answerMs(ownMs: number | null): number | undefined {
    return ownMs === null ? undefined : ownMs + answerMarginMs;
  }
}

/** Throws a ClientFailure or one of the table's errors: what was tried, why it failed, what to do. */
export async function openConnection(target: Target, deps: ConnectDeps): Promise<Connection> {
  if (target.kind === "websocket") return openWebSocket(target, deps);
  const socket = await openSocket(target, deps);
  const connection = connectionOver(
    new NdjsonTransport(socket, deps.clock, limits),
    deps,
    () => deps.signal.aborted && socket.destroy(),
  );
  try {
    // Only now: where there is no daemon its missing token is not the problem.
    await connection.call("auth/login", { token: readToken(target.tokenFile, "daemon") });
    return connection;
  } catch (error) {
    connection[Symbol.dispose]();
    throw error;
  }
}

async function openWebSocket(target: Extract<Target, { kind: "websocket" }>, deps: ConnectDeps): Promise<Connection> {
  const { clock, signal, tls } = deps;
  // A certificate is proof enough to a daemon; a token that was named goes along.
  const needsToken = target.through === "cloud" || tls?.cert === undefined || target.tokenNamed === true;
  const token = needsToken ? readToken(target.tokenFile, target.through) : undefined;
  try {
    const socket = await connectWebSocket({
      url: target.url,
      subprotocol: target.through === "cloud" ? "hl.v1" : undefined,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      tls,
      messageBytesMax: limits.messageBytesMax,
      timeoutMs: deps.timeoutMs ?? connectMsDefault,
      signal,
    });
    const transport = new WebSocketTransport({ socket, clock, limits, pingIntervalMs: 20_000, deadAfterMs: 45_000 });
    return connectionOver(transport, deps, () => signal.aborted && socket.terminate());
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw connectFailure(target, error);
  }
}

function connectionOver(transport: Transport, deps: ConnectDeps, destroy: () => unknown): Connection {
  return new Connection(new Peer({ transport, clock: deps.clock }).open(), deps, destroy);
}

function openSocket(target: Extract<Target, { kind: "socket" }>, deps: ConnectDeps): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const { signal, clock, timeoutMs = connectMsDefault } = deps;
  if (signal.aborted) return Promise.reject(signal.reason as Error);
  const socket = connectSocket(target.path);
  const give = (error: unknown): void => {
    socket.destroy();
    reject(error);
  };
  const onAbort = (): void => give(signal.reason);
  const onError = (error: Error): void => give(connectFailure(target, error));
  const cancel = clock.after(timeoutMs, () =>
    give(connectFailure(target, new Error(`no answer within ${timeoutMs} ms`))),
  );
  const settled = (): void => {
    cancel();
    signal.removeEventListener("abort", onAbort);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  socket.once("error", onError);
  socket.once("connect", () => {
    settled();
    socket.off("error", onError);
    resolve(socket);
  });
  socket.once("close", settled);
  return promise;
}
