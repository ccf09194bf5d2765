import type { ClaudeProcess } from "@hl/protocol/methods/claude-list.ts";
import type { ResultOf } from "@hl/protocol/method.ts";
import type { claudeStatus } from "@hl/protocol/methods/claude-status.ts";
import type { Paint } from "../render/paint.ts";
import { plural } from "../render/quantity.ts";
import { renderFacts } from "../render/table.ts";

/** An older daemon knows less of it. */
export type AgentStatus = ClaudeProcess & Partial<Omit<ResultOf<typeof claudeStatus>, keyof ClaudeProcess>>;

export const chatHelp: readonly string[] = [
  "  /status     the agent and its session",
  "  /interrupt  ends the turn; so does Ctrl-C",
  "  /quit       leaves; so do Ctrl-D, and Ctrl-C twice within 2 seconds",
  "  /help       this",
  "Another line is a message. A backslash at its end continues it, and a paste of several lines is one message.",
  "While a turn runs, / begins a command. What the agent asks is answered with one key.",
];

export function statusLines(agent: AgentStatus | undefined, paint: Paint): string[] {
  if (agent === undefined) return ["the daemon does not know the agent any more"];
  const facts: [string, string][] = [
    ["agent", agent.process_id],
    ["status", agent.status],
    ["session", agent.session_id],
    ["protocol", agent.protocol],
    ["version", agent.agent_version ?? ""],
    ["workspace", agent.workspace_path],
    ["model", agent.model ?? ""],
    ["mode", agent.permission_mode ?? ""],
    ["turns", String(agent.turns)],
    ["used", agent.usage === undefined ? "" : usageText(agent.usage)],
    [
      "approvals",
      agent.approvals_open === undefined || agent.approvals_open === 0 ? "" : `${agent.approvals_open} wait`,
    ],
  ];
  return renderFacts(
    facts.filter(([, value]) => value !== ""),
    paint,
  );
}

/** `3 tool calls, 1200 + 340 tokens, 5000 from the cache, $0.0123`. */
export function usageText(usage: ResultOf<typeof claudeStatus>["usage"]): string {
  const input = usage.input_tokens + usage.cache_creation_tokens;
  const cached = usage.cache_read_tokens === 0 ? "" : `, ${usage.cache_read_tokens} from the cache`;
  const tokens = `${input} + ${usage.output_tokens} tokens${cached}`;
  return `${plural(usage.tool_calls, "tool call")}, ${tokens}, $${usage.cost_usd.toFixed(4)}`;
}
