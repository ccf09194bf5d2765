import * as z from "zod";
import type { ParamsOf } from "@hl/protocol/method.ts";
import type { claudeStart } from "@hl/protocol/methods/claude-start.ts";

export type StartParams = ParamsOf<typeof claudeStart>;

const launch = z.object({
  params: z.object({
    config_overrides: z
      .object({
        model: z.string().optional(),
        permission_mode: z.string().optional(),
        max_turns: z.int().optional(),
      })
      .optional(),
    environment: z.record(z.string(), z.string()).optional(),
    args: z.array(z.string()).optional(),
    resume: z.string().optional(),
  }),
  /** The id that we chose for its session; an agent that has named its own has another. */
  sessionId: z.string(),
  /** Variables of the caller's that are not in the record, because they are secret. */
  secretsLeftOut: z.array(z.string()).default([]),
});

/** What a start was asked for, as far as a further process of the agent needs it. */
export type Launch = z.output<typeof launch>;

export function launchOf(params: StartParams, sessionId: string): Launch {
  return { params: launch.shape.params.parse(params), sessionId, secretsLeftOut: [] };
}

/** As it is written into the agent's record: secrets are kept in memory only (X4). @param secret names of secret variables */
export function launchText({ params, sessionId }: Launch, secret: readonly string[]): string {
  const names = new Set(secret);
  const kept = Object.entries(params.environment ?? {}).filter(([name]) => !names.has(name));
  const secretsLeftOut = Object.keys(params.environment ?? {}).filter((name) => names.has(name));
  return JSON.stringify({
    params: { ...params, environment: Object.fromEntries(kept) },
    sessionId,
    secretsLeftOut,
  } satisfies Launch);
}

/** Undefined where it cannot be read: such an agent is not started again. */
export function launchOfText(text: string | undefined): Launch | undefined {
  if (text === undefined) return undefined;
  try {
    return launch.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
