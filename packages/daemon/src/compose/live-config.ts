import { diffConfig } from "@hl/config/diff.ts";
import type { Config } from "@hl/config/load.ts";

/** What is taken over while the daemon runs, as a pointer into daemon.json. */
const livePart = "/claude_integration/approvals";

export interface Reloaded {
  /** Pointers of what holds from now on. */
  readonly applied: readonly string[];
  /** Pointers of what is on the disk and holds at the next start. */
  readonly waiting: readonly string[];
}

/** The configuration that is in force: that of the start, and of a newer one the part that a running daemon takes over. */
export class LiveConfig {
  #inForce: Config;

  constructor(atStart: Config) {
    this.#inForce = atStart;
  }

  get inForce(): Config {
    return this.#inForce;
  }

  get approvals(): Config["daemon"]["claude_integration"]["approvals"] {
    return this.#inForce.daemon.claude_integration.approvals;
  }

  take(next: Config): Reloaded {
    const before = this.#inForce;
    const changed = diffConfig(before, next).map(({ tree, pointer }) => ({ isLive: isLive(tree, pointer), pointer }));
    const { approvals } = next.daemon.claude_integration;
    const sources = {
      ...Object.fromEntries(Object.entries(before.sources.daemon).filter(([pointer]) => !isLive("daemon", pointer))),
      ...Object.fromEntries(Object.entries(next.sources.daemon).filter(([pointer]) => isLive("daemon", pointer))),
    };
    this.#inForce = {
      ...before,
      daemon: { ...before.daemon, claude_integration: { ...before.daemon.claude_integration, approvals } },
      sources: { ...before.sources, daemon: sources },
    };
    const pointers = (live: boolean): string[] =>
      changed.filter((change) => change.isLive === live).map(({ pointer }) => pointer);
    return { applied: pointers(true), waiting: pointers(false) };
  }
}

function isLive(tree: string, pointer: string): boolean {
  return tree === "daemon" && (pointer === livePart || pointer.startsWith(`${livePart}/`));
}
