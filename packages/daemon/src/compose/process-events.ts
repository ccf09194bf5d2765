import type { AgentEvent } from "../claude/agent.ts";
import type { AgentProcess } from "../claude/agent-process.ts";
import type { Command } from "../commands/command.ts";
import { statusOf, type Ending } from "../commands/ending.ts";
import type { Events } from "../events/events.ts";

/** Turns the life of commands and agents into events. Arguments may hold secrets, so an event carries the program's name only (X4). */
export interface ProcessEventReporter {
  readonly commandStarted: (command: Command) => void;
  /** Resolves when the event is durable, or refused for good. */
  readonly commandEnded: (command: Command, ending: Ending) => Promise<void>;
  readonly agentStarted: (agent: AgentProcess) => void;
  readonly agentEnded: (agent: AgentProcess) => void;
  readonly agentEvent: (agent: AgentProcess, event: AgentEvent) => void;
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
          max_memory: ending.maxRssMb,
          cpu_time: ending.cpuMs,
        },
        statusOf(ending) === "completed" ? "info" : "warning",
      ),
    agentStarted: ({ processId, pid, sessionId }) =>
      events.emit("process_start", { kind: "agent", process_id: processId, pid, session_id: sessionId }),
    agentEnded: ({ processId, pid, sessionId, exitCode }) =>
      events.emit("process_end", {
        kind: "agent",
        process_id: processId,
        pid,
        session_id: sessionId,
        exit_code: exitCode,
      }),
    agentEvent: (agent, event) => {
      if (event.type !== "agent.turn_completed") return;
      const { is_error, num_turns, usage, cost_usd, session_id } = event.result;
      events.emit("agent.turn_completed", {
        process_id: agent.processId,
        session_id,
        is_error,
        num_turns,
        usage,
        cost_usd,
      });
    },
  };
}
