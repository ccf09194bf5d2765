/**
 * The messages of the Agent Client Protocol (version 1) that the adapter understands, as far as it relies on them. Everything is optional
 * that some agent leaves out; what has another shape is reported and never fatal.
 */
import * as z from "zod";
import { agentSessionId } from "../session-id.ts";

export const initializeResult = z.looseObject({
  protocolVersion: z.number(),
  agentInfo: z.looseObject({ name: z.string().optional(), version: z.string().optional() }).nullish(),
  agentCapabilities: z
    .looseObject({
      loadSession: z.boolean().optional(),
      sessionCapabilities: z.looseObject({ resume: z.unknown().optional(), close: z.unknown() }).partial().nullish(),
    })
    .nullish(),
  authMethods: z
    .array(z.looseObject({ id: z.string().optional(), name: z.string().optional() }))
    .nullish()
    .catch(undefined),
});

const modes = z.looseObject({
  currentModeId: z.string(),
  availableModes: z.array(z.looseObject({ id: z.string() })),
});

export const sessionResult = z.looseObject({ sessionId: agentSessionId, modes: modes.nullish() });

const toolCall = {
  toolCallId: z.string(),
  name: z.string().nullish(),
  /** The protocol has no name of a tool; some agents put it here. */
  _meta: z.looseObject({ toolName: z.string().optional() }).nullish().catch(undefined),
  title: z.string().nullish(),
  kind: z.string().nullish(),
  status: z.string().nullish(),
  rawInput: z.unknown().optional(),
  rawOutput: z.unknown().optional(),
  content: z.unknown().optional(),
};

/** A piece of what the agent says or thinks; `text` is there where it is text. */
export const chunkUpdate = z.looseObject({
  update: z.looseObject({
    sessionUpdate: z.enum(["agent_message_chunk", "agent_thought_chunk"]),
    content: z.looseObject({ type: z.literal("text"), text: z.string() }),
  }),
});

const tool = z.looseObject({ sessionUpdate: z.enum(["tool_call", "tool_call_update"]), ...toolCall });
export const toolUpdate = z.looseObject({ update: tool });

export type ToolUpdate = z.infer<typeof tool>;

const option = z.looseObject({ optionId: z.string(), kind: z.string(), name: z.string().catch("") });

export const permissionRequest = z.looseObject({
  toolCall: z.looseObject(toolCall),
  options: z.array(option),
});

export type PermissionOption = z.infer<typeof option>;

export const promptResult = z.looseObject({ stopReason: z.string(), usage: z.unknown().optional() });
