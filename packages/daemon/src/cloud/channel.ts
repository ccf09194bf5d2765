import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import type { RequestHandler } from "@hl/core/rpc/answer.ts";
import { Peer, type PeerRefusals } from "@hl/core/rpc/peer.ts";
import { LoopService } from "@hl/core/service.ts";
import { linkSettingsSchema, type LinkSettings } from "@hl/protocol/link-settings.ts";
import type { ParamsOf, ResultOf } from "@hl/protocol/method.ts";
import { vmDrain, vmHello } from "@hl/protocol/methods/vm.ts";
import { fromRpcError } from "@hl/protocol/wire-error.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { ChannelPaths, OpenedPath } from "./channel-paths.ts";
import { CloudUnreachable } from "./http.ts";
import type { Retry } from "./retry.ts";

export interface ChannelOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly retry: Retry;
  readonly paths: ChannelPaths;
  /** For the answer to the hello. */
  readonly connectTimeoutMs: number;
  readonly hello: () => ParamsOf<typeof vmHello>;
  /** Serves what the cloud asks. */
  readonly handler: RequestHandler;
  readonly refusals: PeerRefusals;
  readonly inFlightMax: number;
  /** Longest spread of an announced stop that is obeyed. */
  readonly drainSpreadMaxMs: number;
  readonly onConnected: (welcome: ResultOf<typeof vmHello>, tookMs: number) => void;
  /** The cloud sets numbers of the link while it is connected. */
  readonly onSettings?: ((settings: LinkSettings) => void) | undefined;
  /** After a loss, and after each attempt that failed. */
  readonly onDisconnected: (reason: string, wasConnected: boolean) => void;
}

/**
 * The command channel: an outbound connection on which the cloud asks and we answer (channel-paths.ts says over what).
 * States: connecting → greeting (vm/hello) → connected → lost → waiting → connecting. Who was told that the cloud stops
 * comes back spread over the time that the cloud asked for; who lost it without a word, by the windows of the back-off.
 */
export class CommandChannel extends LoopService {
  override readonly name = "cloud/channel";
  readonly #options: ChannelOptions;
  #peer: Peer | undefined;
  #opened: OpenedPath | undefined;
  #reconnects = -1;
  /** Set while the cloud has announced its stop on this connection. */
  #spreadMs: number | undefined;
  /** A loss until then is the end of a sleep. */
  #atOnceUntil = Number.NEGATIVE_INFINITY;

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

  /** The machine may have slept: a channel that does not answer within so long is opened anew, and a wait is over. */
  resumed(withinMs: number): void {
    if (this.#opened === undefined) {
      this.#options.retry.wake();
      return;
    }
    // Lost because of the sleep it comes back at once: nobody else has lost it at this moment.
    this.#atOnceUntil = this.#options.clock.now() + withinMs + 1_000;
    this.#opened.probe(withinMs);
  }

  protected override async run(signal: AbortSignal): Promise<void> {
    const { retry, onDisconnected } = this.#options;
    const stopped = (): boolean => signal.aborted; // A call, because it changes while we wait.
    while (!stopped()) {
      let error: unknown;
      try {
        const { peer, opened } = await this.#connect(signal);
        const onAbort = (): void => peer.close("the daemon is stopping");
        signal.addEventListener("abort", onAbort, { once: true });
        if (stopped()) onAbort(); // While it connected: no event comes any more.
        const reason = await peer.closed;
        signal.removeEventListener("abort", onAbort);
        const cause = opened.cause();
        error =
          cause instanceof HlError && cause.type !== "session_ended"
            ? cause
            : new CloudUnreachable(`the command channel closed: ${reason}`);
      } catch (caught) {
        error = caught;
      }
      const wasConnected = this.#peer !== undefined;
      this.#peer = undefined;
      this.#opened = undefined;
      if (!stopped()) onDisconnected(errorText(error), wasConnected);
      await retry.failed(error, "the command channel", signal, wasConnected ? this.#announcedMs() : undefined);
    }
  }

  /** How to come back where that was said or is clear; undefined after a loss without a word. */
  #announcedMs(): number | undefined {
    return this.#options.clock.now() <= this.#atOnceUntil ? 0 : this.#spreadMs;
  }

  async #connect(signal: AbortSignal): Promise<{ readonly peer: Peer; readonly opened: OpenedPath }> {
    const { clock, paths, handler, refusals, inFlightMax, retry, logger, onConnected } = this.#options;
    const opened = await paths.open(signal);
    const peer = new Peer({ transport: opened.transport, clock, handler, refusals, inFlightMax });
    this.#spreadMs = undefined;
    this.#atOnceUntil = Number.NEGATIVE_INFINITY;
    peer.onNotification(({ method, params }) => {
      if (method === "vm/drain") this.#drainAnnounced(params);
      if (method === "vm/settings") {
        const settings = linkSettingsSchema.safeParse(params);
        if (settings.success) this.#options.onSettings?.(settings.data);
      }
    });
    peer.open();
    const greetedAt = clock.now();
    const welcome = await this.#greet(peer, opened, signal);
    paths.greeted(opened);
    this.#peer = peer;
    this.#opened = opened;
    this.#reconnects += 1;
    retry.succeeded();
    onConnected(welcome, clock.now() - greetedAt);
    logger.info({ path: opened.path, reconnects: this.reconnects }, "connected to the cloud");
    if (opened.path === "long-poll") this.#watchForWebSocket(peer, signal);
    return { peer, opened };
  }

  async #greet(peer: Peer, opened: OpenedPath, signal: AbortSignal): Promise<ResultOf<typeof vmHello>> {
    const { hello, connectTimeoutMs: timeoutMs, paths } = this.#options;
    try {
      return vmHello.result.parse(await peer.request("vm/hello", hello(), { timeoutMs, signal }));
    } catch (error) {
      peer.close("vm/hello was not answered well");
      const answered = fromRpcError(opened.cause() ?? error);
      if (!(answered instanceof HlError) && !signal.aborted) paths.notGreeted(opened);
      throw answered;
    }
  }

  /** Polls cost more and tell later: back to a WebSocket as soon as one opens. */
  #watchForWebSocket(peer: Peer, signal: AbortSignal): void {
    const ended = new AbortController();
    const end = (): void => ended.abort();
    signal.addEventListener("abort", end, { once: true });
    void peer.closed.then(() => {
      signal.removeEventListener("abort", end);
      end();
    });
    this.#options.paths.watch(ended.signal, () => {
      this.#spreadMs = 0;
      peer.close("a WebSocket can be opened again");
    });
  }

  #drainAnnounced(params: unknown): void {
    const announced = vmDrain.safeParse(params);
    if (!announced.success) return;
    const { drainSpreadMaxMs, logger } = this.#options;
    this.#spreadMs = Math.min(announced.data.spread_seconds * 1000, drainSpreadMaxMs);
    logger.info({ spread_ms: this.#spreadMs }, "the cloud is going to stop");
  }
}
