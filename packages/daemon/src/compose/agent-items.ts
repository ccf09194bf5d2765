import type { AgentEvent } from "../claude/agent.ts";
import type { AgentFacts } from "../claude/agent-facts.ts";
import { withheldText } from "../claude/supervision-event.ts";

/** What is told of an agent's event to whoever reads its transcript: its meaning, not the agent's own message. docs/agents.md has the table. */
export function itemOf(agent: AgentFacts, event: AgentEvent): { readonly type: string; readonly data: object } {
  return { type: event.type.slice("agent.".length), data: dataOf(agent, event) };
}

/**
 * The same of a process whose secrets are not known (X4): that it was said, with the figures and what is the daemon's own, and none of the
 * agent's words.
 */
export function withheldItemOf(agent: AgentFacts, event: AgentEvent): { readonly type: string; readonly data: object } {
  const { type, data } = itemOf(agent, event);
  const members = Object.entries(data as Record<string, unknown>);
  const left = Object.fromEntries(members.map(([name, value]) => [name, isOwn(name) ? value : withheld(value)]));
  return { type, data: { ...left, withheld: true } };
}

function isOwn(name: string): boolean {
  return name === "usage" || name === "stream" || name === "protocol";
}

function withheld(value: unknown): unknown {
  if (typeof value === "number" || typeof value === "boolean" || value === undefined || value === null) return value;
  if (Array.isArray(value)) return [];
  return typeof value === "object" ? {} : withheldText;
}

function dataOf(agent: AgentFacts, event: AgentEvent): object {
  switch (event.type) {
    case "agent.ready": {
      const { protocol, agent_version, permission_mode, state } = event.info;
      return { protocol, agent_version, permission_mode, state };
    }
    case "agent.status":
      return { state: event.state, detail: event.detail };
    case "agent.delta":
      return { kind: event.kind, text: event.text, subagent_of: event.subagentOf };
    case "agent.turn_started":
      return { message: event.message };
    case "agent.message":
      return { text: event.text, thinking: event.thinking, subagent_of: event.subagentOf };
    case "agent.tool_call": {
      const { toolUseId: tool_use_id, toolName: tool_name, input, subagentOf: subagent_of } = event;
      return { tool_use_id, tool_name, input, subagent_of };
    }
    case "agent.tool_result": {
      const { toolUseId: tool_use_id, isError: is_error, content, subagentOf: subagent_of } = event;
      return { tool_use_id, is_error, content, subagent_of };
    }
    case "agent.retry":
      return { attempt: event.attempt, delay_ms: event.delayMs, status: event.status };
    case "agent.turn_completed": {
      // The text is that of the messages before, but for an error and for a turn that was cut short.
      const { is_error, error, text, stop_reason, num_turns, permission_denials } = event.result;
      const said = is_error ? { error, text } : {};
      const { cost_usd, ...usage } = agent.usage.lastTurn;
      const { shared } = event;
      return {
        turn: agent.turns,
        is_error,
        ...said,
        stop_reason,
        num_turns,
        usage,
        cost_usd,
        permission_denials,
        shared,
      };
    }
    case "agent.log":
      return { stream: event.stream, text: event.text };
    case "agent.notification":
      return { method: event.method, params: event.params };
    case "agent.unknown":
      return { raw: event.raw };
    case "agent.line_skipped":
      return { bytes: event.bytes, max_message_bytes: event.lineBytesMax };
    case "agent.gap":
      return { bytes: event.bytes };
  }
}
