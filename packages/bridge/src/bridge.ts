/**
 * Both ends of the bridge: requests of the client become turns and control requests of Claude Code, its permission requests become
 * `approval/request`, what it says meanwhile `message/event`.
 *
 * States: open → ending (`session/end`, or the client has closed its end: what was asked is still answered) → ended with Claude Code.
 */
import { randomUUID } from "node:crypto";
import type { Clock } from "@hl/core/clock.ts";
import { rpcCode, RpcError, type WireError } from "@hl/core/rpc/error.ts";
import type { RequestHandler } from "@hl/core/rpc/answer.ts";
import type { RequestMessage } from "@hl/core/rpc/message.ts";
import type { Peer } from "@hl/core/rpc/peer.ts";
import {
  AgentFailure,
  type AgentEvent,
  type AgentInfo,
  type Decision,
  type ExitInfo,
  type PermissionRequest,
} from "@hl/daemon/claude/agent.ts";
import { StreamJsonAgent } from "@hl/daemon/claude/stream-json.ts";
import { version } from "@hl/protocol/version.ts";
import * as z from "zod";

export interface BridgeOptions {
  readonly clock: Clock;
  readonly write: (line: string) => Promise<void>;
  /** The client's end; it is opened when the bridge is there. */
  readonly client: () => Pick<Peer, "request" | "notify">;
  readonly lineBytesMax: number;
  /** The conversation's, where it is known before Claude Code says it. */
  readonly sessionId: string | undefined;
}

/** The longest that a timer can wait; a turn without a time limit of its own ends before. */
const turnMsMax = 2 ** 31 - 1;
const readyMsMax = 60_000;
const pingMsMax = 10_000;
const endMsMax = 3_000;
/** What a client sees when Claude Code could not be asked, by why. */
const failed = -32000;
const uuid = z.uuid();

const sendParams = z
  .object({
    text: z.string().min(1).optional(),
    content: z.array(z.looseObject({ type: z.string() })).optional(),
    relay_id: z.uuid().optional(),
  })
  .refine(({ text, content }) => (text === undefined) !== (content === undefined), "give either text or content");

const decision = z.object({
  decision: z.enum(["allow", "deny"]),
  message: z.string().optional(),
  interrupt: z.boolean().optional(),
  updated_input: z.record(z.string(), z.unknown()).optional(),
  remember: z.literal("session").optional(),
});

const methods = ["system/ping", "system/info", "message/send", "message/interrupt", "session/end"];

export class Bridge implements RequestHandler {
  readonly #options: BridgeOptions;
  readonly #engine: StreamJsonAgent;
  readonly #serving = new Set<Promise<unknown>>();
  /** What the end waits for, which is not the request for it. */
  readonly #beforeEnd = new Set<Promise<unknown>>();
  #ready: Promise<AgentInfo> | undefined;
  #sessionId: string | undefined;
  #turns = 0;
  #ending: Promise<void> | undefined;

