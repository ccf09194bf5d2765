import { randomUUID } from "node:crypto";
import type { Clock } from "@hl/core/clock.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { Handlers } from "@hl/protocol/method.ts";
import type { DaemonMethods } from "@hl/protocol/methods.ts";
import type { AgentEvent } from "./agent.ts";
import type { Agents } from "./agents.ts";

type ClaudeMethods = Exclude<Extract<keyof DaemonMethods, `claude/${string}`>, "claude/subscribe">;

export interface ClaudeHandlerDeps {
  readonly agents: Agents;
  readonly clock: Clock;
  readonly relayTimeoutMs: number;
  readonly approvalsOpen: (processId: string) => number;
  readonly transcriptOf: (processId: string) => { readonly firstSeq: number; readonly nextSeq: number };
}

export function claudeHandlers(deps: ClaudeHandlerDeps): Pick<Handlers<DaemonMethods>, ClaudeMethods> {
  const { agents, clock } = deps;
  return {
    "claude/start": async (params, call) => {
      const started = await agents.start(params);
      // Its id is known to nobody: it would hold its place for ever. A start of the cloud's goes on, its answer is for the next connection.
      if (call.signal.aborted) {
        await started.stop({ force: true, timeoutMs: 0 });
        const text = "the caller left before the agent was ready, so it was stopped again";
        throw new HlError("claude_unavailable", text, { process_id: started.facts.processId });
      }
      const { facts: agent } = started;
      const version = agent.agentVersion;
      return {
        process_id: agent.processId,
        pid: agent.pid,
        status: "started",
        stdio_ready: true,
        session_id: agent.sessionId,
        protocol: agent.protocol,
        ...(version === undefined ? {} : { agent_version: version }),
      };
    },
    "claude/relay": async ({ process_id, message, timeout, steer, relay_id }, call) => {
      const relayId = relay_id ?? randomUUID();
      const startedAt = clock.now();
      const onEvent = (event: AgentEvent): void => {
        if (!call.canNotify) return;
        const { type, data } = notificationOf(event);
        call.notify("claude/message", { process_id, type, data }).catch(() => {}); // Best effort: the answer has it all.
      };
      const timeoutMs = timeout === undefined ? deps.relayTimeoutMs : timeout * 1000;
      const response = await agents
        .get(process_id)
        .relay({ message, relayId, isNew: relay_id === undefined, timeoutMs, steer, signal: call.signal, onEvent });
      return { process_id, response, execution_time: clock.now() - startedAt, relay_id: relayId };
    },
    "claude/interrupt": async ({ process_id }) => ({
      process_id,
      interrupted: await agents.get(process_id).interrupt(),
    }),
    "claude/stop": async ({ process_id, force, timeout }) => {
      const agent = agents.get(process_id);
      const killed = await agent.stop({ force, timeoutMs: timeout * 1000 });
      return { process_id, status: killed ? "terminated" : "stopped", exit_code: agent.facts.exitCode ?? -1 };
    },
    "claude/list": async () => ({
      processes: agents.list().map((agent) => ({ ...agent, approvals_open: deps.approvalsOpen(agent.process_id) })),
    }),
    "claude/status": async ({ process_id }) => {
      const { facts, work } = agents.get(process_id);
      const { model, permissionMode, lastActivityMs } = facts;
      const { firstSeq, nextSeq } = deps.transcriptOf(process_id);
      return {
        ...facts.describe(),
        ...(model === undefined ? {} : { model }),
        ...(permissionMode === undefined ? {} : { permission_mode: permissionMode }),
        ...(work.relayId === undefined ? {} : { relay_id: work.relayId }),
        relays_waiting: work.waiting,
        approvals_open: deps.approvalsOpen(process_id),
        ...(lastActivityMs === undefined ? {} : { last_activity_at: lastActivityMs / 1000 }),
        usage: facts.usage.total,
        first_seq: firstSeq,
        next_seq: nextSeq,
      };
    },
  };
}

function notificationOf(event: AgentEvent): { type: string; data: unknown } {
  const { type, relayId: _relay, sessionId: _session, ...data } = event;
  return { type: type.replace(/^agent\./, ""), data };
}
