import type { Approval } from "@hl/protocol/methods/approval-list.ts";
import * as z from "zod";

/** A question of the agent that one key can answer: its input, as Claude Code's AskUserQuestion has it. */
const oneQuestion = z.object({
  questions: z.tuple([
    z.object({
      question: z.string(),
      multiSelect: z.boolean().optional(),
      options: z
        .array(z.object({ label: z.string(), description: z.string().optional() }))
        .min(1)
        .max(9),
    }),
  ]),
});

export interface Choices {
  readonly question: string;
  /** The first is answered with the key 1. */
  readonly labels: readonly string[];
  /** What the tool gets where the n-th is chosen, from 0. */
  readonly inputWith: (index: number) => Record<string, unknown>;
}

/** Undefined where it takes more than one key. */
export function choicesOf({ tool_name, input }: Approval): Choices | undefined {
  const asked = tool_name === "AskUserQuestion" ? oneQuestion.safeParse(input).data : undefined;
  const [first] = asked?.questions ?? [];
  if (first === undefined || first.multiSelect === true) return undefined;
  const { question } = first;
  const labels = first.options.map(({ label }) => label);
  return { question, labels, inputWith: (index) => ({ ...input, answers: { [question]: labels[index] } }) };
}
