import * as z from "zod";

/** How a turn ended, in whatever protocol its answer came. */
export interface TurnOutcome {
  readonly text: string;
  readonly isError: boolean;
  /** What the agent reports as its failure. */
  readonly error?: string | undefined;
  readonly interrupted: boolean;
  readonly steps?: number | undefined;
  readonly inputTokens?: number | undefined;
  readonly outputTokens?: number | undefined;
  /** Dollars, of the agent's process until now: that is how agents count. */
  readonly costUsd?: number | undefined;
}

const optional = <Type extends z.ZodType>(type: Type): z.ZodCatch<z.ZodOptional<Type>> =>
  type.optional().catch(undefined);
const count = optional(z.number());

const usage = z.looseObject({
  ...{ input_tokens: count, output_tokens: count, cache_read_input_tokens: count, cache_creation_input_tokens: count },
  ...{ inputTokens: count, outputTokens: count, cachedReadTokens: count, cachedWriteTokens: count },
});

const ended = z.looseObject({
  text: optional(z.string()),
  result: optional(z.string()),
  is_error: optional(z.boolean()),
  error: optional(z.looseObject({ kind: optional(z.string()), message: optional(z.string()) })),
  ...{ num_turns: count, cost_usd: count, usage: optional(usage) },
});

const rpcAnswer = z.union([
  z.looseObject({ jsonrpc: z.literal("2.0"), error: z.looseObject({ message: z.string() }) }),
  z.looseObject({ jsonrpc: z.literal("2.0"), result: z.unknown() }),
]);

/** Reads what `claude/relay` answered: the daemon's own shape, an answer of JSON-RPC, or whatever an agent says. */
export function turnOutcomeOf(response: unknown): TurnOutcome {
  if (typeof response === "string") return { text: response, isError: false, interrupted: false };
  const answer = rpcAnswer.safeParse(response).data;
  if (answer !== undefined && "error" in answer) {
    const { message } = answer.error as { message: string };
    return { text: "", isError: true, error: message, interrupted: false };
  }
  if (answer !== undefined) return turnOutcomeOf(answer["result"]);
  const said = ended.safeParse(response).data;
  if (said === undefined || Object.values(said).every((value) => value === undefined)) {
    return {
      text: response === undefined || response === null ? "" : JSON.stringify(response),
      isError: false,
      interrupted: false,
    };
  }
  const isError = said.is_error ?? false;
  const text = said.text ?? said.result ?? "";
  return {
    text,
    isError,
    error: isError ? (said.error?.message ?? text) : undefined,
    interrupted: said.error?.kind === "interrupted",
    steps: said.num_turns,
    costUsd: said.cost_usd,
    ...(said.usage === undefined ? {} : tokensOf(said.usage)),
  };
}

function tokensOf(used: z.output<typeof usage>): Pick<TurnOutcome, "inputTokens" | "outputTokens"> {
  const input = sum(
    used.input_tokens ?? used.inputTokens,
    used.cache_read_input_tokens ?? used.cachedReadTokens,
    used.cache_creation_input_tokens ?? used.cachedWriteTokens,
  );
  return { inputTokens: input, outputTokens: used.output_tokens ?? used.outputTokens };
}

function sum(...counts: readonly (number | undefined)[]): number | undefined {
  const known = counts.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : known.reduce((total, value) => total + value, 0);
}
