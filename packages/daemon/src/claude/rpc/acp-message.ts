/**
 * What a caller may relay to an agent that speaks the Agent Client Protocol, and the line of its turn: a plain string, content blocks, or
 * one of a few requests of the protocol. The session is always ours, and no message may turn off the asking.
 */
import * as z from "zod";
import { AgentFailure } from "../agent.ts";
import { uuidOfRelay } from "../relay-message.ts";
import type { RpcRelay } from "./rpc-dialect.ts";

const block = z.looseObject({ type: z.enum(["text", "image", "audio", "resource", "resource_link"]) });
const blocks = z.array(block).min(1);
const rpc = { jsonrpc: z.literal("2.0").optional(), id: z.union([z.string(), z.number(), z.null()]).optional() };
const promptRequest = z.object({
  ...rpc,
  method: z.literal("session/prompt"),
  params: z.looseObject({ prompt: blocks }),
});
const request = z.object({
  ...rpc,
  method: z.enum(["session/list", "session/set_model"]),
  params: z.record(z.string(), z.unknown()).optional(),
});

const allowed =
  'allowed are a string, an array of content blocks, {"method":"session/prompt","params":{"prompt":[…]}}, ' +
  'and the requests "session/list" and "session/set_model"';

/** Rejects with `invalid_message` what is none of the allowed shapes. @param sessionId takes the place of the caller's */
export function parseAcpRelay(message: unknown, relayId: string, sessionId: string): RpcRelay {
  if (typeof message === "string") {
    if (message === "") throw invalid("the message is an empty string");
    return { kind: "turn", line: promptLine([{ type: "text", text: message }], relayId, sessionId) };
  }
  const content = blocks.safeParse(message);
  if (content.success) return { kind: "turn", line: promptLine(content.data, relayId, sessionId) };
  const prompt = promptRequest.safeParse(message);
  if (prompt.success) return { kind: "turn", line: promptLine(prompt.data.params.prompt, relayId, sessionId) };
  const other = request.safeParse(message);
  if (!other.success) throw invalid(`it cannot take ${describe(message)}`);
  const { id, method, params } = other.data;
  // A list is of all sessions; what is about one is about ours.
  const own = method === "session/list" ? (params ?? {}) : { ...params, sessionId };
  return { kind: "request", id: id ?? null, method, params: own };
}

function promptLine(prompt: z.infer<typeof blocks>, relayId: string, sessionId: string): string {
  const params = { sessionId, prompt };
  return `${JSON.stringify({ jsonrpc: "2.0", id: uuidOfRelay(relayId), method: "session/prompt", params })}\n`;
}

function describe(message: unknown): string {
  if (Array.isArray(message)) return "this array";
  if (typeof message !== "object" || message === null) return String(message).slice(0, 100);
  const { method } = message as { method?: unknown };
  return method === undefined ? "this object" : `the method ${JSON.stringify(method).slice(0, 100)}`;
}

function invalid(why: string): AgentFailure {
  return new AgentFailure("invalid_message", `An ACP agent: ${why}; ${allowed}.`, { sent: false });
}
