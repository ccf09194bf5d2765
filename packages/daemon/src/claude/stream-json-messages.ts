/**
 * The messages of Claude Code's stream-json protocol that the adapter understands, as far as it relies on them. Everything else in
 * them passes through untouched; a message of another type, or of a known type in another shape, is reported and never fatal.
 */
import * as z from "zod";
import type { AgentInfo } from "./agent.ts";
import { agentSessionId } from "./session-id.ts";

const contentBlock = z.looseObject({ type: z.string() });

const controlResponse = z.looseObject({
  type: z.literal("control_response"),
  response: z.looseObject({
    subtype: z.enum(["success", "error"]),
    request_id: z.string(),
    response: z.record(z.string(), z.unknown()).optional(),
    error: z.string().optional(),
    error_code: z.string().optional(),
    pending_permission_requests: z.array(z.unknown()).optional(),
  }),
});

const controlRequest = z.looseObject({
  type: z.literal("control_request"),
  request_id: z.string(),
  request: z.looseObject({ subtype: z.string() }),
});

const controlCancelRequest = z.looseObject({ type: z.literal("control_cancel_request"), request_id: z.string() });

const commandLifecycle = z.looseObject({
  type: z.literal("command_lifecycle"),
  command_uuid: z.string(),
  state: z.string(),
  session_id: agentSessionId,
});

const system = z.looseObject({ type: z.literal("system"), subtype: z.string(), session_id: agentSessionId });

const streamEvent = z.looseObject({
  type: z.literal("stream_event"),
  event: z.looseObject({
    type: z.string(),
    delta: z
      .looseObject({ type: z.string().optional(), text: z.string().optional(), thinking: z.string().optional() })
      .optional(),
  }),
  parent_tool_use_id: z.string().nullish(),
  session_id: agentSessionId,
});

const conversationMessage = z.looseObject({
  type: z.enum(["assistant", "user"]),
  message: z.looseObject({ content: z.union([z.string(), z.array(contentBlock)]) }),
  parent_tool_use_id: z.string().nullish(),
  session_id: agentSessionId,
});

const result = z.looseObject({
  type: z.literal("result"),
  subtype: z.string(),
  is_error: z.boolean(),
  result: z.string().optional(),
  errors: z.array(z.string()).optional(),
  stop_reason: z.string().nullish(),
  terminal_reason: z.string().nullish(),
  api_error_status: z.number().nullish(),
  num_turns: z.number().optional(),
  total_cost_usd: z.number().optional(),
  usage: z.unknown().optional(),
  permission_denials: z.array(z.unknown()).optional(),
  user_message_uuid: z.string().nullish(),
  user_message_uuids: z.array(z.string()).nullish(),
  session_id: agentSessionId,
});

const incoming = z.discriminatedUnion("type", [
  streamEvent,
  conversationMessage,
  result,
  commandLifecycle,
  system,
  controlRequest,
  controlResponse,
  controlCancelRequest,
]);

/** A message that the adapter understands. */
export type Incoming = z.infer<typeof incoming>;
export type ResultMessage = z.infer<typeof result>;
export type ConversationMessage = z.infer<typeof conversationMessage>;
export type ControlRequest = z.infer<typeof controlRequest>;
export type ControlResponse = z.infer<typeof controlResponse>;
export type SystemMessage = z.infer<typeof system>;
export type StreamEvent = z.infer<typeof streamEvent>;

/** What one line of the agent's output is. */
export type ParsedLine =
  | { readonly kind: "message"; readonly message: Incoming; readonly raw: unknown }
  | { readonly kind: "unknown"; readonly raw: unknown }
  | { readonly kind: "text"; readonly text: string };

/** Judges one line. What is no JSON object is text: programs print to stdout what they should not. */
export function parseLine(line: string): ParsedLine {
  let raw: unknown;
  try {
    raw = JSON.parse(line);
  } catch {
    return { kind: "text", text: line };
  }
  if (typeof raw !== "object" || raw === null) return { kind: "text", text: line };
  const parsed = incoming.safeParse(raw);
  return parsed.success ? { kind: "message", message: parsed.data, raw } : { kind: "unknown", raw };
}

const canUseTool = z.looseObject({
  subtype: z.literal("can_use_tool"),
  tool_name: z.string(),
  input: z.record(z.string(), z.unknown()),
  tool_use_id: z.string().optional(),
  display_name: z.string().optional(),
  title: z.string().optional(),
  description: z.string().optional(),
  decision_reason: z.string().optional(),
  blocked_path: z.string().optional(),
  agent_id: z.string().optional(),
  requires_user_interaction: z.boolean().optional(),
  suppress_always_allow_rule: z.boolean().optional(),
  permission_suggestions: z.array(z.looseObject({ type: z.string() })).optional(),
});

export type CanUseTool = z.infer<typeof canUseTool>;

/** The request for a tool in a control request, or undefined where it is about something else or in a shape we do not know. */
export function parseCanUseTool(message: ControlRequest): CanUseTool | undefined {
  return canUseTool.safeParse(message.request).data;
}

const hookCallback = z.looseObject({
  subtype: z.literal("hook_callback"),
  input: z.looseObject({
    hook_event_name: z.literal("PreToolUse"),
    tool_name: z.string(),
    tool_input: z.record(z.string(), z.unknown()),
    cwd: z.string().optional(),
    tool_use_id: z.string().optional(),
  }),
});

export type HookInput = z.infer<typeof hookCallback>["input"];

/** What a hook is called about; undefined where it is in a shape that we do not know. */
export function parseHookCallback(message: ControlRequest): HookInput | undefined {
  return hookCallback.safeParse(message.request).data?.input;
}

export function isHookCallback({ request }: ControlRequest): boolean {
  return request.subtype === "hook_callback";
}

/** An open request as the answer to `initialize` lists it after the daemon has attached again. */
export function parsePendingRequest(raw: unknown): ControlRequest | undefined {
  return controlRequest.safeParse(typeof raw === "object" && raw !== null ? { type: "control_request", ...raw } : raw)
    .data;
}

const initializeAnswer = z.looseObject({
  pid: z.number().optional(),
  claude_code_version: z.string().optional(),
  session_id: agentSessionId,
  session_state: z.enum(["idle", "running", "requires_action"]).optional(),
  current_permission_mode: z.string().optional(),
  capabilities: z.array(z.string()).optional().catch(undefined),
  models: z
    .array(z.looseObject({ value: z.string() }))
    .optional()
    .catch(undefined),
});

/** Lenient: every member is optional, because a version that leaves one out is still usable. */
export function agentInfoOf(raw: unknown, sessionId: string | undefined): AgentInfo {
  const said = initializeAnswer.safeParse(raw).data ?? {};
  return {
    protocol: "stream-json",
    pid: said.pid,
    agent_version: said.claude_code_version,
    session_id: said.session_id ?? sessionId,
    state: said.session_state,
    permission_mode: said.current_permission_mode,
    capabilities: said.capabilities ?? [],
    models: said.models?.map((model) => model.value) ?? [],
  };
}
