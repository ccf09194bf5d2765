import type { AgentEvent } from "../agent.ts";
import type { ToolUpdate } from "./acp-messages.ts";
import { isObject } from "./rpc-lines.ts";

export interface KnownTool {
  readonly name: string;
  readonly input: unknown;
}

type Part = Pick<ToolUpdate, "toolCallId" | "name" | "_meta" | "title" | "kind" | "rawInput">;

/** Tool calls of one turn that are remembered; more are told as they come. */
const toolsMax = 1_000;

/**
 * The tool calls of a turn. ACP tells one in pieces (name first, input later, then its end); it is told once, when its input is known, and
 * its result once.
 */
export class AcpTools {
  readonly #tools = new Map<string, KnownTool & { told: boolean }>();

  clear(): void {
    this.#tools.clear();
  }

  /** What is known of the tool with this piece of it. */
  merge(part: Part): KnownTool {
    const before = this.#tools.get(part.toolCallId);
    const input = hasContent(part.rawInput) ? part.rawInput : (before?.input ?? {});
    const name = part.name ?? part._meta?.toolName ?? before?.name ?? part.title ?? part.kind ?? "unknown";
    const tool = { name, input, told: before?.told ?? false };
    if (before !== undefined || this.#tools.size < toolsMax) this.#tools.set(part.toolCallId, tool);
    return tool;
  }

  /** @param onOver called with the id of a tool that has run or failed */
  eventsOf(update: ToolUpdate, raw: unknown, onOver: (toolUseId: string) => void): AgentEvent[] {
    const { toolCallId: toolUseId, status } = update;
    const { name: toolName, input } = this.merge(update);
    const over = status === "completed" || status === "failed";
    const events: AgentEvent[] = [];
    const known = this.#tools.get(toolUseId);
    if (known?.told !== true && (over || hasContent(input))) {
      if (known) known.told = true;
      events.push({ type: "agent.tool_call", toolUseId, toolName, input, raw });
    }
    if (over) {
      const content = update.rawOutput ?? update.content;
      events.push({ type: "agent.tool_result", toolUseId, isError: status === "failed", content, raw });
      this.#tools.delete(toolUseId);
      onOver(toolUseId);
    }
    return events;
  }
}

function hasContent(input: unknown): boolean {
  return isObject(input) ? Object.keys(input).length > 0 : input !== undefined && input !== null;
}
