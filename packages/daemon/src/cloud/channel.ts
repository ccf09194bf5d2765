import type { WebSocket } from "ws";
import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { connectWebSocket, UpgradeRefused } from "@hl/core/rpc/connect-websocket.ts";
import type { RequestHandler } from "@hl/core/rpc/answer.ts";
import { Peer, type PeerRefusals } from "@hl/core/rpc/peer.ts";
import type { TransportLimits } from "@hl/core/rpc/transport.ts";
import { WebSocketTransport } from "@hl/core/rpc/websocket.ts";
import { LoopService } from "@hl/core/service.ts";
import type { ParamsOf, ResultOf } from "@hl/protocol/method.ts";
import { vmHello } from "@hl/protocol/methods/vm.ts";
import { CloudUnreachable, retryAfterMs } from "./http.ts";
import type { Retry } from "./retry.ts";

export interface ChannelOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly retry: Retry;
  readonly limits: TransportLimits;
  readonly pingIntervalMs: number;
  readonly deadAfterMs: number;
  readonly connectTimeoutMs: number;
  readonly target: (signal: AbortSignal) => Promise<{ url: string; token: string }>;
  readonly renew: (signal: AbortSignal) => Promise<void>;
  readonly hello: () => ParamsOf<typeof vmHello>;
  /** Serves what the cloud asks. */
  readonly handler: RequestHandler;
  readonly refusals: PeerRefusals;
  readonly inFlightMax: number;
  readonly onConnected: (welcome: ResultOf<typeof vmHello>) => void;
  /** After a loss, and after each attempt that failed. */
  readonly onDisconnected: (reason: string, wasConnected: boolean) => void;
}

/** A channel that lived for so long was healthy: the next loss starts the back-off anew. */
const healthyMs = 60_000;

/**
 * The command channel: an outbound WebSocket on which the cloud asks and we answer.
 * States: connecting → greeting (vm/hello) → connected → lost → waiting → connecting.
 */
export class CommandChannel extends LoopService {
  override readonly name = "cloud/channel";
  readonly #options: ChannelOptions;
  #peer: Peer | undefined;
  #reconnects = -1;

  constructor(options: ChannelOptions) {
    super();
    this.#options = options;
  }

  get connected(): boolean {
    return this.#peer !== undefined;
  }

  get reconnects(): number {
    return Math.max(0, this.#reconnects);
  }

  protected override async run(signal: AbortSignal): Promise<void> {
    const { clock, retry, onDisconnected } = this.#options;
    const isAborted = (): boolean => signal.aborted;
    const stopped = (): boolean => signal.aborted; // A call, because it changes while we wait.
    while (!stopped()) {
      let error: unknown;
      let connectedAt = Number.POSITIVE_INFINITY;
      try {
        const peer = await this.#connect(signal);
        connectedAt = clock.now();
        const onAbort = (): void => peer.close("the daemon is stopping");
        signal.addEventListener("abort", onAbort, { once: true });
        if (isAborted()) onAbort(); // While it connected: no event comes any more.
        error = new CloudUnreachable(`the command channel closed: ${await peer.closed}`);
        signal.removeEventListener("abort", onAbort);
      } catch (caught) {
        error = caught;
      }
      const wasConnected = this.#peer !== undefined;
      this.#peer = undefined;
      if (!stopped()) onDisconnected(errorText(error), wasConnected);
      if (clock.now() - connectedAt > healthyMs) retry.succeeded();
      await retry.failed(error, "the command channel", signal);
    }
  }

  async #connect(signal: AbortSignal): Promise<Peer> {
    const options = this.#options;
    const { url, token } = await options.target(signal);
    const socket = await this.#openSocket(url.replace(/^http/, "ws"), token, signal);
    const transport = new WebSocketTransport({ ...options, socket });
    const { handler, refusals, inFlightMax } = options;
    const peer = new Peer({ transport, clock: options.clock, handler, refusals, inFlightMax }).open();
    let welcome: ResultOf<typeof vmHello>;
    try {
      const answered = await peer.request("vm/hello", options.hello(), { timeoutMs: options.connectTimeoutMs, signal });
      welcome = vmHello.result.parse(answered);
    } catch (error) {
      peer.close("vm/hello was not answered");
      throw error;
    }
    this.#peer = peer;
    this.#reconnects += 1;
    options.onConnected(welcome);
    options.logger.info({ url, reconnects: this.reconnects }, "connected to the cloud");
    return peer;
  }

  async #openSocket(url: string, token: string, signal: AbortSignal): Promise<WebSocket> {
    const { connectTimeoutMs, limits, renew } = this.#options;
    try {
      return await connectWebSocket({
        url,
        subprotocol: "hl.v1",
        headers: { authorization: `Bearer ${token}` },
        messageBytesMax: limits.messageBytesMax,
        timeoutMs: connectTimeoutMs,
        tlsVersionMin: "TLSv1.3",
        signal,
      });
    } catch (error) {
      if (!(error instanceof UpgradeRefused))
        throw new CloudUnreachable(`${url} cannot be reached: ${errorText(error)}`);
      if (error.status === 401) await renew(signal);
      const said = `${url} answered ${error.status}: ${error.body.slice(0, 200)}`;
      throw new CloudUnreachable(said, retryAfterMs(error.retryAfter));
    }
  }
}
