import type { Clock } from "@hl/core/clock.ts";
import { joined } from "@hl/core/joined.ts";
import type { AgentFacts } from "./agent-facts.ts";
import type { AgentProcess } from "./agent-process.ts";
import { Liveness, type LivenessSettings } from "./liveness.ts";
import type { OnSupervision } from "./supervision-event.ts";
import { parentOf, treeMemoryBytes } from "../runner/process-tree.ts";

export interface WatchSettings extends LivenessSettings {
  /** More than this is told, once each time that it is passed. */
  readonly memoryAlertBytes: number;
}

export interface AgentWatchOptions {
  readonly facts: AgentFacts;
  readonly clock: Clock;
  readonly watch?: WatchSettings | undefined;
  readonly onSupervision: OnSupervision;
}

/** Looks after a process that is ready, once an interval: whether it answers, and how much memory its tree takes. */
export class AgentWatch {
  readonly #options: AgentWatchOptions;
  #liveness: Liveness | undefined;

  constructor(options: AgentWatchOptions) {
    this.#options = options;
  }

  begin(process: AgentProcess): void {
    const { facts, clock, watch } = this.#options;
    this.end();
    facts.isStuck = false;
    if (watch === undefined) return;
    this.#liveness = new Liveness(
      joined(watch, {
        clock,
        ping: (timeoutMs: number) => process.ping(timeoutMs),
        onAlive: () => this.#measure(watch.memoryAlertBytes),
        onStuck: (unansweredMs: number) => this.#onStuck(process, unansweredMs),
      }),
    );
    this.#liveness.start();
  }

  end(): void {
    this.#liveness?.[Symbol.dispose]();
    this.#liveness = undefined;
    this.#options.facts.memory = undefined;
  }

  /** It takes no interrupt either, so its tree is ended. */
  #onStuck(process: AgentProcess, unansweredMs: number): void {
    const { facts, onSupervision } = this.#options;
    facts.isStuck = true;
    onSupervision(facts, { type: "agent.stuck", unanswered_ms: Math.round(unansweredMs) });
    process.fail("stuck");
  }

  #measure(alertBytes: number): void {
    const { facts, onSupervision } = this.#options;
    // The shim's own few hundred kilobytes are counted along: descendants whose parent has ended are its children.
    const bytes = treeMemoryBytes(parentOf(facts.pid) ?? facts.pid);
    if (bytes === undefined) return;
    const isHigh = bytes > alertBytes;
    const wasHigh = facts.memory?.isHigh === true;
    facts.memory = { bytes, isHigh };
    if (isHigh === wasHigh) return;
    const figures = { memory_mb: mebibytes(bytes), alert_mb: mebibytes(alertBytes) };
    onSupervision(facts, { type: isHigh ? "agent.memory_high" : "agent.memory_normal", ...figures });
  }
}

function mebibytes(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
