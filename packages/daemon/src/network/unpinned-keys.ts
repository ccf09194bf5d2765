import type { Logger } from "@hl/core/logger.ts";

/** Different keys that are told; a server that makes a new one for every connection fills no log. */
const toldMax = 32;

/** With `pin_report_only`: each key that is not pinned is told once, although nothing is refused for it. */
export class UnpinnedKeys {
  readonly #logger: Logger;
  readonly #told = new Set<string>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** @param problem says which host and which key */
  report(problem: string): void {
    if (this.#told.has(problem) || this.#told.size >= toldMax) return;
    this.#told.add(problem);
    const last = this.#told.size === toldMax ? "; no more of these are told until the next start" : "";
    this.#logger.warn({ problem }, `the server's key is not pinned, and pin_report_only lets the connection be${last}`);
  }
}
