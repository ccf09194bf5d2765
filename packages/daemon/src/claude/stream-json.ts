/**
 * The stream-json adapter: Claude Code's protocol as a pure engine. It is fed the bytes of the agent's stdout and hands out lines for
 * its stdin; processes, timers and ids come from outside.
 *
 * States: `open`; `ending` after `endSession` (no new turns, the one in flight may end); `closed` after `closed()` (everything that
 * waited is rejected, nothing is written any more).
 * Invariants: every relay settles (A1); one turn at a time; every permission request of the agent gets exactly one answer and no
 * answer means deny (A3); what is written is built here, because one bad line ends Claude Code.
 */
import { LineSplitter } from "@hl/core/rpc/line-splitter.ts";
import {
  AgentFailure,
  type AgentEvent,
  type AgentInfo,
  type ExitInfo,
  type JsonRpcAnswer,
  type RelayResult,
} from "./agent.ts";
import { ControlRequests } from "./control-requests.ts";
import { Permissions } from "./permissions.ts";
import { parseRelayMessage } from "./relay-message.ts";
import { relayResultOf } from "./relay-result.ts";
import { eventOfStream, eventOfSystem, eventsOfConversation } from "./stream-json-events.ts";
import {
  parseInitializeAnswer,
  parseLine,
  parsePendingRequest,
  type ControlRequest,
  type Incoming,
  type ResultMessage,
} from "./stream-json-messages.ts";
import { interruptGraceMsDefault, turnsWaitingMaxDefault, type StreamJsonOptions } from "./stream-json-options.ts";
import { Turns, type RelayOptions } from "./turns.ts";

const endSessionMsDefault = 3_000;
const jsonRpcMsMax = 10_000;

export class StreamJsonAgent {
  readonly #options: StreamJsonOptions;
  readonly #interruptGraceMs: number;
  readonly #lines: LineSplitter;
  readonly #control: ControlRequests;
  readonly #permissions: Permissions;
  readonly #turns: Turns;
  #info: AgentInfo | undefined;
  #sessionId: string | undefined;
  #closed: AgentFailure | undefined;

