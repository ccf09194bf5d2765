/**
 * Writes one reply to the socket the way the Messages API does: server-sent events, or one JSON body. Stops as soon as the
 * client has left; an answer nobody reads is not an error.
 */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { Clock } from "@hl/core/clock.ts";
import { errorTypeOf, type ErrorReply, type MessageReply, type ModelReply, type ReplyBlock } from "./model-reply.ts";
import type { ModelRequest } from "./model-request.ts";

/** What a reply needs besides itself. */
export interface ReplyContext {
  readonly request: ModelRequest;
  readonly response: ServerResponse;
  readonly clock: Clock;
  /** Aborts when the client has left or the stub stops. */
  readonly signal: AbortSignal;
}

const deltaCharsDefault = 16;
/** Long texts go out in larger deltas; 5 MB in deltas of 16 characters would test the parser of the agent and nothing else. */
const deltasMax = 2_000;

/** Sends the reply to its end; rejects with the signal's reason when the client leaves during it. */
export async function sendReply(reply: ModelReply, context: ReplyContext): Promise<void> {
  switch (reply.kind) {
    case "cut":
      context.response.destroy();
      return;
    case "hang": {
      await aborted(context.signal);
      return;
    }
    case "error": {
      await sendError(reply, context);
      return;
    }
    case "message": {
      await sendMessage(reply, context);
      return;
    }
  }
}

async function sendError(reply: ErrorReply, { response, clock, signal }: ReplyContext): Promise<void> {
  await clock.sleep(reply.delayMs ?? 0, signal);
  const requestId = `req_${randomUUID()}`;
  const type = reply.errorType ?? errorTypeOf(reply.status);
  const error = { type, message: reply.message ?? `the script answers ${reply.status}` };
  response.writeHead(reply.status, { "content-type": "application/json", "request-id": requestId, ...reply.headers });
  response.end(JSON.stringify({ type: "error", error, request_id: requestId }));
}

async function sendMessage(reply: MessageReply, context: ReplyContext): Promise<void> {
  await context.clock.sleep(reply.delayMs ?? 0, context.signal);
  context.response.setHeader("request-id", `req_${randomUUID()}`);
  const content = reply.content.map((block) =>
    block.type === "tool_use" ? { ...block, id: block.id ?? `toolu_${randomUUID().replaceAll("-", "")}` } : block,
  );
  if (context.request.body?.stream === true) {
    await stream(reply, content, context);
    return;
  }
  if (reply.breakOff) {
    await breakOff(reply.breakOff.how, context);
    return;
  }
  context.response.writeHead(200, { "content-type": "application/json" });
  context.response.end(JSON.stringify({ ...envelope(context.request), content, ...ending(reply, content) }));
}

async function stream(reply: MessageReply, content: readonly ReplyBlock[], context: ReplyContext): Promise<void> {
  const { response, clock, signal } = context;
  const send = async (event: { readonly type: string; readonly [key: string]: unknown }): Promise<void> => {
    signal.throwIfAborted();
    const more = response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
    if (!more) await once(response, "drain", { signal });
  };
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" });
  response.flushHeaders();
  await send({
    type: "message_start",
    message: { ...envelope(context.request), content: [], stop_reason: null, stop_sequence: null },
  });
  await send({ type: "ping" });
  let deltas = 0;
  for (const [index, block] of content.entries()) {
    await send({ type: "content_block_start", index, content_block: emptied(block) });
    for (const delta of deltasOf(block, reply.deltaChars)) {
      if (reply.breakOff && deltas >= reply.breakOff.afterDeltas) {
        await breakOff(reply.breakOff.how, context);
        return;
      }
      if (reply.pause?.afterDeltas === deltas) await Promise.race([reply.pause.until, aborted(signal)]);
      if (reply.deltaDelayMs !== undefined) await clock.sleep(reply.deltaDelayMs, signal);
      await send({ type: "content_block_delta", index, delta });
      deltas += 1;
    }
    await send({ type: "content_block_stop", index });
  }
  if (reply.breakOff) {
    await breakOff(reply.breakOff.how, context);
    return;
  }
  const { usage, ...delta } = ending(reply, content);
  await send({ type: "message_delta", delta, usage });
  await send({ type: "message_stop" });
  response.end();
}

async function breakOff(how: "cut" | "hang", { response, signal }: ReplyContext): Promise<void> {
  if (how === "hang") {
    await aborted(signal);
    return;
  }
  response.destroy();
}

function envelope(request: ModelRequest): Record<string, unknown> {
  const model = request.body?.model ?? "stub";
  const usage = { input_tokens: 10, output_tokens: 1, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 };
  return { id: `msg_${randomUUID().replaceAll("-", "")}`, type: "message", role: "assistant", model, usage };
}

function ending(
  reply: MessageReply,
  content: readonly ReplyBlock[],
): { stop_reason: string; stop_sequence: null; usage: object } {
  const asksForTool = content.some((block) => block.type === "tool_use");
  const stopReason = reply.stopReason ?? (asksForTool ? "tool_use" : "end_turn");
  return { stop_reason: stopReason, stop_sequence: null, usage: { input_tokens: 10, output_tokens: 5 } };
}

function emptied(block: ReplyBlock): ReplyBlock {
  switch (block.type) {
    case "text":
      return { ...block, text: "" };
    case "thinking":
      return { ...block, thinking: "" };
    case "tool_use":
      return { ...block, input: {} };
  }
}

function* deltasOf(block: ReplyBlock, deltaChars: number | undefined): Generator<Record<string, string>> {
  const text =
    block.type === "text" ? block.text : block.type === "thinking" ? block.thinking : JSON.stringify(block.input);
  const size = deltaChars ?? Math.max(deltaCharsDefault, Math.ceil(text.length / deltasMax));
  for (let start = 0; start < text.length;) {
    let end = start + size;
    // A surrogate pair stays together: half of one is not a character and cannot be written as UTF-8.
    if (text.codePointAt(end - 1) !== text.charCodeAt(end - 1)) end += 1;
    const part = text.slice(start, end);
    start = end;
    if (block.type === "text") yield { type: "text_delta", text: part };
    else if (block.type === "thinking") yield { type: "thinking_delta", thinking: part };
    else yield { type: "input_json_delta", partial_json: part };
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
}
