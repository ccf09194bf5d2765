import * as z from "zod";

/** What an agent says in a `claude/message`; the adapters' own shapes and the raw stream-json of the CLI are understood. */
const fromSubagent = z.object({ parent_tool_use_id: z.string().nullish() });
const own = z.object({
  text: z.string(),
  kind: z.string().optional(),
  subagentOf: z.string().nullish(),
  raw: fromSubagent.optional().catch(undefined),
});
const rawDelta = z.object({ event: z.object({ delta: z.object({ text: z.string() }) }) });
const rawMessage = z.object({
  type: z.literal("assistant").optional(),
  message: z.object({ content: z.array(z.object({ type: z.string(), text: z.string().optional() }).loose()) }),
});

/** The words of a `delta` or `message` for the user, or undefined: thinking and a subagent's words are no part of the answer. */
export function agentText(data: unknown): string | undefined {
  if (typeof data === "string") return data;
  const ours = own.safeParse(data);
  if (ours.success) {
    const { kind, subagentOf, raw, text } = ours.data;
    const subagent = subagentOf ?? raw?.parent_tool_use_id ?? undefined;
    return (kind === undefined || kind === "text") && subagent === undefined ? text : undefined;
  }
  const delta = rawDelta.safeParse(data);
  if (delta.success) return delta.data.event.delta.text;
  const message = rawMessage.safeParse(data);
  if (!message.success) return undefined;
  return message.data.message.content.map((block) => (block.type === "text" ? (block.text ?? "") : "")).join("");
}

const resultMessage = z.object({
  result: z.string().optional(),
  text: z.string().optional(),
  is_error: z.boolean().optional(),
});

export interface FinalAnswer {
  readonly text: string | undefined;
  /** The agent reports an error, a denial or an interruption. */
  readonly isError: boolean;
}

/** The end of a turn: `result` of stream-json; another protocol's answer is shown as it is. */
export function finalAnswer(response: unknown): FinalAnswer {
  if (typeof response === "string") return { text: response, isError: false };
  const parsed = resultMessage.safeParse(response);
  if (!parsed.success) return { text: JSON.stringify(response), isError: false };
  return { text: parsed.data.result ?? parsed.data.text, isError: parsed.data.is_error === true };
}
