/**
 * The stream-json adapter: Claude Code's protocol as a pure engine.
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
import { ControlRequests, type ControlAnswer } from "./control-requests.ts";
import { Permissions } from "./permissions.ts";
import type { AgentEngine } from "./engine.ts";
import { parseRelayMessage, promptLine, uuidOfRelay } from "./relay-message.ts";
import { relayResultOf } from "./relay-result.ts";
import { eventOfStream, eventOfSystem, eventsOfConversation } from "./stream-json-events.ts";
import { agentInfoOf, parseLine, type Incoming } from "./stream-json-messages.ts";
import { endByIdle, endByLifecycle, endByResult } from "./stream-json-turn-ends.ts";
import {
  endSessionMsDefault,
  interruptGraceMsDefault,
  jsonRpcMsMax,
  turnsWaitingMaxDefault,
  type StreamJsonOptions,
} from "./stream-json-options.ts";
import { toolHooks } from "./tool-hook.ts";
import { Turns, type RelayOptions } from "./turns.ts";

export class StreamJsonAgent implements AgentEngine {
  readonly #options: StreamJsonOptions;
  readonly #interruptGraceMs: number;
  readonly #lines: LineSplitter;
  readonly #control: ControlRequests;
  readonly #permissions: Permissions;
  readonly #turns: Turns;
  #info: AgentInfo | undefined;
  #sessionId: string | undefined;
  #closed: AgentFailure | undefined;
  #afterGap = false;
  #attaching = false;

  constructor(options: StreamJsonOptions) {
    this.#options = options;
    this.#interruptGraceMs = options.interruptGraceMs ?? interruptGraceMsDefault;
    this.#lines = new LineSplitter({
      lineBytesMax: options.lineBytesMax,
      onLine: (bytes) => this.#onLine(bytes.toString("utf8")),
      onSkipped: (bytes) => {
        this.#turns.skipped();
        this.#emit({ type: "agent.line_skipped", bytes, lineBytesMax: options.lineBytesMax });
      },
    });
    const send = (message: object): Promise<void> => this.#write(`${JSON.stringify(message)}\n`);
    this.#control = new ControlRequests({ clock: options.clock, newId: options.newId, send });
    this.#permissions = new Permissions({
      send,
      onPermission: options.onPermission,
      onToolUse: options.onToolUse,
      onAttached: options.onAttached,
      onUnknown: (raw) => this.#emit({ type: "agent.unknown", raw }),
      context: () => ({ relayId: this.#turns.active?.relayId, sessionId: this.#sessionId }),
      onOpened: () => {
        const turn = this.#turns.active;
        turn?.pause();
        return () => turn?.resume();
      },
    });
    this.#turns = new Turns({
      clock: options.clock,
      turnsWaitingMax: options.turnsWaitingMax ?? turnsWaitingMaxDefault,
      interruptGraceMs: this.#interruptGraceMs,
      relayIdsKnown: options.relayIdsKnown ?? [],
      send: (turn) => options.writeTurn?.(turn) ?? this.#write(turn.line),
      interrupt: () => void this.#interruptTurn().catch(() => {}),
      takeBack: ({ uuid }) => {
        const request = { subtype: "cancel_async_message", message_uuid: uuid };
        this.#control.request(request, this.#interruptGraceMs).catch(() => {});
      },
      onEnded: ({ relayId }, result, shared) =>
        this.#emit({ type: "agent.turn_completed", result, relayId, ...(shared ? { shared } : {}) }),
    });
  }

  /** Bytes of the agent's stdout, in any portions. */
  receive(chunk: Uint8Array): void {
    this.#lines.push(chunk);
  }

  /** Bytes of the output are missing before the next ones. */
  lost(bytes: number): void {
    this.#lines.drop();
    this.#afterGap = true;
    this.#turns.skipped();
    this.#emit({ type: "agent.gap", bytes });
  }

  /** Before the first `receive` on a process of before: what comes is its past, and no turn is started, until it answers `initialize`. */
  attach(): void {
    this.#attaching = true;
    this.#turns.hold("attaching");
    this.#permissions.attach();
  }

  /** After `attach`: takes up the relay that an earlier life of the daemon has sent. Its result is taken from the output. */
  adopt(relayId: string, steered?: boolean): void {
    this.#turns.adopt(relayId, steered);
  }

  /**
   * Resolves when the agent is ready. After `attach` it takes up the permission requests that are open there, and lets a turn that runs
   * there end before the next is sent. Without a time limit it waits as long as the process lives.
   */
  async initialize(timeoutMs: number | undefined): Promise<AgentInfo> {
    const request = { subtype: "initialize", ...(this.#options.onToolUse ? { hooks: toolHooks } : {}) };
    const answer = await this.#control.request(request, timeoutMs, (said) => this.#onReady(said));
    return this.#info ?? agentInfoOf(answer.response, undefined);
  }

  /**
   * One turn, or the answer to a JSON-RPC `system/ping` or `system/info`. Rejects with an `AgentFailure`: `timeout`, `exited`, `busy`,
   * `cancelled` or `invalid_message`.
   */
  async relay(message: unknown, options: RelayOptions): Promise<RelayResult | JsonRpcAnswer> {
    const parsed = parseRelayMessage(message);
    if (parsed.kind === "prompt") {
      return await this.#turns.relay(promptLine(parsed.content, uuidOfRelay(options.relayId)), options);
    }
    const latency_ms = await this.ping(Math.min(options.timeoutMs, jsonRpcMsMax));
    const more = parsed.method === "system/ping" ? {} : { ...this.#info, session_id: this.#sessionId };
    const result = { status: "ok", agent_version: this.#info?.agent_version, latency_ms, ...more };
    return { jsonrpc: "2.0", id: parsed.id, result };
  }

  /** The turn that has the slot. */
  get turnInFlight(): Turns["active"] {
    return this.#turns.active;
  }

  get turnsSent(): Turns["sent"] {
    return this.#turns.sent;
  }

  get turnsWaiting(): number {
    return this.#turns.waiting;
  }

  /** Ends the turn in flight and what was steered into it, which then answer with an `interrupted` error; without one it does nothing. */
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
    await this.#control.request({ subtype: "end_session" }, timeoutMs).catch((error: unknown) => {
      if (!(error instanceof AgentFailure && error.kind === "exited")) throw error;
    });
  }

  /** The process has ended and its output has been read: rejects all that waits. */
  closed(exit: ExitInfo): void {
    if (this.#closed) return;
    this.#lines.end();
    const how = exit.signal === null ? `with exit code ${exit.code ?? "unknown"}` : `by ${exit.signal}`;
    this.#close(new AgentFailure("exited", `The agent ended ${how}.`, { exit }));
  }

  /** The process goes on without us: rejects all that waits, as `cancelled`. */
  abandon(): void {
    if (!this.#closed) this.#close(new AgentFailure("cancelled", "The daemon has let go of the agent."));
  }

  #close(failure: AgentFailure): void {
    this.#closed = failure;
    this.#permissions.close(failure.kind === "cancelled" ? "detached" : "lost");
    this.#control.close(failure);
    this.#turns.close(failure);
  }

  /** A steered message that the agent has not taken into the turn is somebody else's: it is begun next. */
  async #interruptTurn(): Promise<void> {
    const [turn, ...steered] = this.#turns.sent;
    if (turn?.state !== "started" || steered.length === 0) await this.interrupt();
    else await this.#control.request({ subtype: "interrupt" }, this.#interruptGraceMs);
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
    const rest = this.#afterGap && parsed.kind === "text"; // Of a line whose beginning is missing.
    this.#afterGap = false;
    if (rest) return;
    if (parsed.kind === "message") this.#onMessage(parsed.message, parsed.raw);
    else if (parsed.kind === "unknown") this.#emit({ type: "agent.unknown", raw: parsed.raw });
    else this.#emit({ type: "agent.log", stream: "stdout", text: parsed.text });
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
        if (event?.type === "agent.status" && event.state === "idle") {
          endByIdle(this.#turns, this.#sessionId);
          this.#turns.release("foreign_turn");
        }
        return;
      }
      case "result":
        // Not ours: a turn that ran when the daemon attached, or one that the agent began by itself.
        if (!endByResult(this.#turns, message, raw)) {
          this.#emit({ type: "agent.turn_completed", result: relayResultOf(message, raw, ""), relayId: undefined });
        }
        return;
      case "command_lifecycle":
        endByLifecycle(this.#turns, message.command_uuid, message.state, this.#sessionId);
        return;
      case "control_request":
        this.#permissions.onRequest(message, raw);
        return;
      case "control_cancel_request":
        this.#permissions.onWithdrawn(message.request_id);
        return;
      case "control_response":
        // Of the past: it answered an earlier life of the daemon, and was news there.
        if (!this.#control.onResponse(message) && !this.#attaching) this.#emit({ type: "agent.unknown", raw });
    }
  }

  #onReady({ response, pending_permission_requests: pending }: ControlAnswer): void {
    this.#info = agentInfoOf(response, this.#sessionId);
    const busy = this.#info.state === "running" || this.#info.state === "requires_action";
    if (busy && !this.#turns.active) this.#turns.hold("foreign_turn");
    this.#emit({ type: "agent.ready", info: this.#info, raw: response });
    this.#permissions.attached(pending);
    if (this.#attaching && !busy) this.#turns.endLost();
    this.#attaching = false;
    this.#turns.release("attaching");
  }
}
