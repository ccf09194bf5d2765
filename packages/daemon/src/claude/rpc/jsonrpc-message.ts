/**
 * What a caller may relay to an agent that speaks the specification's `claude-code --stdio`, and the line of its turn.
 *
 * A JSON-RPC request is a turn, under an id of ours; the caller's is put back into the answer. Requests of `system/` and an interrupt are no
 * turns: they would wait for what they are about. A notification has no answer. A plain string is the request `message/send`.
 */
import * as z from "zod";
import { AgentFailure } from "../agent.ts";
import { uuidOfRelay } from "../relay-message.ts";
import type { RpcRelay } from "./rpc-dialect.ts";
import { isObject } from "./rpc-lines.ts";

export const sendMethod = "message/send";
export const interruptMethod = "message/interrupt";

const message = z.object({
  jsonrpc: z.literal("2.0", { error: 'jsonrpc must be "2.0"' }),
  id: z.union([z.string(), z.number(), z.null()], { error: "id must be a string, a number or null" }).optional(),
  method: z.string({ error: "method must be a string" }).min(1, { error: "method must not be empty" }),
  params: z
    .union([z.array(z.unknown()), z.record(z.string(), z.unknown())], { error: "params must be an object or an array" })
    .optional(),
});

const allowed =
  'allowed are a string and a JSON-RPC 2.0 request or notification {"jsonrpc":"2.0","id":…,"method":"…","params":{…}}';

/** Rejects with `invalid_message` what is none of the allowed shapes. */
export function parseJsonRpcRelay(relayed: unknown, relayId: string): RpcRelay {
  if (typeof relayed === "string") {
    if (relayed === "") throw invalid("the message is an empty string");
    return { kind: "turn", line: lineOf(relayId, sendMethod, { text: relayed }) };
  }
  if (!isObject(relayed))
    throw invalid(`the message is ${Array.isArray(relayed) ? "an array" : JSON.stringify(relayed)}`);
  const parsed = message.safeParse(relayed);
  if (!parsed.success) throw invalid(parsed.error.issues[0]?.message ?? "it is no message");
  const { id, method, params } = parsed.data;
  if (id === undefined) return { kind: "notification", method, params };
  const beside = method.startsWith("system/") || method === interruptMethod;
  return beside ? { kind: "request", id, method, params } : { kind: "turn", id, line: lineOf(relayId, method, params) };
}

function lineOf(relayId: string, method: string, params: unknown): string {
  return `${JSON.stringify({ jsonrpc: "2.0", id: uuidOfRelay(relayId), method, params })}\n`;
}

function invalid(why: string): AgentFailure {
  return new AgentFailure("invalid_message", `A JSON-RPC agent cannot take this: ${why}; ${allowed}.`, { sent: false });
}
