import type { Logger } from "@hl/core/logger.ts";
import { linkSettingNames, withinBounds, type LinkSettingName, type LinkSettings } from "@hl/protocol/link-settings.ts";

/**
 * The numbers of the link as they hold now: what the cloud has set, within its bounds, else what is configured. They hold over a
 * loss of the connection, because it is then that they matter, until the cloud says others; a new process begins with its own.
 * Everybody reads a number anew when he needs it, and what is configured may change too.
 */
export class LinkNumbers {
  readonly #configured: Readonly<Record<LinkSettingName, number>>;
  readonly #logger: Logger;
  #set: LinkSettings = {};

  constructor(configured: Readonly<Record<LinkSettingName, number>>, logger: Logger) {
    this.#configured = configured;
    this.#logger = logger;
  }

  /** In the setting's own unit. */
  value(name: LinkSettingName): number {
    return this.#set[name] ?? this.#configured[name];
  }

  /** For those in seconds. */
  ms(name: LinkSettingName): number {
    return this.value(name) * 1000;
  }

  /** What holds because the cloud has set it. */
  get set(): LinkSettings {
    return this.#set;
  }

  /** What the cloud sets takes the place of all that it has set before. */
  take(told: LinkSettings): void {
    const before = JSON.stringify(this.#set);
    const taken: Partial<Record<LinkSettingName, number>> = {};
    for (const name of linkSettingNames) {
      const value = told[name];
      if (value !== undefined) taken[name] = withinBounds(name, value);
    }
    this.#set = taken;
    if (this.value("dead_after") <= this.value("ping_interval")) {
      // A channel would be given up before it was asked whether it lives.
      delete taken.dead_after;
      delete taken.ping_interval;
    }
    if (JSON.stringify(taken) !== before)
      this.#logger.info({ settings: taken }, "the cloud has set numbers of the link");
  }
}
