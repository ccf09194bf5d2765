/**
 * The engine for agents that speak JSON-RPC over lines, whatever their dialect: turns, permission requests and what comes beside them.
 *
 * States: `open`; `ending` after `endSession` (no new turns); `closed` after `closed()` or `abandon()`.
 * Invariants: every relay settles (A1); one turn at a time, under an id that follows from its relay id, so that its answer is found in the
 * log after a restart (P3); every request of the agent gets one answer, and no decision means deny (A3).
 */
import { AgentFailure, type AgentEvent, type AgentInfo, type AgentState, type ExitInfo } from "../agent.ts";
import type { AgentEngine, EngineOptions } from "../engine.ts";
import { relayResultWithoutMessage } from "../relay-result.ts";
import { interruptGraceMsDefault, jsonRpcMsMax, turnsWaitingMaxDefault } from "../stream-json-options.ts";
import type { Turn } from "../turn-queue.ts";
import { Turns, type RelayOptions } from "../turns.ts";
import type { RpcDialect, RpcLink } from "./rpc-dialect.ts";
import { RpcLines, type RpcAnswer, type RpcId } from "./rpc-lines.ts";
import { RpcPermissions } from "./rpc-permissions.ts";

/** Turns that were given up and whose answers may still come. */
const givenUpMax = 100;
/** What is no turn has no record to be completed from, so it has to fit into one frame to the shim. */
const sideBytesMax = 1_000_000;

export class RpcEngine implements AgentEngine {
  readonly #options: EngineOptions;
  readonly #interruptGraceMs: number;
  readonly #lines: RpcLines;
  readonly #permissions: RpcPermissions;
  readonly #turns: Turns;
  readonly #dialect: RpcDialect;
  /** Relay ids by the id that they had on the wire. */
  readonly #givenUp = new Map<string, string>();
  #closed: AgentFailure | undefined;
  #attaching = false;

