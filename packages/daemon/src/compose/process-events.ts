import type { AgentItem } from "@hl/protocol/methods/claude-subscribe.ts";
import type { AgentFacts } from "../claude/agent-facts.ts";
import type { OnSupervision } from "../claude/supervision-event.ts";
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
  /** @param id the same for what is read in the log again */
  readonly agentItem: (item: AgentItem, id: string) => void;
  readonly agentSupervised: OnSupervision;
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
    agentStarted: (agent) => {
      const { processId, pid, sessionId } = agent;
      const data = { kind: "agent", process_id: processId, pid, session_id: sessionId };
      events.emit("process_start", data, "info", eventIdOf(agent, "start"));
    },
    agentEnded: (agent) => {
      const { processId, pid, sessionId, exitCode } = agent;
      const data = { kind: "agent", process_id: processId, pid, session_id: sessionId, exit_code: exitCode };
      events.emit("process_end", data, "info", eventIdOf(agent, "end"));
    },
    agentSupervised: (agent, { type, ...what }) => {
      const { processId, pid, sessionId, restarts } = agent;
      const data = { process_id: processId, pid, session_id: sessionId, restarts, ...what };
      const expected = type === "agent.ready" || ("expected" in what && what.expected);
      // Ready and ended a process is once; told again after a crash it is the same event (S1).
      const once = type === "agent.ready" || type === "agent.exited" ? eventIdOf(agent, type) : undefined;
      events.emit(type, data, expected ? "info" : "warning", once);
    },
    agentItem: ({ type, data, timestamp: _now, ...item }, id) => {
      const severity = (data as { is_error?: unknown }).is_error === true ? "warning" : "info";
      events.emit(`agent.${type}`, { ...item, ...(data as object) }, severity, id);
    },
  };
}

/** The first process of an agent has no number. */
function eventIdOf({ processId, restarts }: AgentFacts, what: string): string {
  return `${processId}:${what}${restarts === 0 ? "" : `-${restarts}`}`;
}
