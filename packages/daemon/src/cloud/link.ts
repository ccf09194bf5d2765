import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import type { Service } from "@hl/core/service.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { LinkSettings } from "@hl/protocol/link-settings.ts";
import type { CommandChannel } from "./channel.ts";
import type { Heartbeat } from "./heartbeat.ts";
import type { CloudHttp } from "./http.ts";
import type { LinkNumbers } from "./link-numbers.ts";
import type { CloudTarget } from "./target.ts";
import type { Uplink } from "./uplink.ts";

export interface LinkOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly http: CloudHttp;
  readonly numbers: Pick<LinkNumbers, "set">;
}

export interface LinkParts {
  readonly channel: CommandChannel;
  readonly heartbeat: Heartbeat;
  readonly uplink: Uplink;
}

/** Owns the three conversations with the cloud and tells how they are. */
export class CloudLink implements Service {
  readonly name = "cloud/link";
  readonly #options: LinkOptions;
  readonly #parts: LinkParts;
  readonly #ended = Promise.withResolvers<undefined>();
  #lastContactMs: number | null = null;
  #lastError: string | undefined;
  #disconnectedSince: number;
  #clockSkewMs: number | undefined;

  constructor(options: LinkOptions, parts: LinkParts) {
    this.#options = options;
    this.#parts = parts;
    this.#disconnectedSince = options.clock.now();
  }

  get done(): Promise<void> {
    return this.#ended.promise;
  }

  get connected(): boolean {
    return this.#parts.channel.connected;
  }

  get reconnects(): number {
    return this.#parts.channel.reconnects;
  }

  get lastContactMs(): number | null {
    return this.#lastContactMs;
  }

  get lastError(): string | undefined {
    return this.#lastError;
  }

  /** How long there has been no command channel; 0 while there is one. */
  get disconnectedMs(): number {
    return this.connected ? 0 : this.#options.clock.now() - this.#disconnectedSince;
  }

  /** How far the cloud's clock is ahead of ours; undefined before it has said what time it is. */
  get clockSkewMs(): number | undefined {
    return this.#clockSkewMs;
  }

  /** What the cloud has set of the numbers of the link. */
  get settings(): LinkSettings {
    return this.#options.numbers.set;
  }

  attemptFailed(reason: string, wasConnected: boolean): void {
    if (wasConnected) this.#disconnectedSince = this.#options.clock.now();
    this.#lastError = reason;
  }

  contact(): void {
    this.#lastContactMs = this.#options.clock.wallMs();
    this.#lastError = undefined;
  }

  /** @param tookMs how long the question for the time was under way; it was read about half of that ago */
  setServerTime(serverMs: number, tookMs: number): void {
    this.#clockSkewMs = Math.round(serverMs + tookMs / 2 - this.#options.clock.wallMs());
  }

  async start(): Promise<void> {
    const { channel, heartbeat, uplink } = this.#parts;
    for (const part of [channel, heartbeat, uplink]) {
      await part.start();
      part.done.catch((error: unknown) => {
        this.#options.logger.error(
          { part: part.name, error: errorText(error) },
          "a part of the cloud link ended unexpectedly",
        );
        this.#ended.reject(error);
      });
    }
    this.done.catch(() => {});
  }

  /** Sends one status; the caller does not wait for success. */
  async sendStatus(target: CloudTarget, params: unknown, signal: AbortSignal): Promise<void> {
    const { http, logger } = this.#options;
    try {
      const { url, token } = await target.endpoint("status", signal);
      await http.call(url, "vm/status", params, token, signal);
      this.contact();
    } catch (error) {
      logger.info({ error: errorText(error) }, "the status could not be sent");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { channel, heartbeat, uplink } = this.#parts;
    await Promise.all([
      channel[Symbol.asyncDispose](),
      heartbeat[Symbol.asyncDispose](),
      uplink[Symbol.asyncDispose](),
    ]);
    this.#ended.resolve(undefined);
  }
}

/** Our token is not accepted: a fresh one may be. */
export function isUnauthenticated(error: unknown): boolean {
  return error instanceof HlError && error.type === "unauthenticated";
}