  constructor(options: EngineOptions, dialect: (link: RpcLink) => RpcDialect) {
    this.#options = options;
    this.#interruptGraceMs = options.interruptGraceMs ?? interruptGraceMsDefault;
    const { write, clock, newId, lineBytesMax, session } = options;
    this.#lines = new RpcLines({
      ...{ write, clock, newId, lineBytesMax },
      onRequest: (id, method, params, raw) => this.#onRequest(id, method, params, raw),
      onNotification: (method, params, raw) => this.#onNotification(method, params, raw),
      onAnswer: (id, answer, raw) => this.#onAnswer(id, answer, raw),
      onUnknown: (raw) => this.#emit({ type: "agent.unknown", raw }),
      onText: (text) => this.#emit({ type: "agent.log", stream: "stdout", text }),
      onSkipped: (bytes) => {
        if (this.#turns.active) this.#turns.active.lineSkipped = true;
        this.#emit({ type: "agent.line_skipped", bytes, lineBytesMax });
      },
    });
    this.#permissions = new RpcPermissions({
      respond: (id, answer) => this.#lines.respond(id, answer),
      onPermission: options.onPermission,
      onAttached: options.onAttached,
      context: () => ({ relayId: this.#turns.active?.relayId, sessionId: this.#dialect.sessionId }),
      onOpened: () => this.#onPermissionOpened(),
    });
    this.#turns = new Turns({
      clock,
      turnsWaitingMax: options.turnsWaitingMax ?? turnsWaitingMaxDefault,
      interruptGraceMs: this.#interruptGraceMs,
      relayIdsKnown: [],
      send: (turn) => this.#send(turn),
      interrupt: () => void this.interrupt().catch(() => {}),
      onEnded: (turn, result) => {
        this.#permissions.withdrawAll(false);
        this.#emit({ type: "agent.turn_completed", result, relayId: turn.relayId });
      },
      onUnconfirmed: (turn) => this.#giveUp(turn),
    });
    this.#dialect = dialect({
      session,
      ask: (method, params, timeoutMs) => this.#lines.ask(method, params, timeoutMs),
      notify: (method, params) => this.#lines.notify(method, params),
      emit: (event) => this.#emit(event),
      now: () => clock.now(),
      cancelPermissions: () => this.#permissions.withdrawAll(true),
      onToolOver: (toolUseId) => this.#permissions.onToolOver(toolUseId),
      endInput: options.endInput,
      turnInFlight: () => this.#turns.active,
    });
  }

  receive(chunk: Uint8Array): void {
    this.#lines.receive(chunk);
  }

  lost(bytes: number): void {
    this.#lines.lost();
    if (this.#turns.active) this.#turns.active.lineSkipped = true;
    this.#emit({ type: "agent.gap", bytes });
  }

  attach(): void {
    this.#attaching = true;
    this.#turns.hold("attaching");
    this.#permissions.attach();
  }

  adopt(relayId: string): void {
    this.#turns.adopt(relayId);
  }

  /** After `attach` to one that was ready it is only asked whether it is there: nothing is begun anew. */
  async initialize(timeoutMs: number | undefined): Promise<AgentInfo> {
    const again = this.#attaching && this.#options.session.known;
    const info = again ? await this.#pinged(timeoutMs) : await this.#dialect.begin(timeoutMs);
    this.#emit({ type: "agent.ready", info, raw: null });
    this.#permissions.attached();
    // What the agent has said before is read: where an answer is missing in it, and a part of it as well, the answer was there, unless the
    // agent says that it still works.
    const mayBeLost = this.#attaching && this.#turns.active?.lineSkipped === true;
    if (mayBeLost && (await this.#dialect.isBusy?.()) !== true) this.#turns.endLost();
    this.#attaching = false;
    this.#turns.release("attaching");
    return info;
  }

  async relay(message: unknown, options: RelayOptions): Promise<unknown> {
    if (options.steer === true) {
      const why = `${this.#dialect.protocol} has no way to send one into a turn that runs; leave steer out, and it waits for its turn.`;
      throw new AgentFailure("invalid_message", why, { sent: false });
    }
    const relay = this.#dialect.parse(message, options.relayId);
    if (relay.kind === "turn") {
      this.#assertFits(Buffer.byteLength(relay.line), this.#options.lineBytesMax);
      return this.#dialect.response(await this.#turns.relay(relay.line, options), message);
    }
    this.#assertFits(Buffer.byteLength(JSON.stringify(relay)), Math.min(sideBytesMax, this.#options.lineBytesMax));
    if (relay.kind === "notification") {
      await this.#lines.notify(relay.method, relay.params).catch((cause: unknown) => {
        const text = `The agent's standard input cannot be written: ${String(cause)}`;
        throw new AgentFailure("exited", text, { sent: false }, cause);
      });
      return null;
    }
    const { id, method, params } = relay;
    return {
      jsonrpc: "2.0",
      id,
      ...(await this.#lines.ask(method, params, Math.min(options.timeoutMs, jsonRpcMsMax))),
    };
  }

  get turnInFlight(): Turn | undefined {
    return this.#turns.active;
  }

  get turnsSent(): readonly Turn[] {
    return this.#turns.sent;
  }

  get turnsWaiting(): number {
    return this.#turns.waiting;
  }

  async interrupt(): Promise<void> {
    if (this.#closed) throw this.#closed;
    if (this.#turns.active) await this.#dialect.interrupt(this.#interruptGraceMs);
  }

  async ping(timeoutMs: number): Promise<number> {
    const startedAt = this.#options.clock.now();
    await this.#dialect.ping(timeoutMs);
    return this.#options.clock.now() - startedAt;
  }

  async endSession(timeoutMs: number): Promise<void> {
    if (this.#closed) return;
    this.#turns.refuse(new AgentFailure("exited", "The agent's session is ending."));
    await this.#dialect.end(timeoutMs).catch((error: unknown) => {
      if (!(error instanceof AgentFailure && error.kind === "exited")) throw error;
    });
  }

  closed(exit: ExitInfo): void {
    if (this.#closed) return;
    this.#lines.end();
    const how = exit.signal === null ? `with exit code ${exit.code ?? "unknown"}` : `by ${exit.signal}`;
    this.#close(new AgentFailure("exited", `The agent ended ${how}.`, { exit }));
  }

  abandon(): void {
    if (!this.#closed) this.#close(new AgentFailure("cancelled", "The daemon has let go of the agent."));
  }

  async #pinged(timeoutMs: number | undefined): Promise<AgentInfo> {
    await this.#dialect.ping(timeoutMs);
    const state = this.#turns.active ? "running" : "idle";
    return {
      protocol: this.#dialect.protocol,
      state,
      session_id: this.#dialect.sessionId,
      capabilities: [],
      models: [],
    };
  }

  /** It is told first: once it is written the agent may ask, and that state must not be overwritten. */
  async #send(turn: Turn): Promise<void> {
    this.#status("running");
    try {
      await (this.#options.writeTurn?.(turn) ?? this.#options.write(turn.line));
    } catch (error) {
      this.#status("idle");
      throw error;
    }
  }

  #close(failure: AgentFailure): void {
    this.#closed = failure;
    this.#permissions.withdrawAll(false, failure.kind === "cancelled" ? "detached" : "lost");
    this.#lines.close(failure);
    this.#turns.close(failure);
  }

  #assertFits(bytes: number, bytesMax: number): void {
    if (bytes <= bytesMax) return;
    const why = `The message has ${bytes} bytes; at most ${bytesMax} fit (communication.max_message_bytes).`;
    throw new AgentFailure("invalid_message", why, { sent: false });
  }

  #emit(event: AgentEvent): void {
    this.#options.onEvent({ relayId: this.#turns.active?.relayId, sessionId: this.#dialect.sessionId, ...event });
  }

  #status(state: AgentState): void {
    this.#emit({ type: "agent.status", state, raw: null });
  }

  #onPermissionOpened(): () => void {
    const turn = this.#turns.active;
    turn?.pause();
    this.#status("requires_action");
    return () => {
      turn?.resume();
      if (turn !== undefined && turn === this.#turns.active) this.#status("running");
    };
  }

  #onRequest(id: RpcId, method: string, params: unknown, raw: unknown): void {
    this.#confirmTurn();
    const asked = this.#dialect.permissionOf(method, params, raw);
    if (asked !== undefined) {
      this.#permissions.onRequest(id, asked);
      return;
    }
    this.#emit({ type: "agent.unknown", raw });
    // Unanswered it could hang the turn. In the past it was answered, or will be refused a second time for nothing.
    this.#lines.respond(id, { error: { code: -32601, message: `Not offered here: ${method}` } }).catch(() => {});
  }

  #onNotification(method: string, params: unknown, raw: unknown): void {
    this.#confirmTurn();
    const withdrawn = this.#dialect.withdrawnBy(method, params);
    if (withdrawn === undefined) this.#dialect.onNotification(method, params, raw);
    else this.#permissions.onWithdrawn(withdrawn);
  }

  #onAnswer(id: RpcId, answer: RpcAnswer, raw: unknown): void {
    const turn = this.#turns.active;
    if (turn !== undefined && turn.uuid === id) {
      this.#turns.end(turn, this.#dialect.resultOf(answer, turn, raw));
      return;
    }
    const relayId = typeof id === "string" ? this.#givenUp.get(id) : undefined;
    if (relayId === undefined) {
      // Of the past: it answered an earlier life of the daemon, and was news there.
      if (!this.#attaching) this.#emit({ type: "agent.unknown", raw });
      return;
    }
    this.#givenUp.delete(String(id));
    const text = `The answer to relay ${relayId} came after its time limit and was not delivered.`;
    this.#emit({ type: "agent.log", stream: "stdout", text });
  }

  /** Whatever it says in a turn, it has the turn's message. */
  #confirmTurn(): void {
    if (this.#turns.active) this.#turns.active.confirmed = true;
  }

  #giveUp(turn: Turn): void {
    if (turn !== this.#turns.active || !(this.#dialect.givesUp || turn.lineSkipped)) return;
    this.#givenUp.set(turn.uuid, turn.relayId);
    const [oldest] = this.#givenUp.keys();
    if (this.#givenUp.size > givenUpMax && oldest !== undefined) this.#givenUp.delete(oldest);
    const message = "The turn was given up: the agent has not answered within the time limit.";
    const result = relayResultWithoutMessage(
      { kind: "interrupted", message },
      turn.partialText,
      this.#dialect.sessionId,
    );
    this.#turns.end(turn, result);
  }
}