  constructor(options: StreamJsonOptions) {
    this.#options = options;
    this.#interruptGraceMs = options.interruptGraceMs ?? interruptGraceMsDefault;
    this.#lines = new LineSplitter({
      lineBytesMax: options.lineBytesMax,
      onLine: (bytes) => this.#onLine(bytes.toString("utf8")),
      onSkipped: (bytes) => this.#onSkipped(bytes),
    });
    const send = async (message: object): Promise<void> => await this.#write(`${JSON.stringify(message)}\n`);
    this.#control = new ControlRequests({ clock: options.clock, newId: options.newId, send });
    this.#permissions = new Permissions({
      send,
      onPermission: options.onPermission,
      context: () => ({ relayId: this.#turns.active?.relayId, sessionId: this.#sessionId }),
      onOpened: () => this.#pauseTurn(),
    });
    this.#turns = new Turns({
      clock: options.clock,
      turnsWaitingMax: options.turnsWaitingMax ?? turnsWaitingMaxDefault,
      interruptGraceMs: this.#interruptGraceMs,
      relayIdsKnown: options.relayIdsKnown ?? [],
      send: async (line) => await this.#write(line),
      interrupt: () => void this.interrupt().catch(() => {}),
      onEnded: (turn, result) => this.#emit({ type: "agent.turn_completed", result, relayId: turn.relayId }),
    });
  }

  /** Bytes of the agent's stdout, in any portions. */
  receive(chunk: Uint8Array): void {
    this.#lines.push(chunk);
  }

  /**
   * Resolves when the agent is ready. Done again on a live process, after the daemon has attached to it anew, it takes up the
   * permission requests that are open there, and lets a turn that runs there end before the next is sent.
   */
  async initialize(timeoutMs: number): Promise<AgentInfo> {
    const answer = await this.#control.request({ subtype: "initialize" }, timeoutMs);
    const said = parseInitializeAnswer(answer.response);
    this.#info = {
      protocol: "stream-json",
      pid: said.pid,
      agent_version: said.claude_code_version,
      session_id: said.session_id ?? this.#sessionId,
      state: said.session_state,
      permission_mode: said.current_permission_mode,
      capabilities: said.capabilities ?? [],
      models: said.models?.map((model) => model.value) ?? [],
    };
    const busy = said.session_state === "running" || said.session_state === "requires_action";
    if (busy && !this.#turns.active) this.#turns.hold();
    this.#emit({ type: "agent.ready", info: this.#info, raw: answer.response });
    for (const pending of answer.pending_permission_requests ?? []) {
      const request = parsePendingRequest(pending);
      if (request) this.#onControlRequest(request, pending);
      else this.#emit({ type: "agent.unknown", raw: pending });
    }
    return this.#info;
  }

  /**
   * One turn, or the answer to a JSON-RPC `system/ping` or `system/info`. Rejects with an `AgentFailure`: `timeout`, `exited`, `busy`,
   * `cancelled` or `invalid_message`.
   */
  async relay(message: unknown, options: RelayOptions): Promise<RelayResult | JsonRpcAnswer> {
    const parsed = parseRelayMessage(message);
    if (parsed.kind === "prompt") return await this.#turns.relay(parsed, options);
    const latencyMs = await this.ping(Math.min(options.timeoutMs, jsonRpcMsMax));
    const pong = { status: "ok", agent_version: this.#info?.agent_version, latency_ms: latencyMs };
    const result = parsed.method === "system/ping" ? pong : { ...pong, ...this.#info, session_id: this.#sessionId };
    return { jsonrpc: "2.0", id: parsed.id, result };
  }

  /**
   * Waits for a relay that an earlier life of the daemon has sent to this process, without sending it again. Call it before the first
   * `receive`, so that its result is not missed where it is in the output that was kept meanwhile.
   */
  async adopt(options: RelayOptions): Promise<RelayResult> {
    return await this.#turns.adopt(options);
  }

  /** Ends the turn in flight, which then answers with an `interrupted` error; without one it does nothing. */
  async interrupt(): Promise<void> {
    // A line that the agent has read but not begun is taken back too, else an interrupt right after a relay would miss it.
    await this.#control.request({ subtype: "interrupt", cancel_queued: true }, this.#interruptGraceMs);
  }

  /** Milliseconds until the agent answered; it does so in every state, so a late answer means that it hangs. */
  async ping(timeoutMs: number): Promise<number> {
    const startedAt = this.#options.clock.now();
    await this.#control.request({ subtype: "get_binary_version" }, timeoutMs);
    return this.#options.clock.now() - startedAt;
  }

  /** Asks the agent to end; it interrupts its turn first. Resolves when it has agreed or has gone, rejects with `timeout`. */
  async endSession(timeoutMs: number = endSessionMsDefault): Promise<void> {
    if (this.#closed) return;
    this.#turns.refuse(new AgentFailure("exited", "The agent's session is ending."));
    try {
      await this.#control.request({ subtype: "end_session" }, timeoutMs);
    } catch (error) {
      if (!(error instanceof AgentFailure && error.kind === "exited")) throw error;
    }
  }

  /** The process has ended and its output has been read: rejects all that waits. */
  closed(exit: ExitInfo): void {
    if (this.#closed) return;
    this.#lines.end();
    const how = exit.signal === null ? `with exit code ${exit.code ?? "unknown"}` : `by ${exit.signal}`;
    this.#closed = new AgentFailure("exited", `The agent ended ${how}.`, { exit });
    this.#permissions.close();
    this.#control.close(this.#closed);
    this.#turns.close(this.#closed);
  }

  async #write(line: string): Promise<void> {
    if (this.#closed) throw this.#closed;
    await this.#options.write(line);
  }

  #emit(event: AgentEvent): void {
    this.#options.onEvent({ relayId: this.#turns.active?.relayId, sessionId: this.#sessionId, ...event });
  }

  #onLine(line: string): void {
    if (line.trim() === "") return;
    const parsed = parseLine(line);
    if (parsed.kind === "message") this.#onMessage(parsed.message, parsed.raw);
    else if (parsed.kind === "unknown") this.#emit({ type: "agent.unknown", raw: parsed.raw });
    else this.#emit({ type: "agent.log", stream: "stdout", text: parsed.text });
  }

  #onSkipped(bytes: number): void {
    if (this.#turns.active) this.#turns.active.lineSkipped = true;
    this.#emit({ type: "agent.line_skipped", bytes, lineBytesMax: this.#options.lineBytesMax });
  }

  #onMessage(message: Incoming, raw: unknown): void {
    if ("session_id" in message && typeof message.session_id === "string" && message.session_id !== "") {
      this.#sessionId = message.session_id;
      this.#turns.onSession(message.session_id);
    }
    switch (message.type) {
      case "stream_event": {
        const event = eventOfStream(message);
        if (event?.kind === "text" && event.subagentOf === undefined) this.#turns.active?.addDelta(event.text);
        if (event) this.#emit(event);
        return;
      }
      case "assistant":
      case "user": {
        const { events, text } = eventsOfConversation(message, raw);
        if (text !== "") this.#turns.active?.addText(text);
        for (const event of events) this.#emit(event);
        return;
      }
      case "system": {
        const event = eventOfSystem(message, raw);
        if (event) this.#emit(event);
        if (event?.type === "agent.status" && event.state === "idle") this.#turns.release();
        return;
      }
      case "result": {
        this.#onResult(message, raw);
        return;
      }
      case "command_lifecycle": {
        this.#turns.onLifecycle(message.command_uuid, message.state);
        return;
      }
      case "control_request": {
        this.#onControlRequest(message, raw);
        return;
      }
      case "control_cancel_request": {
        this.#permissions.onWithdrawn(message.request_id);
        return;
      }
      case "control_response":
        if (!this.#control.onResponse(message)) this.#emit({ type: "agent.unknown", raw });
    }
  }

  #onResult(message: ResultMessage, raw: unknown): void {
    // Not ours: a turn that ran when the daemon attached, or one that the agent began by itself.
    if (!this.#turns.onResult(message, raw)) {
      this.#emit({ type: "agent.turn_completed", result: relayResultOf(message, raw, ""), relayId: undefined });
    }
  }

  #onControlRequest(message: ControlRequest, raw: unknown): void {
    if (this.#permissions.onRequest(message, raw)) return;
    this.#emit({ type: "agent.unknown", raw });
    // Unanswered it would hang the turn for good.
    const error = `Not supported here: ${message.request.subtype}`;
    const response = { subtype: "error", request_id: message.request_id, error };
    void this.#write(`${JSON.stringify({ type: "control_response", response })}\n`).catch(() => {});
  }

  #pauseTurn(): () => void {
    const turn = this.#turns.active;
    turn?.pause();
    return () => turn?.resume();
  }
}
