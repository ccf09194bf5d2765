import * as z from "zod";

/**
 * Something that an agent did, as `claude/subscribe` and `claude/message` tell it: a type, and data that is read here and nowhere else. What cannot be read
 * is `other`.
 */
export type AgentItem =
  | { readonly kind: "delta"; readonly of: "text" | "thinking"; readonly text: string }
  | {
      readonly kind: "message";
      readonly text: string;
      readonly thinking: string;
      /** It is not the whole. */
      readonly cut: boolean;
    }
  | {
      readonly kind: "tool_call";
      readonly id: string;
      readonly name: string;
      readonly input: Readonly<Record<string, unknown>>;
      readonly bySubagent: boolean;
    }
  | { readonly kind: "tool_result"; readonly id: string; readonly isError: boolean; readonly text: string }
  | { readonly kind: "retry"; readonly attempt: number; readonly delayMs: number; readonly status: number | null }
  | { readonly kind: "gap"; readonly bytes: number }
  | { readonly kind: "skipped"; readonly bytes: number }
  | { readonly kind: "log"; readonly text: string }
  | { readonly kind: "notification"; readonly method: string }
  | { readonly kind: "other" };

const raw = z.looseObject({ parent_tool_use_id: z.string().nullish() }).optional().catch(undefined);

const delta = z.object({ kind: z.enum(["text", "thinking"]), text: z.string(), subagentOf: z.string().nullish() });
const message = z.object({ text: z.string(), thinking: z.string().default(""), subagentOf: z.string().nullish(), raw });
const call = z.object({
  toolUseId: z.string(),
  toolName: z.string(),
  input: z.record(z.string(), z.unknown()).catch({}),
  subagentOf: z.string().nullish(),
  raw,
});
const result = z.object({ toolUseId: z.string(), isError: z.boolean().default(false), content: z.unknown() });
const retry = z.object({ attempt: z.number(), delayMs: z.number(), status: z.number().nullable().default(null) });
const gap = z.object({ bytes: z.number() });
const log = z.object({ text: z.string() });
const notification = z.object({ method: z.string() });
const blocks = z.array(z.looseObject({ type: z.string(), text: z.string().optional() }));

const readers: Readonly<Record<string, (data: unknown) => AgentItem | undefined>> = {
  delta: read(delta, ({ kind, text, subagentOf }) =>
    isSet(subagentOf) ? undefined : { kind: "delta", of: kind, text },
  ),
  message: read(message, ({ text, thinking, subagentOf, raw: said }) =>
    isSet(subagentOf ?? said?.parent_tool_use_id) ? undefined : { kind: "message", text, thinking, cut: false },
  ),
  tool_call: read(call, ({ toolUseId: id, toolName: name, input, subagentOf, raw: said }) => {
    return { kind: "tool_call", id, name, input, bySubagent: isSet(subagentOf ?? said?.parent_tool_use_id) };
  }),
  tool_result: read(result, ({ toolUseId: id, isError, content }) => {
    return { kind: "tool_result", id, isError, text: textOf(content) };
  }),
  retry: read(retry, (said) => ({ kind: "retry", ...said })),
  gap: read(gap, ({ bytes }) => ({ kind: "gap", bytes })),
  line_skipped: read(gap, ({ bytes }) => ({ kind: "skipped", bytes })),
  log: read(log, ({ text }) => ({ kind: "log", text })),
  notification: read(notification, ({ method }) => ({ kind: "notification", method })),
};

const snake = /_([a-z])/g;

/** `claude/subscribe` has the names of the wire, `claude/message` those of the daemon's events. */
function camelCased(data: unknown): unknown {
  if (typeof data !== "object" || data === null || Array.isArray(data)) return data;
  const entries = Object.entries(data).map(([name, value]) => [
    name.replace(snake, (_all, letter: string) => letter.toUpperCase()),
    value as unknown,
  ]);
  return Object.fromEntries(entries);
}

/** The words of a subagent are no part of the conversation; its tool calls are told, they change the same files. */
export function agentItemOf(type: string, data: unknown, omittedBytes = 0): AgentItem {
  const item = Object.hasOwn(readers, type) ? readers[type]?.(camelCased(data)) : undefined;
  if (item?.kind === "message") return { ...item, cut: omittedBytes > 0 };
  return item ?? { kind: "other" };
}

function read<Shape extends z.ZodType>(
  shape: Shape,
  make: (data: z.output<Shape>) => AgentItem | undefined,
): (data: unknown) => AgentItem | undefined {
  return (data) => {
    const parsed = shape.safeParse(data);
    return parsed.success ? make(parsed.data) : undefined;
  };
}

function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  const known = blocks.safeParse(content).data;
  if (known === undefined) return content === undefined || content === null ? "" : JSON.stringify(content);
  return known.map(({ type, text }) => text ?? `[${type}]`).join("\n");
}

function isSet(value: string | null | undefined): boolean {
  return value !== undefined && value !== null;
}
