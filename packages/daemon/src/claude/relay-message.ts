/**
 * What a caller may relay to a stream-json agent, and the line that is written for it.
 *
 * One bad line ends Claude Code with the conversation in it, so nothing of a caller's reaches the agent as it came: it is judged,
 * rebuilt from the members we know, and serialised here.
 */
import { createHash } from "node:crypto";
import * as z from "zod";
import { AgentFailure } from "./agent.ts";

/** Well under what the agent reads in one line, and above every prompt that fits its window. */
export const relayBytesMax = 4 * 1024 * 1024;

const contentBlock = z.looseObject({ type: z.enum(["text", "image", "document"]) });
const content = z.union([z.string().min(1), z.array(contentBlock).min(1)]);
const userMessage = z.object({ type: z.literal("user"), message: z.object({ role: z.literal("user"), content }) });
const jsonRpcRequest = z.object({
  jsonrpc: z.literal("2.0"),
  id: z.union([z.string(), z.number(), z.null()]).optional(),
  method: z.enum(["system/ping", "system/info"]),
});

/** A caller's message that has been judged. */
export type RelayMessage =
  | { readonly kind: "prompt"; readonly content: z.infer<typeof content> }
  | { readonly kind: "json_rpc"; readonly id: string | number | null; readonly method: "system/ping" | "system/info" };

const allowed =
  'allowed are a string, {"type":"user","message":{"role":"user","content":"…" or [text, image or document blocks]}}, ' +
  'or {"jsonrpc":"2.0","id":…,"method":"system/ping" or "system/info"}';

/** Rejects with `invalid_message` what is none of the allowed shapes. */
export function parseRelayMessage(message: unknown): RelayMessage {
  if (typeof message === "string") {
    if (message === "")
      throw new AgentFailure("invalid_message", `The message is an empty string; ${allowed}.`, { sent: false });
    return { kind: "prompt", content: message };
  }
  const user = userMessage.safeParse(message);
  if (user.success) return { kind: "prompt", content: user.data.message.content };
  const rpc = jsonRpcRequest.safeParse(message);
  if (rpc.success) return { kind: "json_rpc", id: rpc.data.id ?? null, method: rpc.data.method };
  throw new AgentFailure("invalid_message", `A stream-json agent cannot take ${describe(message)}; ${allowed}.`, {
    sent: false,
  });
}

/** The line for a prompt, with its end. Rejects with `invalid_message` what is too large for one line. */
export function promptLine(prompt: z.infer<typeof content>, uuid: string): string {
  const message = { role: "user", content: prompt };
  const line = `${JSON.stringify({ type: "user", message, parent_tool_use_id: null, session_id: "", uuid })}\n`;
  const bytes = Buffer.byteLength(line);
  if (bytes > relayBytesMax) {
    throw new AgentFailure("invalid_message", `The message has ${bytes} bytes; at most ${relayBytesMax} fit.`, {
      sent: false,
    });
  }
  return line;
}

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/u;

/**
 * The agent's idempotency key for a relay: the relay id itself where it is a UUID, else one derived from it. The same relay id always
 * gives the same key, also in another process.
 */
export function uuidOfRelay(relayId: string): string {
  const lower = relayId.toLowerCase();
  if (uuidPattern.test(lower)) return lower;
  const hash = createHash("sha256").update("hl-daemon relay ").update(relayId).digest("hex");
  // Version 8 is the one for keys that an application derives in its own way (RFC 9562).
  return [
    hash.slice(0, 8),
    hash.slice(8, 12),
    `8${hash.slice(13, 16)}`,
    `8${hash.slice(17, 20)}`,
    hash.slice(20, 32),
  ].join("-");
}

function describe(message: unknown): string {
  if (Array.isArray(message)) return "an array";
  if (typeof message !== "object" || message === null) return String(message).slice(0, 100);
  const { type, method } = message as { type?: unknown; method?: unknown };
  if (method !== undefined) return `the method ${quote(method)}`;
  return type === undefined ? "this object" : `this object of type ${quote(type)}`;
}

function quote(value: unknown): string {
  return JSON.stringify(value).slice(0, 100);
}
