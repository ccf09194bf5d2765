/**
 * The Agent Client Protocol, version 1, from its client's side. Files and terminals are not offered to the agent: it has its own, in its
 * sandbox. The few methods that are needed are spoken here as they are; a library would bring more code than it replaces.
 */
import type { RelayError, RelayResult } from "../agent.ts";
import { AgentFailure } from "../agent.ts";
import type { AgentProtocol } from "../engine.ts";
import { parseAcpRelay } from "./acp-message.ts";
import { chunkUpdate, promptResult, toolUpdate } from "./acp-messages.ts";
import { acpPermission } from "./acp-permission.ts";
import { beginAcpSession } from "./acp-session.ts";
import { AcpTools } from "./acp-tools.ts";
import type { RpcDialect, RpcLink } from "./rpc-dialect.ts";
import { RpcEngine } from "./rpc-engine.ts";
import { isObject, type RpcAnswer } from "./rpc-lines.ts";

/** No agent knows it, and every one answers: the cheapest sign of life that the protocol has. */
const pingMethod = "_hl/ping";
const errorCharsMax = 4_096;

export const acpProtocol: AgentProtocol = {
  name: "acp",
  engine: (options) => new RpcEngine(options, (link) => new AcpDialect(link, options.lineBytesMax)),
  turnLine: (message, relayId, sessionId) => {
    const relay = parseAcpRelay(message, relayId, sessionId);
    return relay.kind === "turn" ? relay.line : undefined;
  },
  response: (result) => result,
};

class AcpDialect implements RpcDialect {
  readonly protocol = "acp";
  readonly givesUp = false;
  readonly #link: RpcLink;
  readonly #textCharsMax: number;
  readonly #tools = new AcpTools();
  /** What the agent has said in the turn: chunks, because a long answer comes in thousands of them. */
  #said: string[] = [];
  #saidChars = 0;
  #sessionId: string | undefined;
  #canClose = false;
  /** A session that is loaded repeats its past. */
  #opening = false;

  constructor(link: RpcLink, textCharsMax: number) {
    this.#link = link;
    this.#textCharsMax = textCharsMax;
    if (link.session.known) this.#sessionId = link.session.id;
  }

  get sessionId(): string | undefined {
    return this.#sessionId;
  }

  async begin(timeoutMs: number | undefined) {
    this.#opening = true;
    const { info, sessionId, canClose } = await beginAcpSession(this.#link, timeoutMs);
    this.#opening = false;
    this.#sessionId = sessionId;
    this.#canClose = canClose;
    return info;
  }

  parse(message: unknown, relayId: string) {
    return parseAcpRelay(message, relayId, this.#sessionId ?? this.#link.session.id);
  }

  onNotification(method: string, params: unknown, raw: unknown): void {
    if (this.#opening) return;
    const tool = method === "session/update" ? toolUpdate.safeParse(params).data : undefined;
    if (tool !== undefined) {
      const events = this.#tools.eventsOf(tool.update, raw, (toolUseId) => this.#link.onToolOver(toolUseId));
      for (const event of events) this.#link.emit(event);
      return;
    }
    const chunk = method === "session/update" ? chunkUpdate.safeParse(params).data : undefined;
    if (chunk === undefined) {
      this.#link.emit({ type: "agent.notification", method, params, raw });
      return;
    }
    const { sessionUpdate, content } = chunk.update;
    const thought = sessionUpdate === "agent_thought_chunk";
    if (!thought) this.#say(content.text);
    this.#link.emit({ type: "agent.delta", kind: thought ? "thinking" : "text", text: content.text });
  }

  permissionOf(method: string, params: unknown, raw: unknown) {
    if (method !== "session/request_permission") return undefined;
    return acpPermission(params, raw, this.#tools, () => void this.interrupt().catch(() => {}));
  }

  withdrawnBy(method: string, params: unknown): unknown {
    return method === "$/cancel_request" && isObject(params) ? params["requestId"] : undefined;
  }

  resultOf(answer: RpcAnswer, _turn: unknown, raw: unknown): RelayResult {
    const text = this.#said.join("");
    const cut = this.#saidChars > text.length;
    this.#said = [];
    this.#saidChars = 0;
    this.#tools.clear();
    const ended = "result" in answer ? promptResult.safeParse(answer.result).data : undefined;
    const error =
      "error" in answer ? errorOf(answer.error) : errorOfStop(ended?.stopReason, cut ? this.#textCharsMax : undefined);
    if (text !== "") this.#link.emit({ type: "agent.message", text, thinking: "", raw: null });
    return {
      text,
      is_error: error !== undefined,
      ...(error === undefined ? {} : { error }),
      stop_reason: ended?.stopReason ?? null,
      session_id: this.#sessionId,
      usage: ended?.usage,
      raw,
    };
  }

  response(result: RelayResult): RelayResult {
    return result;
  }

  /** Its end comes as the answer to the prompt. */
  async interrupt(): Promise<void> {
    this.#link.cancelPermissions();
    await this.#link.notify("session/cancel", { sessionId: this.#sessionId });
  }

  async ping(timeoutMs: number | undefined): Promise<void> {
    await this.#link.ask(pingMethod, {}, timeoutMs);
  }

  async end(timeoutMs: number): Promise<void> {
    if (this.#link.turnInFlight() !== undefined) await this.interrupt();
    try {
      if (this.#canClose) await this.#link.ask("session/close", { sessionId: this.#sessionId }, timeoutMs);
    } catch (error) {
      if (!(error instanceof AgentFailure && error.kind === "timeout")) throw error;
    }
    this.#link.endInput();
  }

  #say(text: string): void {
    const turn = this.#link.turnInFlight();
    if (turn === undefined) return;
    turn.addDelta(text);
    this.#saidChars += text.length;
    if (this.#saidChars <= this.#textCharsMax) this.#said.push(text);
  }
}

function errorOf(error: Readonly<{ code: number; message: string; data?: unknown }>): RelayError {
  const kind = isObject(error.data) && error.data["errorKind"] !== undefined ? "api" : "other";
  return { kind: error.code === -32000 ? "api" : kind, message: error.message.slice(0, errorCharsMax) };
}

function errorOfStop(reason: string | undefined, cutAt: number | undefined): RelayError | undefined {
  switch (reason) {
    case "end_turn":
      return cutAt === undefined
        ? undefined
        : { kind: "limit", message: `The answer was longer than ${cutAt} characters; the rest is in the events only.` };
    case "cancelled":
      return { kind: "interrupted", message: "The turn was cancelled." };
    case "max_tokens":
      return { kind: "limit", message: "The model's limit of tokens was reached." };
    case "max_turn_requests":
      return { kind: "max_turns", message: "The agent's limit of requests in a turn was reached." };
    case "refusal":
      return { kind: "other", message: "The agent refused to go on." };
    default:
      return { kind: "other", message: `The turn ended with ${JSON.stringify(reason ?? null)}.` };
  }
}
