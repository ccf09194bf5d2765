/**
 * A conversation with one agent that outlives its connections.
 * States: waiting for a message ⇄ a turn is in flight → left. A turn has an id of ours (`relay_id`), so a connection that was lost in the
 * middle of it is made again and asked for its answer; nothing is sent twice (A2).
 */
import { ConnectionClosed, RequestTimeout } from "@hl/core/rpc/peer.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { InputOf } from "@hl/protocol/method.ts";
import type { approvalDecide } from "@hl/protocol/methods/approval-decide.ts";
import { approval as approvalSchema, type Approval } from "@hl/protocol/methods/approval-list.ts";
import { claudeRelay } from "@hl/protocol/methods/claude-relay.ts";
import type { Connection } from "../connect/connection.ts";
import { persist, untilClosed } from "../connect/persist.ts";
import { isPassing } from "../failure.ts";
import { plural } from "../render/quantity.ts";
import type { Session } from "../session.ts";
import { BehindItsCall } from "./behind-its-call.ts";
import type { AgentStatus } from "./chat-help.ts";
import type { ChatFront, ToldItem } from "./front.ts";
import { ItemFollower } from "./item-follower.ts";

interface Turn {
  readonly text: string;
  readonly relayId: string;
  /** The daemon has said once that it does not know what became of it. */
  doubtful: boolean;
}

/** How somebody left; not an error. */
class Left extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super("the conversation was left");
    this.exitCode = exitCode;
  }
}

const itemSchema = claudeRelay.notifications?.["claude/message"];

export class Chat {
  readonly #session: Session;
  readonly #processId: string;
  readonly #front: ChatFront;
  readonly #left = new AbortController();
  readonly #leaving = Promise.withResolvers<never>();
  #connection: Connection | undefined;
  #asked: Promise<string | undefined> | undefined;
  #turn: Turn | undefined;
  #maySeeApprovals = true;
  readonly #items: ItemFollower;
  readonly #requests: BehindItsCall;

