/**
 * The agent's messages as events for whoever watches. Scaffolding (the start of a block, a turn's `init`) is left out; what we have
 * never heard of is passed on as `agent.unknown`.
 */
import * as z from "zod";
import type { AgentEvent } from "./agent.ts";
import type { ConversationMessage, StreamEvent, SystemMessage } from "./stream-json-messages.ts";

const sessionState = z.object({ state: z.enum(["idle", "running", "requires_action"]) });
const status = z.object({ status: z.string().nullable() });
const retry = z.object({ attempt: z.number(), retry_delay_ms: z.number(), error_status: z.number().nullish() });

/** The event of a `system` message, or undefined where it tells a watcher nothing. */
export function eventOfSystem(message: SystemMessage, raw: unknown): AgentEvent | undefined {
  switch (message.subtype) {
    case "init":
      return undefined;
    case "session_state_changed": {
      const { data } = sessionState.safeParse(message);
      return data ? { type: "agent.status", state: data.state, raw } : { type: "agent.unknown", raw };
    }
    case "status": {
      const { data } = status.safeParse(message);
      return { type: "agent.status", state: "running", detail: data?.status ?? undefined, raw };
    }
    case "api_retry": {
      const { data } = retry.safeParse(message);
      if (!data) return { type: "agent.unknown", raw };
      return {
        type: "agent.retry",
        attempt: data.attempt,
        delayMs: data.retry_delay_ms,
        status: data.error_status ?? null,
        raw,
      };
    }
    default:
      return { type: "agent.unknown", raw };
  }
}

/** The delta in a stream event, if it has one for people. */
export function eventOfStream(message: StreamEvent): Extract<AgentEvent, { type: "agent.delta" }> | undefined {
  const { text, thinking } = message.event.delta ?? {};
  const subagentOf = message.parent_tool_use_id ?? undefined;
  if (text !== undefined) return { type: "agent.delta", kind: "text", text, subagentOf };
  if (thinking !== undefined) return { type: "agent.delta", kind: "thinking", text: thinking, subagentOf };
  return undefined;
}

const textBlock = z.object({ type: z.literal("text"), text: z.string() });
const thinkingBlock = z.object({ type: z.literal("thinking"), thinking: z.string() });
const toolUseBlock = z.object({ type: z.literal("tool_use"), id: z.string(), name: z.string(), input: z.unknown() });
const toolResultBlock = z.object({
  type: z.literal("tool_result"),
  tool_use_id: z.string(),
  content: z.unknown(),
  is_error: z.boolean().optional(),
});
const knownBlock = z.discriminatedUnion("type", [textBlock, thinkingBlock, toolUseBlock, toolResultBlock]);

/** The events of a message of the conversation; `text` is what the agent itself said in it. */
export function eventsOfConversation(
  message: ConversationMessage,
  raw: unknown,
): { events: AgentEvent[]; text: string } {
  const { content } = message.message;
  const blocks = (typeof content === "string" ? [{ type: "text", text: content }] : content).flatMap((block) => {
    const { data } = knownBlock.safeParse(block);
    return data ? [data] : [];
  });
  const events: AgentEvent[] = [];
  const subagentOf = message.parent_tool_use_id ?? undefined;
  const fromAgent = message.type === "assistant";
  const text = fromAgent ? blocks.map((block) => (block.type === "text" ? block.text : "")).join("") : "";
  const thinking = fromAgent ? blocks.map((block) => (block.type === "thinking" ? block.thinking : "")).join("") : "";
  if (text !== "" || thinking !== "") events.push({ type: "agent.message", text, thinking, subagentOf, raw });
  for (const block of blocks) {
    if (block.type === "tool_use") {
      const { id: toolUseId, name: toolName, input } = block;
      events.push({ type: "agent.tool_call", toolUseId, toolName, input, subagentOf, raw });
    } else if (block.type === "tool_result") {
      const { tool_use_id: toolUseId, is_error: isError = false } = block;
      events.push({ type: "agent.tool_result", toolUseId, isError, content: block.content, subagentOf, raw });
    }
  }
  // A subagent's words are no part of the answer.
  return { events, text: message.parent_tool_use_id ? "" : text };
}
