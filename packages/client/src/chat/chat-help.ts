import type { ClaudeProcess } from "@hl/protocol/methods/claude-list.ts";
import type { Paint } from "../render/paint.ts";
import { renderFacts } from "../render/table.ts";

export const chatHelp: readonly string[] = [
  "  /status     the agent and its session",
  "  /interrupt  ends the turn; so does Ctrl-C",
  "  /quit       leaves; so do Ctrl-D, and Ctrl-C twice within 2 seconds",
  "  /help       this",
  "Another line is a message. A backslash at its end continues it, and a paste of several lines is one message.",
  "While a turn runs, / begins a command. What the agent asks is answered with one key.",
];

export function statusLines(agent: ClaudeProcess | undefined, paint: Paint): string[] {
  if (agent === undefined) return ["the daemon does not know the agent any more"];
  const facts: [string, string][] = [
    ["agent", agent.process_id],
    ["status", agent.status],
    ["session", agent.session_id],
    ["protocol", agent.protocol],
    ["version", agent.agent_version ?? ""],
    ["workspace", agent.workspace_path],
    ["turns", String(agent.turns)],
  ];
  return renderFacts(
    facts.filter(([, value]) => value !== ""),
    paint,
  );
}
