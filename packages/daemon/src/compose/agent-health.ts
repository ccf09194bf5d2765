import type { AgentFacts } from "../claude/agent-facts.ts";
import type { Alert } from "../health/monitor.ts";

/** What is wrong with agents now. */
export function agentConditions(agents: readonly AgentFacts[], memoryAlertMb: number): Alert[] {
  return agents.flatMap((agent) => {
    const alerts: Alert[] = [];
    const about = (code: string, title: string, text: string): void => {
      alerts.push({ code, severity: "warning", title, text: `${agent.processId}: ${text}` });
    };
    if (agent.isStuck) {
      about("agent_stuck", "An agent hangs", "it answered no ping, and is ended and started again");
    } else if (agent.state === "restarting") {
      const text = `it ended with exit code ${agent.exitCode ?? "unknown"}, and is started again (attempt ${agent.attempts})`;
      about("agent_restarting", "An agent has ended", text);
    }
    if (agent.memory?.isHigh === true) {
      const text = `it and what it has started take ${Math.round(agent.memory.bytes / 2 ** 20)} MiB; ${memoryAlertMb} is claude_integration.memory_alert_mb. Stop it and resume its session to give that back`;
      about("agent_memory_high", "An agent takes much memory", text);
    }
    return alerts;
  });
}

/** Whether one is at present not to be spoken to. */
export function isAgentFailing(agents: readonly AgentFacts[]): boolean {
  return agents.some(({ isStuck, state }) => isStuck || state === "restarting");
}
