import type { AgentFacts } from "../claude/agent-facts.ts";
import type { Condition } from "../health/alert-book.ts";

/** What is wrong with agents now. */
export function agentConditions(agents: readonly AgentFacts[], memoryAlertMb: number): Condition[] {
  return agents.flatMap((agent) => {
    const conditions: Condition[] = [];
    const about = (code: Condition["code"], text: string): void => {
      conditions.push({ code, subject: agent.processId, text: `${agent.processId}: ${text}` });
    };
    if (agent.isStuck) {
      about("agent_stuck", "it answered no ping, and is ended and started again");
    } else if (agent.state === "restarting") {
      const text = `it ended with exit code ${agent.exitCode ?? "unknown"}, and is started again (attempt ${agent.attempts})`;
      about("agent_restarting", text);
    }
    if (agent.memory?.isHigh === true) {
      const text = `it and what it has started take ${Math.round(agent.memory.bytes / 2 ** 20)} MiB; ${memoryAlertMb} is claude_integration.memory_alert_mb`;
      about("agent_memory_high", text);
    }
    return conditions;
  });
}

/** Whether one is at present not to be spoken to. */
export function isAgentFailing(agents: readonly AgentFacts[]): boolean {
  return agents.some(({ isStuck, state }) => isStuck || state === "restarting");
}
