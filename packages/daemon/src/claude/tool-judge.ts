import type { Decision, PermissionRequest, ToolUse, ToolVerdict } from "./agent.ts";
import type { AgentFacts } from "./agent-facts.ts";
import type { EngineOptions } from "./engine.ts";

/** Who says what an agent's tools may do; the approvals, which compose.ts passes. */
export interface ToolJudge {
  /** A call that the agent asks for. */
  ask(agent: AgentFacts, request: PermissionRequest): Promise<Decision>;
  /** Any call before it runs; undefined has no objection. What throws is a denial. */
  judge(agent: AgentFacts, use: ToolUse): ToolVerdict | undefined;
  /** The agent has said what it still asks. */
  attached(agent: AgentFacts, openRequests: readonly string[]): void;
}

/** @param life number of the agent's process: each counts its requests anew, and none may be answered by a decision about another's. */
export function judgedBy(
  judge: ToolJudge,
  agent: AgentFacts,
  life: number,
): Pick<EngineOptions, "onPermission" | "onToolUse" | "onAttached"> {
  const unique = (agentRequestId: string): string => (life === 0 ? agentRequestId : `${life}/${agentRequestId}`);
  return {
    onPermission: (request) => judge.ask(agent, { ...request, agentRequestId: unique(request.agentRequestId) }),
    onToolUse: (use) => judge.judge(agent, use),
    onAttached: (openRequests) => judge.attached(agent, openRequests.map(unique)),
  };
}
