/**
 * What the bridge `claude-code` tells of a turn (`message/event`), as the events that an agent without a bridge would have given. Ends of
 * turns and states are the engine's own; what has another shape than ours is an ordinary notification.
 */
import * as z from "zod";
import type { AgentEvent } from "../agent.ts";
import { agentSessionId } from "../session-id.ts";

export const bridgeEventMethod = "message/event";

const envelope = z.looseObject({
  type: z.string(),
  relay_id: z.string().optional(),
  session_id: agentSessionId,
  data: z.unknown(),
});

const subagentOf = z.string().optional();
const shapes = {
  delta: z.object({ kind: z.enum(["text", "thinking"]), text: z.string(), subagentOf }),
  message: z.object({ text: z.string(), thinking: z.string().default(""), subagentOf }),
  tool_call: z.object({ toolUseId: z.string(), toolName: z.string(), input: z.unknown(), subagentOf }),
  tool_result: z.object({ toolUseId: z.string(), isError: z.boolean(), content: z.unknown(), subagentOf }),
  retry: z.object({ attempt: z.number(), delayMs: z.number(), status: z.number().nullable() }),
  log: z.object({ text: z.string() }),
  gap: z.object({ bytes: z.number() }),
  line_skipped: z.object({ bytes: z.number(), lineBytesMax: z.number() }),
} as const;

/** Told by the engine itself. */
const ownTypes: ReadonlySet<string> = new Set(["status", "ready", "turn_completed"]);

export interface BridgeEvent {
  /** Undefined where the engine tells it. */
  readonly event: AgentEvent | undefined;
  /** The id of the turn's request. */
  readonly turnId: string | undefined;
  readonly sessionId: string | undefined;
}

/** Undefined for what is not in the bridge's shape. */
export function bridgeEventOf(params: unknown): BridgeEvent | undefined {
  const told = envelope.safeParse(params);
  if (!told.success) return undefined;
  const { type, data, relay_id: turnId, session_id: sessionId } = told.data;
  if (ownTypes.has(type)) return { event: undefined, turnId, sessionId };
  const event = eventOf(type, data);
  return event && { event, turnId, sessionId };
}

function eventOf(type: string, data: unknown): AgentEvent | undefined {
  if (type === "unknown")
    return { type: "agent.unknown", raw: z.object({ raw: z.unknown() }).safeParse(data).data?.raw };
  if (!Object.hasOwn(shapes, type)) return undefined;
  const { data: said } = shapes[type as keyof typeof shapes].safeParse(data);
  if (said === undefined) return undefined;
  const more = type === "log" ? { stream: "stdout" } : {};
  const raw = type === "delta" || type === "log" || type === "gap" || type === "line_skipped" ? {} : { raw: null };
  return { type: `agent.${type}`, ...said, ...more, ...raw } as AgentEvent;
}
