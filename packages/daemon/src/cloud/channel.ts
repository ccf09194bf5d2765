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
import { vmDrain, vmHello } from "@hl/protocol/methods/vm.ts";
import { fromRpcError } from "@hl/protocol/wire-error.ts";
import { cloudErrorIn, CloudUnreachable, retryAfterMs } from "./http.ts";
import type { Retry } from "./retry.ts";
import type { TlsOptions } from "./tls.ts";

export interface ChannelOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly retry: Retry;
  readonly limits: TransportLimits;
  readonly pingIntervalMs: number;
  readonly deadAfterMs: number;
  readonly connectTimeoutMs: number;
  /** What the configuration says about TLS. */
  readonly tls?: TlsOptions | undefined;
  readonly target: (signal: AbortSignal) => Promise<{ url: string; token: string }>;
  readonly renew: (signal: AbortSignal) => Promise<void>;
  readonly hello: () => ParamsOf<typeof vmHello>;
  /** Serves what the cloud asks. */
  readonly handler: RequestHandler;
  readonly refusals: PeerRefusals;
  readonly inFlightMax: number;
  /** Longest `Retry-After` that is obeyed. */
  readonly retryAfterMaxMs: number;
  /** Longest spread of an announced stop that is obeyed. */
  readonly drainSpreadMaxMs: number;
  readonly onConnected: (welcome: ResultOf<typeof vmHello>, tookMs: number) => void;
  /** After a loss, and after each attempt that failed. */
  readonly onDisconnected: (reason: string, wasConnected: boolean) => void;
}

/**
 * The command channel: an outbound WebSocket on which the cloud asks and we answer.
 * States: connecting → greeting (vm/hello) → connected → lost → waiting → connecting. Who was told that the cloud stops
 * comes back spread over the time that the cloud asked for; who lost it without a word, by the windows of the back-off.
 */
export class CommandChannel extends LoopService {
  override readonly name = "cloud/channel";
  readonly #options: ChannelOptions;
  #peer: Peer | undefined;
  #reconnects = -1;
  /** Set while the cloud has announced its stop on this connection. */
  #spreadMs: number | undefined;

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
    const { retry, onDisconnected } = this.#options;
    const stopped = (): boolean => signal.aborted; // A call, because it changes while we wait.
    while (!stopped()) {
      let error: unknown;
      try {
        const peer = await this.#connect(signal);
        const onAbort = (): void => peer.close("the daemon is stopping");
        signal.addEventListener("abort", onAbort, { once: true });
        if (stopped()) onAbort(); // While it connected: no event comes any more.
        error = new CloudUnreachable(`the command channel closed: ${await peer.closed}`);
        signal.removeEventListener("abort", onAbort);
      } catch (caught) {
        error = caught;
      }
      const wasConnected = this.#peer !== undefined;
      this.#peer = undefined;
      if (!stopped()) onDisconnected(errorText(error), wasConnected);
      await retry.failed(error, "the command channel", signal, wasConnected ? this.#spreadMs : undefined);
    }
  }

  async #connect(signal: AbortSignal): Promise<Peer> {
    const options = this.#options;
    const { clock, retry, connectTimeoutMs } = options;
    const { url, token } = await options.target(signal);
    const socket = await this.#openSocket(url.replace(/^http/, "ws"), token, signal);
    const transport = new WebSocketTransport({ ...options, socket });
    const { handler, refusals, inFlightMax } = options;
    const peer = new Peer({ transport, clock, handler, refusals, inFlightMax });
    this.#spreadMs = undefined;
    peer.onNotification(({ method, params }) => {
      if (method === "vm/drain") this.#drainAnnounced(params);
    });
    peer.open();
    const greetedAt = clock.now();
    try {
      const answer = await peer.request("vm/hello", options.hello(), { timeoutMs: connectTimeoutMs, signal });
      const welcome = vmHello.result.parse(answer);
      this.#peer = peer;
      this.#reconnects += 1;
      retry.succeeded();
      options.onConnected(welcome, clock.now() - greetedAt);
    } catch (error) {
      peer.close("vm/hello was not answered well");
      throw fromRpcError(error);
    }
    options.logger.info({ url, reconnects: this.reconnects }, "connected to the cloud");
    return peer;
  }

  #drainAnnounced(params: unknown): void {
    const announced = vmDrain.safeParse(params);
    if (!announced.success) return;
    const { drainSpreadMaxMs, logger } = this.#options;
    this.#spreadMs = Math.min(announced.data.spread_seconds * 1000, drainSpreadMaxMs);
    logger.info({ spread_ms: this.#spreadMs }, "the cloud is going to stop");
  }

  async #openSocket(url: string, token: string, signal: AbortSignal): Promise<WebSocket> {
    const { connectTimeoutMs, limits, renew, retryAfterMaxMs, tls } = this.#options;
    try {
      return await connectWebSocket({
        url,
        subprotocol: "hl.v1",
        headers: { authorization: `Bearer ${token}` },
        messageBytesMax: limits.messageBytesMax,
        timeoutMs: connectTimeoutMs,
        tlsVersionMin: "TLSv1.3",
        tls,
        signal,
      });
    } catch (error) {
      if (!(error instanceof UpgradeRefused))
        throw new CloudUnreachable(`${url} cannot be reached: ${errorText(error)}`);
      // Only an answer of ours is an answer: a proxy's page with the same status is the network failing.
      const answered = cloudErrorIn(error.body);
      if (error.status === 401 && answered !== undefined) await renew(signal);
      const retryAfter = retryAfterMs(error.retryAfter, retryAfterMaxMs);
      if (answered !== undefined && retryAfter === undefined) throw answered;
      throw new CloudUnreachable(`${url} answered ${error.status}: ${error.body.slice(0, 200)}`, retryAfter);
    }
  }
}
