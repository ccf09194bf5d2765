import type { AgentEvent } from "../claude/agent.ts";
import type { AgentFacts } from "../claude/agent-facts.ts";
import type { Command } from "../commands/command.ts";
import { statusOf, usageOf, type Ending } from "../commands/ending.ts";
import type { Events } from "../events/events.ts";

/** Turns the life of commands and agents into events. Arguments may hold secrets, so an event carries the program's name only (X4). */
export interface ProcessEventReporter {
  readonly commandStarted: (command: Command) => void;
  /** Resolves when the event is durable, or refused for good. */
  readonly commandEnded: (command: Command, ending: Ending) => Promise<void>;
  readonly agentStarted: (agent: AgentFacts) => void;
  readonly agentEnded: (agent: AgentFacts) => void;
  readonly agentEvent: (agent: AgentFacts, event: AgentEvent) => void;
}

export function processEventReporter(events: Events): ProcessEventReporter {
  return {
    commandStarted: ({ id, command, run }) =>
      events.emit("process_start", { kind: "command", command_id: id, command, pid: run?.pid }),
    commandEnded: ({ id, runId, command }, ending) =>
      events.emitOnce(
        `${runId}-end`, // Told again after a crash it is the same event (S1).
        "process_end",
        {
          kind: "command",
          command_id: id,
          command,
          pid: ending.pid,
          status: statusOf(ending),
          reason: ending.reason,
          exit_code: ending.exitCode,
          signal: ending.signal,
          execution_time: ending.durationMs,
          ...usageOf(ending),
        },
        statusOf(ending) === "completed" ? "info" : "warning",
      ),
    agentStarted: ({ processId, pid, sessionId }) => {
      const data = { kind: "agent", process_id: processId, pid, session_id: sessionId };
      events.emit("process_start", data, "info", `${processId}:start`);
    },
    agentEnded: ({ processId, pid, sessionId, exitCode }) => {
      const data = { kind: "agent", process_id: processId, pid, session_id: sessionId, exit_code: exitCode };
      events.emit("process_end", data, "info", `${processId}:end`);
    },
    agentEvent: (agent, event) => {
      if (event.type !== "agent.turn_completed") return;
      const { is_error, num_turns, usage, cost_usd, session_id } = event.result;
      const data = {
        process_id: agent.processId,
        session_id,
        relay_id: event.relayId,
        is_error,
        num_turns,
        usage,
        cost_usd,
      };
      events.emit("agent.turn_completed", data, "info", `${agent.processId}:turn-${agent.turns}`);
    },
  };
}
