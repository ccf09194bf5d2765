/**
 * The specification's `claude-code --stdio`: JSON-RPC 2.0, one message a line. What the specification leaves open (how to send a message,
 * interrupt, ask for approval, end) is as the bridge `claude-code` has it; an agent that lacks these is still usable without them.
 */
import * as z from "zod";
import { AgentFailure, type AgentEvent, type Decision, type RelayResult } from "../agent.ts";
import type { AgentProtocol } from "../engine.ts";
import { agentSessionId } from "../session-id.ts";
import { bridgeEventMethod, bridgeEventOf } from "./bridge-events.ts";
import { interruptMethod, parseJsonRpcRelay } from "./jsonrpc-message.ts";
import type { RpcDialect, RpcLink } from "./rpc-dialect.ts";
import { RpcEngine } from "./rpc-engine.ts";
import { isObject, type RpcAnswer, type RpcError } from "./rpc-lines.ts";
import type { AskedPermission } from "./rpc-permissions.ts";

/** Questions that an agent need not answer are waited for so long. */
const optionalAnswerMs = 2_000;
const methodNotFound = -32601;

const systemInfo = z.looseObject({
  version: z.string().optional().catch(undefined),
  agent_version: z.string().optional().catch(undefined),
  session_id: agentSessionId.catch(undefined),
  permission_mode: z.string().optional().catch(undefined),
  state: z.string().optional().catch(undefined),
});

const approvalRequest = z.looseObject({
  tool_name: z.string(),
  input: z.record(z.string(), z.unknown()),
  tool_use_id: z.string().optional(),
  title: z.string().optional(),
  description: z.string().optional(),
  reason: z.string().optional(),
  blocked_path: z.string().optional(),
  subagent_id: z.string().optional(),
  requires_user_interaction: z.boolean().optional(),
  can_remember: z.boolean().optional(),
});

/** What the bridge answers to `message/send`; of another agent as much of it as it has. */
const turnResult = z
  .object({
    text: z.string(),
    is_error: z.boolean(),
    error: z.object({
      kind: z.enum(["api", "interrupted", "max_turns", "limit", "other"]),
      status: z.number().optional(),
      message: z.string(),
    }),
    stop_reason: z.string().nullable(),
    session_id: agentSessionId,
    num_turns: z.number(),
    usage: z.unknown(),
    cost_usd: z.number(),
    permission_denials: z.array(z.unknown()),
  })
  .partial();
const failedWithoutWord = { kind: "other", message: "The agent reports that the turn failed." } as const;

export const jsonRpcProtocol: AgentProtocol = {
  name: "jsonrpc",
  engine: (options) => new RpcEngine(options, jsonRpcDialect),
  turnLine: (message, relayId) => {
    const relay = parseJsonRpcRelay(message, relayId);
    return relay.kind === "turn" ? relay.line : undefined;
  },
  response,
};

function jsonRpcDialect(link: RpcLink): RpcDialect {
  let sessionId: string | undefined;
  let interruptible = true;
  const ping = async (timeoutMs: number | undefined): Promise<void> => {
    const answer = await link.ask("system/ping", {}, timeoutMs);
    if ("error" in answer) throw refused("system/ping", answer.error);
  };
  return {
    protocol: "jsonrpc",
    givesUp: true,
    get sessionId() {
      return sessionId;
    },
    begin: async (timeoutMs) => {
      const startedAt = link.now();
      await ping(timeoutMs);
      const left = Math.min(
        optionalAnswerMs,
        timeoutMs === undefined ? optionalAnswerMs : timeoutMs - (link.now() - startedAt),
      );
      const answer = left > 0 ? await link.ask("system/info", {}, left).catch(ignoreTimeout) : undefined;
      const said = (answer && "result" in answer && systemInfo.safeParse(answer.result).data) || {};
      sessionId = said.session_id;
      return {
        protocol: "jsonrpc",
        agent_version: said.agent_version ?? said.version,
        session_id: sessionId,
        state: "idle",
        permission_mode: said.permission_mode,
        capabilities: [],
        models: [],
      };
    },
    parse: parseJsonRpcRelay,
    onNotification: (method, params, raw) => {
      const told = method === bridgeEventMethod ? bridgeEventOf(params) : undefined;
      sessionId = told?.sessionId ?? sessionId;
      if (told === undefined) link.emit({ type: "agent.notification", method, params, raw });
      else if (told.event !== undefined) tell(link, told.event, told.turnId);
    },
    permissionOf: (method, params, raw) => (method === "approval/request" ? permissionOf(params, raw) : undefined),
    withdrawnBy: (method, params) => (method === "$/cancelRequest" && isObject(params) ? params["id"] : undefined),
    resultOf: (answer, _turn, raw) => {
      const result = resultOf(answer, raw, sessionId);
      sessionId = result.session_id ?? sessionId; // A conversation that was begun with the first turn has no id before it.
      return result;
    },
    response,
    interrupt: async (timeoutMs) => {
      if (!interruptible)
        throw refused(interruptMethod, { code: methodNotFound, message: "it does not know that method" });
      const answer = await link.ask(interruptMethod, {}, timeoutMs);
      if (!("error" in answer)) return;
      if (answer.error.code === methodNotFound) interruptible = false;
      throw refused(interruptMethod, answer.error);
    },
    ping,
    isBusy: async () => {
      const answer = await link.ask("system/info", {}, optionalAnswerMs).catch(ignoreTimeout);
      const state = answer && "result" in answer ? systemInfo.safeParse(answer.result).data?.state : undefined;
      return state === undefined ? undefined : state !== "idle";
    },
    end: async (timeoutMs) => {
      // The end of its input is the end of the session for a program that does not know the method.
      await link.ask("session/end", {}, Math.min(timeoutMs, optionalAnswerMs)).catch(ignoreTimeout);
      link.endInput();
    },
  };
}