  constructor(session: Session, processId: string, front: (chat: Chat) => ChatFront) {
    this.#session = session;
    this.#processId = processId;
    this.#leaving.promise.catch(() => {});
    this.#front = front(this);
    this.#requests = new BehindItsCall(session.clock, (approval) => this.#front.approval(approval));
    this.#items = new ItemFollower({
      ...{ processId, clock: session.clock },
      onItem: (connection, item) => {
        // Turns of others are theirs.
        if (this.#turn !== undefined && (item.relay_id ?? this.#turn.relayId) === this.#turn.relayId)
          this.#take(connection, item);
      },
      onGap: (items) =>
        this.#front.notice(`${plural(items, "event")} of the agent are missing here: they are not kept`),
    });
  }

  /** Resolves when the person, or the end of the input, ends it: undefined, or the exit code of a way to leave. */
  async run(): Promise<number | undefined> {
    using front = this.#front;
    const { persistence, signal: aborted } = this.#session;
    const signal = AbortSignal.any([aborted, this.#left.signal]);
    const deps = { ...persistence, signal, notice: (text: string) => front.notice(text) };
    try {
      const conversation = persist(deps, (connection, progress) =>
        Promise.race([this.#converse(connection, progress), untilClosed(connection)]),
      );
      // Who leaves does not wait for a connection that is being made.
      await Promise.race([conversation, this.#leaving.promise]);
      return undefined;
    } catch (error) {
      if (error instanceof Left) return error.exitCode;
      // The conversation is over by itself: somebody may be in an editor. Who leaves meanwhile waits for nobody.
      await Promise.race([front.atRest(), untilAborted(signal)]);
      throw error;
    }
  }

  get turnInFlight(): boolean {
    return this.#turn !== undefined;
  }

  /** Ends the turn in flight; its answer then says so. */
  interrupt(): void {
    this.#connection?.call("claude/interrupt", { process_id: this.#processId }).catch((error: unknown) => {
      const why = error instanceof Error ? error.message : String(error);
      if (!this.#left.signal.aborted) this.#front.notice(`the agent could not be interrupted: ${why}`);
    });
  }

  leave(exitCode: number): void {
    const left = new Left(exitCode);
    this.#left.abort(left);
    this.#leaving.reject(left);
  }

  async decide(params: InputOf<typeof approvalDecide>): Promise<Approval> {
    return await this.#connected().call("approval/decide", params);
  }

  /** What the daemon knows of the agent; undefined where it knows none. */
  async status(): Promise<AgentStatus | undefined> {
    const connection = this.#connected();
    if (this.#items.follows) return await connection.call("claude/status", { process_id: this.#processId });
    const { processes } = await connection.call("claude/list", {});
    return processes.find(({ process_id }) => process_id === this.#processId);
  }

  #connected(): Connection {
    if (this.#connection === undefined) throw new ConnectionClosed("there is no connection yet");
    return this.#connection;
  }

  async #converse(connection: Connection, progress: () => void): Promise<void> {
    this.#connection = connection;
    this.#requests.reset();
    this.#front.approvalsReset();
    await this.#items.follow(connection, progress);
    await this.#followApprovals(connection, progress);
    progress();
    for (;;) {
      const turn = this.#turn ?? (await this.#nextTurn(connection));
      if (turn === undefined) return;
      await this.#run(connection, turn, progress);
    }
  }

  /** One question at a time, whichever connection waits for its answer. */
  async #nextTurn(connection: Connection): Promise<Turn | undefined> {
    this.#asked ??= this.#front.next();
    const text = await this.#asked;
    if (connection !== this.#connection) throw new ConnectionClosed("another connection has taken over");
    this.#asked = undefined;
    if (text === undefined) return undefined;
    this.#turn = { text, relayId: this.#session.ports.uuid(), doubtful: false };
    this.#front.turnBegins();
    return this.#turn;
  }

  async #run(connection: Connection, turn: Turn, progress: () => void): Promise<void> {
    const onNotification = (method: string, params: unknown): void => {
      progress();
      const item = method === "claude/message" && !this.#items.follows ? itemSchema?.safeParse(params).data : undefined;
      if (item !== undefined) this.#take(connection, item as ToldItem);
    };
    const params = { process_id: this.#processId, message: turn.text, relay_id: turn.relayId };
    try {
      const answer = await connection.call("claude/relay", params, { onNotification });
      await this.#items.toldUntilEnd(turn.relayId);
      this.#requests.turnEnded();
      if (connection !== this.#connection) return;
      this.#turn = undefined;
      this.#front.turnEnded(answer);
    } catch (error) {
      if (connection !== this.#connection || this.#left.signal.aborted) throw error;
      const exited = error instanceof HlError && error.type === "claude_exited";
      this.#judge(connection, turn, error, exited && (await this.#isThere()));
    }
  }

  /** An agent that ended by itself may be started again under its id. */
  async #isThere(): Promise<boolean> {
    const agent = await this.status();
    return agent !== undefined && agent.status !== "ended" && agent.status !== "stopping";
  }

  /** What may pass is tried again over another connection; what ends the turn is told; what ends the agent ends the conversation. */
  #judge(connection: Connection, turn: Turn, error: unknown, isThere: boolean): void {
    if (error instanceof ConnectionClosed) throw error;
    const type = error instanceof HlError ? error.type : undefined;
    // Told of a crash in between; the daemon that is there now reads in the agent's log what became of the turn.
    const again = type === "outcome_unknown" && !turn.doubtful;
    if (again || (isPassing(error) && !(error instanceof RequestTimeout))) {
      turn.doubtful ||= again;
      const why = error instanceof Error ? error.message : String(error);
      connection.peer.close(why);
      throw new ConnectionClosed(why);
    }
    this.#turn = undefined;
    this.#requests.turnEnded();
    const turnOnly = error instanceof HlError || error instanceof RequestTimeout;
    if (!turnOnly || (type === "claude_exited" && !isThere) || type === "claude_process_unknown") throw error;
    this.#front.turnFailed(error);
  }

  #take(connection: Connection, item: ToldItem): void {
    const goesOn = this.#front.item(item);
    const call = item.type === "tool_call" ? (item.data as { tool_use_id?: unknown }).tool_use_id : undefined;
    if (typeof call === "string") this.#requests.told(call);
    if (goesOn) return;
    connection.peer.pause();
    void this.#front.drained(this.#session.signal).then(() => connection.peer.resume());
  }

  async #followApprovals(connection: Connection, progress: () => void): Promise<void> {
    if (!this.#maySeeApprovals) return;
    const onNotification = (method: string, params: unknown): void => {
      progress();
      const approval = method === "approval/changed" ? approvalSchema.safeParse(params) : undefined;
      // Of a turn of somebody else nothing is told here.
      const waits = this.#items.follows && this.#turn !== undefined;
      if (approval?.success === true) {
        if (waits) this.#requests.take(approval.data);
        else this.#front.approval(approval.data);
      }
      if (approval?.success === false)
        this.#front.notice("a permission request was skipped that this hl-client cannot read");
    };
    try {
      await connection.call("approval/subscribe", { process_id: this.#processId }, { onNotification });
    } catch (error) {
      const type = error instanceof HlError ? error.type : undefined;
      if (type !== "permission_denied" && type !== "method_not_found") throw error;
      this.#maySeeApprovals = false;
      this.#front.notice("permission requests of the agent are not shown here: you may not decide them");
    }
  }
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}