  constructor(options: BridgeOptions) {
    this.#options = options;
    this.#sessionId = options.sessionId;
    this.#engine = new StreamJsonAgent({
      ...{ write: options.write, clock: options.clock, newId: randomUUID, lineBytesMax: options.lineBytesMax },
      onEvent: (event) => this.#onEvent(event),
      onPermission: (request) => this.#askClient(request),
    });
  }

  /** Output of Claude Code. */
  receive(chunk: Uint8Array): void {
    this.#engine.receive(chunk);
  }

  /** Begins with Claude Code; what is asked meanwhile waits for it. */
  start(): void {
    this.#ready = this.#engine.initialize(readyMsMax);
    this.#ready.catch(() => {}); // Told to whoever asks.
  }

  async request(message: RequestMessage): Promise<unknown> {
    const served = this.#serve(message);
    track(this.#serving, served);
    if (message.method !== "session/end") track(this.#beforeEnd, served);
    return await served;
  }

  describe(error: unknown): WireError {
    if (error instanceof RpcError) return error;
    if (error instanceof AgentFailure) {
      const code = error.kind === "invalid_message" ? rpcCode.invalidParams : failed;
      return { code, message: error.message, data: { kind: error.kind, ...error.facts } };
    }
    return { code: rpcCode.internalError, message: error instanceof Error ? error.message : String(error) };
  }

  /** The client asks for nothing more. What it asked is answered, a turn by being interrupted; then Claude Code ends. */
  end(): Promise<void> {
    return (this.#ending ??= this.#end());
  }

  get ending(): boolean {
    return this.#ending !== undefined;
  }

  /** Claude Code has ended and its output was read. Resolves when every request was answered. */
  async closed(exit: ExitInfo): Promise<void> {
    this.#engine.closed(exit);
    await Promise.allSettled(this.#serving);
  }

  async #end(): Promise<void> {
    // Turns are ended below; the rest is answered first: `echo ping | claude-code --stdio` closes at once.
    if (this.#turns === 0) await Promise.allSettled(this.#beforeEnd);
    await this.#engine.endSession(endMsMax);
  }

  async #serve({ id, method, params }: RequestMessage): Promise<unknown> {
    switch (method) {
      case "system/ping": {
        const info = await this.#ready;
        return {
          status: "ok",
          version,
          agent_version: info?.agent_version,
          latency_ms: await this.#engine.ping(pingMsMax),
        };
      }
      case "system/info": {
        const info = await this.#ready;
        return {
          ...info,
          name: "claude-code",
          version,
          protocol: "jsonrpc",
          session_id: this.#sessionId ?? info?.session_id,
          state: this.#turns > 0 ? "running" : "idle",
          methods,
        };
      }
      case "message/send":
        return await this.#send(id, params);
      case "message/interrupt": {
        const interrupted = this.#turns > 0;
        if (interrupted) await this.#engine.interrupt();
        return { interrupted };
      }
      case "session/end":
        await this.end();
        return {};
      default:
        throw new RpcError(
          rpcCode.methodNotFound,
          `there is no method ${JSON.stringify(method)}; there are ${methods.join(", ")}`,
        );
    }
  }

  async #send(id: RequestMessage["id"], params: unknown): Promise<unknown> {
    const parsed = sendParams.safeParse(params);
    if (!parsed.success) throw new RpcError(rpcCode.invalidParams, `message/send: ${z.prettifyError(parsed.error)}`);
    const { text, content, relay_id } = parsed.data;
    await this.#ready;
    // A request's id that is a UUID names the turn: sent again, also to a resumed conversation, it is not run twice.
    const relayId = relay_id ?? uuid.safeParse(id).data ?? randomUUID();
    const message = text ?? { type: "user", message: { role: "user", content } };
    this.#turns += 1;
    try {
      const result = await this.#engine.relay(message, { relayId, timeoutMs: turnMsMax });
      return { ...result, raw: undefined };
    } finally {
      this.#turns -= 1;
    }
  }

  async #askClient(request: PermissionRequest): Promise<Decision> {
    const answer = await this.#options.client().request(
      "approval/request",
      {
        tool_name: request.toolName,
        input: request.input,
        tool_use_id: request.toolUseId,
        title: request.title,
        description: request.description,
        reason: request.reason,
        blocked_path: request.blockedPath,
        subagent_id: request.subagentId,
        requires_user_interaction: request.requiresUserInteraction,
        can_remember: request.canRemember,
        session_id: request.sessionId,
      },
      { signal: request.withdrawn },
    );
    const { data } = decision.safeParse(answer);
    if (data === undefined) return { behavior: "deny", message: "The decision was in a shape that is not known." };
    if (data.decision === "allow")
      return { behavior: "allow", updatedInput: data.updated_input, remember: data.remember };
    return { behavior: "deny", message: data.message ?? "Denied.", interrupt: data.interrupt };
  }

  #onEvent(event: AgentEvent): void {
    this.#sessionId = event.sessionId ?? this.#sessionId;
    // What answers have as well is not told twice, and no message of Claude Code in its whole length.
    if (event.type === "agent.ready" || event.type === "agent.turn_completed") return;
    const { type, relayId: relay_id, sessionId: session_id, ...said } = event;
    const data = { ...said, ...(type === "agent.unknown" ? {} : { raw: undefined }) };
    const params = { type: type.replace(/^agent\./, ""), relay_id, session_id, data };
    this.#options
      .client()
      .notify("message/event", params)
      .catch(() => {}); // The client has gone, which is told elsewhere.
  }
}

function track(set: Set<Promise<unknown>>, served: Promise<unknown>): void {
  set.add(served);
  const done = (): void => void set.delete(served);
  served.then(done, done);
}
