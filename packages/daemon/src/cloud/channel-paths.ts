import { randomUUID } from "node:crypto";
import type { WebSocket } from "ws";
import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { connectWebSocket, UpgradeRefused } from "@hl/core/rpc/connect-websocket.ts";
import type { Transport, TransportLimits } from "@hl/core/rpc/transport.ts";
import { WebSocketTransport } from "@hl/core/rpc/websocket.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { ConnectionFailed, type Connect } from "../network/outbound.ts";
import { lateTlsFailureText } from "../network/tls-failure.ts";
import { cloudErrorIn, CloudUnreachable, type CloudHttp } from "./http.ts";
import { PollTransport, type Exchange } from "./poll-transport.ts";
import { retryAfterMs } from "./retry-after.ts";

/** Numbers are read when they are needed: the cloud sets some. */
export interface ChannelPathsOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly http: CloudHttp;
  readonly limits: TransportLimits;
  readonly pingIntervalMs: number;
  readonly deadAfterMs: number;
  readonly connectTimeoutMs: number;
  /** A connection that is judged and secured as the configuration says. */
  readonly connect: Connect;
  readonly target: (signal: AbortSignal) => Promise<{ url: string; token: string }>;
  readonly renew: (signal: AbortSignal) => Promise<void>;
  /** Longest `Retry-After` that is obeyed. */
  readonly retryAfterMaxMs: number;
  /** Called by the timer of the dead-peer test. */
  readonly onTick?: (() => void) | undefined;
  /** Upgrades that have to fail in a row before polls are used. */
  readonly longPollAfter: number;
  readonly longPollWaitMs: number;
  /** Between attempts at a WebSocket while polls are used. */
  readonly webSocketRetryMs: number;
}

export interface OpenedPath {
  readonly path: "websocket" | "long-poll";
  readonly transport: Transport;
  /** The machine may have slept: an end that does not answer within so long is given up. */
  readonly probe: (withinMs: number) => void;
  /** Why it ended, where more is known than the text that its peer was told. */
  readonly cause: () => unknown;
}

const bodyBytesMax = 1_048_576;

/**
 * How the command channel reaches the cloud: by WebSocket, and where something on the way refuses those, by long polls. One path at
 * a time takes requests: a path is left before the other says hello.
 * States: websocket → (so many upgrades failed in a row) → long-poll → (an upgrade worked, or polls fail too) → websocket.
 */
export class ChannelPaths {
  readonly #options: ChannelPathsOptions;
  #failedUpgrades = 0;
  /** Opened while polls were used; the next connection takes it. */
  #ready: WebSocket | undefined;

  constructor(options: ChannelPathsOptions) {
    this.#options = options;
  }

  async open(signal: AbortSignal): Promise<OpenedPath> {
    const ready = this.#ready;
    this.#ready = undefined;
    if (ready !== undefined && ready.readyState === ready.OPEN) return this.#overWebSocket(ready);
    if (this.#failedUpgrades >= this.#options.longPollAfter) return this.#overPolls();
    return this.#overWebSocket(await this.#upgrade(signal));
  }

  greeted({ path }: OpenedPath): void {
    if (path === "websocket") this.#failedUpgrades = 0;
  }

  /** A path was open, and the hello on it was not answered. */
  notGreeted({ path }: OpenedPath): void {
    if (path === "websocket") this.#failedUpgrades += 1;
    // The next attempt is a WebSocket again, and the one behind it polls: whichever comes through first.
    else this.#failedUpgrades = Math.max(0, this.#options.longPollAfter - 1);
  }

  /** While polls are used: tries a WebSocket now and then, and calls back once when one is open. */
  watch(signal: AbortSignal, onWebSocket: () => void): void {
    const { clock, random, webSocketRetryMs } = this.#options;
    const cancel = clock.after(webSocketRetryMs * (0.9 + random() * 0.2), () => {
      signal.removeEventListener("abort", cancel);
      this.#upgrade(signal).then(
        (socket) => {
          if (signal.aborted) socket.terminate();
          else {
            this.#ready = socket;
            onWebSocket();
          }
        },
        () => {
          if (!signal.aborted) this.watch(signal, onWebSocket);
        },
      );
    });
    signal.addEventListener("abort", cancel, { once: true });
  }

  #overWebSocket(socket: WebSocket): OpenedPath {
    const options = this.#options;
    const transport = new WebSocketTransport({
      socket,
      clock: options.clock,
      limits: options.limits,
      onTick: options.onTick,
      get pingIntervalMs() {
        return options.pingIntervalMs;
      },
      get deadAfterMs() {
        return options.deadAfterMs;
      },
    });
    return { path: "websocket", transport, probe: (ms) => transport.probe(ms), cause: () => undefined };
  }

  #overPolls(): OpenedPath {
    const { clock, limits, longPollWaitMs } = this.#options;
    const exchange = this.#exchangeOf(randomUUID());
    const waitSeconds = longPollWaitMs / 1000;
    const transport = new PollTransport({ exchange, clock, limits, waitSeconds, bodyBytesMax });
    // The poll that was under way through a sleep is lost; a new session is as cheap as finding that out.
    const probe = (): void => transport.close("the machine may have slept");
    return { path: "long-poll", transport, probe, cause: () => transport.cause };
  }

  #exchangeOf(session: string): Exchange {
    const { http, target, renew } = this.#options;
    return async (method, waitSeconds, body, signal) => {
      const once = async (): Promise<readonly string[]> => {
        const { url, token } = await target(signal);
        const address = new URL(url);
        address.searchParams.set("session", session);
        if (waitSeconds > 0) address.searchParams.set("wait", String(waitSeconds));
        return http.exchange(method, address.href, body, token, signal);
      };
      try {
        return await once();
      } catch (error) {
        if (!(error instanceof HlError) || error.type !== "unauthenticated") throw error;
        await renew(signal);
        return once();
      }
    };
  }

  async #upgrade(signal: AbortSignal): Promise<WebSocket> {
    const { connect, connectTimeoutMs, limits, renew, retryAfterMaxMs } = this.#options;
    const { url: httpUrl, token } = await this.#options.target(signal);
    const url = httpUrl.replace(/^http/, "ws");
    try {
      return await connectWebSocket({
        url,
        subprotocol: "hl.v1",
        headers: { authorization: `Bearer ${token}` },
        messageBytesMax: limits.messageBytesMax,
        timeoutMs: connectTimeoutMs,
        connection: await connect(new URL(url), signal),
        signal,
      });
    } catch (error) {
      if (!(error instanceof UpgradeRefused)) {
        // Without a connection, or with one that is not ours to have, nothing is known about WebSockets.
        const refused = lateTlsFailureText(error, new URL(url).host);
        const isAnUpgrade = refused === undefined && !(error instanceof ConnectionFailed);
        if (!signal.aborted && isAnUpgrade) this.#failedUpgrades += 1;
        throw new CloudUnreachable(`${url} cannot be reached: ${refused ?? errorText(error)}`);
      }
      // Only an answer of ours is an answer: a proxy's page with the same status is the network failing.
      const answered = cloudErrorIn(error.body);
      if (answered === undefined) this.#failedUpgrades += 1;
      if (error.status === 401 && answered !== undefined) await renew(signal);
      const retryAfter = retryAfterMs(error, retryAfterMaxMs, this.#options.clock.wallMs());
      if (answered !== undefined && retryAfter === undefined) throw answered;
      throw new CloudUnreachable(`${url} answered ${error.status}: ${error.body.slice(0, 200)}`, retryAfter);
    }
  }
}
