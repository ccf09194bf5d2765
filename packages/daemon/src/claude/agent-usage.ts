import type { AgentUsage } from "@hl/protocol/methods/claude-list.ts";
import * as z from "zod";
import type { AgentEvent, RelayResult } from "./agent.ts";

/** What one turn has used. */
export type TurnUsage = Omit<AgentUsage, "turns" | "errors">;

export const noUsage: AgentUsage = {
  ...{ turns: 0, errors: 0, tool_calls: 0, input_tokens: 0, output_tokens: 0 },
  ...{ cache_read_tokens: 0, cache_creation_tokens: 0, cost_usd: 0 },
};

/** The names of Claude Code and of ACP. Lenient: a number that is missing or is none counts as nothing. */
const amount = z.number().nonnegative().optional().catch(undefined);
const saidUsage = z
  .object({
    ...{
      input_tokens: amount,
      output_tokens: amount,
      cache_read_input_tokens: amount,
      cache_creation_input_tokens: amount,
    },
    ...{ inputTokens: amount, outputTokens: amount, cachedReadTokens: amount, cachedWriteTokens: amount },
  })
  .catch({});

/**
 * Counts what an agent uses. What `saved` answers belongs into the record that says the turn is over: then a crash counts no turn twice
 * and none not at all, since a turn whose end is not recorded is read in the log again.
 */
export class UsageMeter {
  #ended: AgentUsage;
  /** Of the turn in flight. */
  #toolCalls = 0;
  /** The agent tells the sum of all turns of its session; undefined where what it was before is not known. */
  #costSeen: number | undefined;
  #lastTurn: TurnUsage = noUsage;

  constructor(saved: Readonly<Record<string, number>> = {}) {
    this.#ended = usageOf(saved);
    this.#costSeen = saved["cost_unknown"] === 1 ? undefined : (saved["cost_seen_usd"] ?? 0);
  }

  /** With the tool calls of the turn in flight. */
  get total(): AgentUsage {
    return { ...this.#ended, tool_calls: this.#ended.tool_calls + this.#toolCalls };
  }

  get lastTurn(): TurnUsage {
    return this.#lastTurn;
  }

  get saved(): Readonly<Record<string, number>> {
    return { ...this.#ended, ...savedCost(this.#costSeen) };
  }

  onEvent(event: AgentEvent): void {
    if (event.type === "agent.tool_call") this.#toolCalls += 1;
    if (event.type !== "agent.turn_completed") return;
    const { result, shared } = event;
    this.#endTurn(shared === true ? { ...result, usage: undefined, cost_usd: undefined } : result);
  }

  #endTurn({ usage, cost_usd: cost = this.#costSeen, is_error: isError }: RelayResult): void {
    const before = this.#costSeen;
    const said = saidUsage.parse(usage ?? {});
    this.#lastTurn = {
      tool_calls: this.#toolCalls,
      input_tokens: said.input_tokens ?? said.inputTokens ?? 0,
      output_tokens: said.output_tokens ?? said.outputTokens ?? 0,
      cache_read_tokens: said.cache_read_input_tokens ?? said.cachedReadTokens ?? 0,
      cache_creation_tokens: said.cache_creation_input_tokens ?? said.cachedWriteTokens ?? 0,
      cost_usd: turnCost(before, cost),
    };
    this.#costSeen = cost;
    this.#toolCalls = 0;
    this.#ended = sumOf([this.#ended, { ...this.#lastTurn, turns: 1, errors: isError ? 1 : 0 }]);
  }
}

/** What a meter of an agent begins with that goes on with a session of which so much is known. */
export function savedCost(costSeen: number | undefined): Readonly<Record<string, number>> {
  return costSeen === undefined ? { cost_unknown: 1 } : { cost_seen_usd: costSeen };
}

/** Less than before: the session has begun to count anew. */
function turnCost(before: number | undefined, now: number | undefined): number {
  if (before === undefined || now === undefined) return 0;
  return now >= before ? now - before : now;
}

export function usageOf(saved: Readonly<Record<string, number>>): AgentUsage {
  return sumOf([noUsage, saved]);
}

/** Of the figures that are known; others are left out. */
export function sumOf(usages: readonly Readonly<Record<string, number>>[]): AgentUsage {
  const names = Object.keys(noUsage) as (keyof AgentUsage)[];
  const sums = names.map((name) => [name, usages.reduce((sum, usage) => sum + (usage[name] ?? 0), 0)]);
  return Object.fromEntries(sums) as AgentUsage;
}
