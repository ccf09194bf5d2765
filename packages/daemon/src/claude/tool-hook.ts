/**
 * The hook that Claude Code calls before every tool call, also those for which it would not ask.
 *
 * Only a hook that answers stops a call: an error as the answer lets it run (measured with 2.1.330), so there is none here. One that
 * does not answer in time, and one that is open when a daemon attaches, the agent itself takes for a failure and does not run the tool.
 */
import type { ToolUse, ToolVerdict } from "./agent.ts";
import { parseHookCallback, type ControlRequest } from "./stream-json-messages.ts";

export type OnToolUse = (use: ToolUse) => ToolVerdict | undefined;

/** For `initialize`. Without a matcher it is called for every tool. */
export const toolHooks = { PreToolUse: [{ hookCallbackIds: ["hl-policy"] }] };

/** The hook's answer; `{}` lets the agent go on as it would by itself. Whatever cannot be judged is denied. */
export function hookAnswer(message: ControlRequest, onToolUse: OnToolUse): object {
  return outputOf(judged(message, onToolUse));
}

/** Of calls of the past: the agent has given them up itself when the daemon attached. */
export const lateHookAnswer = outputOf({ decision: "deny", message: "hl-daemon restarted: call the tool again." });

function judged(message: ControlRequest, onToolUse: OnToolUse): ToolVerdict | undefined {
  const input = parseHookCallback(message);
  if (input === undefined) return { decision: "deny", message: "This hl-daemon does not know such a tool call." };
  try {
    const { tool_name: toolName, tool_use_id: toolUseId, tool_input, cwd } = input;
    return onToolUse({ toolName, toolUseId, input: tool_input, cwd });
  } catch (error) {
    return { decision: "deny", message: `hl-daemon could not judge this call: ${String(error)}` };
  }
}

function outputOf(verdict: ToolVerdict | undefined): object {
  if (verdict === undefined) return {};
  const { decision, message } = verdict;
  const decided = { permissionDecision: decision, permissionDecisionReason: message };
  return { hookSpecificOutput: { hookEventName: "PreToolUse", ...decided } };
}