/** What is told of a turn that was given up belongs to none. */
function tell(link: RpcLink, event: AgentEvent, turnId: string | undefined): void {
  const turn = link.turnInFlight();
  if (turnId !== undefined && turnId !== turn?.uuid) {
    link.emit({ ...event, relayId: undefined });
    return;
  }
  if (event.type === "agent.delta" && event.kind === "text" && event.subagentOf === undefined)
    turn?.addDelta(event.text);
  if (event.type === "agent.message" && event.text !== "" && event.subagentOf === undefined) turn?.addText(event.text);
  link.emit(event);
}

/** The agent's answer as it came, an error too, with the caller's id put back. */
function response(result: RelayResult, message: unknown): unknown {
  if (!isObject(result.raw)) {
    const why = "The agent had this message, and its answer is not known here any more; it is not sent again.";
    throw new AgentFailure("outcome_unknown", why, { sent: true, turnEnded: true });
  }
  return isObject(message) && "id" in message ? { ...result.raw, id: message["id"] } : result.raw;
}

function resultOf(answer: RpcAnswer, raw: unknown, sessionId: string | undefined): RelayResult {
  if ("error" in answer) {
    const error = { kind: "other" as const, message: answer.error.message };
    return { text: "", is_error: true, error, stop_reason: null, session_id: sessionId, raw };
  }
  const { result } = answer;
  const said = turnResult.safeParse(typeof result === "string" ? { text: result } : result).data ?? {};
  const { text = "", is_error = false, error = failedWithoutWord, ...numbers } = said;
  return {
    ...numbers,
    ...{ text, is_error },
    ...(is_error ? { error } : {}),
    stop_reason: numbers.stop_reason ?? null,
    session_id: numbers.session_id ?? sessionId,
    raw,
  };
}

function permissionOf(params: unknown, raw: unknown): AskedPermission | undefined {
  const asked = approvalRequest.safeParse(params).data;
  if (asked === undefined) return undefined;
  return {
    request: {
      toolName: asked.tool_name,
      input: asked.input,
      toolUseId: asked.tool_use_id,
      title: asked.title,
      description: asked.description,
      reason: asked.reason,
      blockedPath: asked.blocked_path,
      subagentId: asked.subagent_id,
      requiresUserInteraction: asked.requires_user_interaction ?? false,
      canRemember: asked.can_remember ?? false,
      raw,
    },
    answer: (decision) => ({ result: decisionOf(decision) }),
    cancelled: { result: { decision: "deny", message: "The turn is over." } },
  };
}

/** Anything that is not clearly an "allow" is a denial, whatever a caller without types has put together. */
function decisionOf(decision: Decision): Record<string, unknown> {
  if (decision.behavior !== "allow") {
    return { decision: "deny", message: decision.message, interrupt: decision.interrupt ?? false };
  }
  return { decision: "allow", updated_input: decision.updatedInput, remember: decision.remember };
}

function refused(method: string, { code, message }: RpcError): AgentFailure {
  return new AgentFailure("control_refused", `The agent refused "${method}" (${code}): ${message}`);
}

function ignoreTimeout(error: unknown): undefined {
  if (!(error instanceof AgentFailure && error.kind === "timeout")) throw error;
  return undefined;
}
