// Long: one state machine, whose transitions are best read together.
/**
 * The permission requests of agents: each is put to people, ends exactly once, and the agent is told how (A3).
 *
 * States: pending → approved | denied (somebody decided), withdrawn (the agent asks no longer), expired (nobody answered in time; the
 * default decides), lost (the agent's process has ended). Only a pending one changes.
 * Invariants: an end is durable before the agent or the decider is told of it; of two decisions at once one counts and the other is
 * told which; what rules decide needs nobody and is not kept here; a daemon that comes back goes on with what the agent still asks,
 * under the same id, and answers again what was decided but may not have arrived.
 */
import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { ParamsOf } from "@hl/protocol/method.ts";
import type { approvalDecide } from "@hl/protocol/methods/approval-decide.ts";
import type { Approval, ApprovalState, Decider } from "@hl/protocol/methods/approval-list.ts";
import type { ApprovalRecord, ApprovalRecords } from "../store/approval-records.ts";
import { inputHashOf, isKeyOf, newRecord, outcomeOf, recordOf, requestKeys, tooLate } from "./approval-of.ts";
import { Followers } from "./followers.ts";
import { refusalOf, type ApprovalLimits } from "./limits.ts";
import { pageOf, type Page, type PageWanted } from "./page.ts";
import type { AskedCall, Outcome, Withdrawal } from "./tool-call.ts";

export type DecideParams = ParamsOf<typeof approvalDecide>;

export interface ApprovalsOptions {
  readonly records: ApprovalRecords;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: ApprovalLimits;
  readonly timeoutMs: number;
  /** What holds when nobody answers in time. */
  readonly byDefault: "allow" | "deny";
  /** In the turn of the loop that records it, which makes it one transaction with its event. */
  readonly onRequested: (approval: Approval) => void;
  readonly onEnded: (approval: Approval) => void;
  /** Denied without being asked, because a limit was reached. */
  readonly onRefused: (asked: AskedCall, message: string) => void;
  /** A decision that does not count: it came too late, or is about another input. */
  readonly onDecisionRefused?: ((params: DecideParams, decider: Decider, error: HlError) => void) | undefined;
}

interface Pending {
  readonly record: ApprovalRecord;
  readonly cancelExpiry: () => void;
  /** Where the agent waits; undefined until one of before has asked again. */
  answer: ((outcome: Outcome) => void) | undefined;
  /** An end that is being recorded. */
  ending: Promise<void> | undefined;
  /** Recorded, so that a crash of the daemon does not change its id any more: only then is it shown to anybody. */
  isShown: boolean;
}

type End = Pick<
  Approval,
  "decision" | "decision_reason" | "decided_by" | "updated_input" | "remember" | "interrupt"
> & { readonly state: Exclude<ApprovalState, "pending"> };

export class Approvals implements Disposable {
  readonly #options: ApprovalsOptions;
  readonly #pending = new Map<string, Pending>();
  readonly #followers = new Followers();
  #pendingBytes = 0;

  constructor(options: ApprovalsOptions) {
    this.#options = options;
  }

  /** How many wait. */
  pendingCount(processId?: string): number {
    return processId === undefined ? this.#pending.size : this.#of(processId).length;
  }

  /** Whether the agent has asked this before. */
  knows(asked: AskedCall): boolean {
    return this.#find(asked) !== undefined;
  }

  /** Takes up what waited when the daemon ended; its time has gone on meanwhile. What belongs to no living agent is lost. */
  load(agents: readonly { readonly processId: string }[]): void {
    const living = new Set(agents.map(({ processId }) => processId));
    const found = this.#options.records.pending();
    found.sort((a, b) => a.approval.created_at - b.approval.created_at);
    for (const record of found) {
      const pending = this.#add(record, true);
      if (!living.has(record.approval.process_id)) this.#close(pending, "lost");
    }
  }

  /** Resolves with what the agent is to be told. A request that is known is not a new one. */
  async ask(asked: AskedCall): Promise<Outcome> {
    const { records, limits, clock, timeoutMs, onRequested, onRefused } = this.#options;
    const known = this.#find(asked);
    if (known !== undefined && "approval" in known) return outcomeOf(known.approval);
    if (known !== undefined) return this.#wait(known, asked);
    const record = newRecord(asked, clock.wallMs(), timeoutMs, this.#freeKey(asked));
    const refusal = refusalOf(record.bytes, limits, this.#pending.size, this.#pendingBytes);
    if (refusal !== undefined) {
      onRefused(asked, refusal);
      return { behavior: "deny", message: refusal };
    }
    const recorded = records.begin(record).catch((error: unknown) => this.#notWritten(record, error));
    onRequested(record.approval);
    const pending = this.#add(record, false);
    void recorded.then(() => this.#show(pending));
    return this.#wait(pending, asked);
  }

  /** Throws approval_unknown, approval_decided, approval_closed or approval_input_changed. */
  async decide(params: DecideParams, decider: Decider): Promise<Approval> {
    try {
      return await this.#decide(params, decider);
    } catch (error) {
      if (error instanceof HlError) this.#options.onDecisionRefused?.(params, decider, error);
      throw error;
    }
  }

  async #decide(params: DecideParams, decider: Decider): Promise<Approval> {
    let pending = this.#waiting(params.approval_id);
    while (pending.ending !== undefined) {
      await pending.ending; // Where that cannot be recorded, this one counts.
      pending = this.#waiting(params.approval_id);
    }
    const { approval } = pending.record;
    if (params.input_hash !== undefined && params.input_hash !== approval.input_hash) {
      const { approval_id, input_hash } = approval;
      throw new HlError("approval_input_changed", "the decision is about another input", { approval_id, input_hash });
    }
    if (params.remember !== undefined && !approval.can_remember) {
      throw new HlError(
        "invalid_params",
        "this approval cannot be remembered: the agent has suggested no rule for it",
        {
          approval_id: approval.approval_id,
        },
      );
    }
    const { decision, reason, updated_input, remember, interrupt } = params;
    const state = decision === "allow" ? "approved" : "denied";
    const end = { state, decision, decision_reason: reason, decided_by: decider } as const;
    const ended = await this.#end(pending, { ...end, updated_input, remember, interrupt }, false);
    if (ended.decided_by !== decider) throw tooLate(ended);
    return ended;
  }

  list(wanted: PageWanted): Page {
    return pageOf(this.#shown, this.#options.records, wanted);
  }

  /** Tells of what waits, then of every change, until the signal aborts. A slow reader is told the newest state of each. */
  follow(
    processId: string | undefined,
    notify: (approval: Approval) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const pending = this.#shown.map(({ approval }) => approval);
    return this.#followers.follow({ processId, pending, notify, signal });
  }

  /** The agent has said what is open there: what it does not name, it asks no longer. */
  attached(processId: string, openRequests: readonly string[]): void {
    for (const pending of this.#of(processId)) {
      const key = pending.record.agentRequestId;
      if (!openRequests.some((id) => isKeyOf(key, id))) this.#close(pending, "withdrawn");
    }
  }

  /** Nothing of it is ever asked of another process, also not of one that goes on with its conversation. */
  processEnded(processId: string): void {
    for (const pending of this.#of(processId)) this.#close(pending, "lost");
  }

  /** Forgets the oldest of those that are over. */
  prune(): Promise<void> {
    const { records, clock, limits } = this.#options;
    const { keptMs, keptMax: approvalsMax, keptBytesMax: bytesMax } = limits;
    return records.prune({ endedBeforeMs: clock.wallMs() - keptMs, approvalsMax, bytesMax });
  }

  /** What waits goes on with the next daemon. */
  [Symbol.dispose](): void {
    for (const { cancelExpiry } of this.#pending.values()) cancelExpiry();
  }

  #show(pending: Pending): void {
    const { approval } = pending.record;
    if (!this.#pending.has(approval.approval_id)) return; // It has ended meanwhile, which was told.
    pending.isShown = true;
    this.#followers.changed(approval);
  }

  get #shown(): ApprovalRecord[] {
    return [...this.#pending.values()].filter(({ isShown }) => isShown).map(({ record }) => record);
  }

  #add(record: ApprovalRecord, isShown: boolean): Pending {
    const { approval_id: id, expires_at } = record.approval;
    const { clock } = this.#options;
    const leftMs = Math.max(0, expires_at * 1000 - clock.wallMs());
    const cancelExpiry = clock.after(leftMs, () => void this.#expire(pending));
    const pending: Pending = { record, cancelExpiry, answer: undefined, ending: undefined, isShown };
    this.#pending.set(id, pending);
    this.#pendingBytes += record.bytes;
    return pending;
  }

  async #wait(pending: Pending, { withdrawn }: AskedCall): Promise<Outcome> {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    pending.answer = resolve;
    const onWithdrawn = (): void => {
      const how = withdrawn.reason as Withdrawal;
      if (how === "detached") pending.answer = undefined;
      else this.#close(pending, how === "lost" ? "lost" : "withdrawn");
    };
    if (withdrawn.aborted) onWithdrawn();
    else withdrawn.addEventListener("abort", onWithdrawn, { once: true });
    return promise;
  }

  /** The same request: by the agent's id, and about the same. */
  #find(asked: AskedCall): Pending | ApprovalRecord | undefined {
    const { plain, withInput } = requestKeys(asked);
    const known = [this.#at(asked.processId, plain), this.#at(asked.processId, withInput)];
    const hash = inputHashOf(asked.input);
    return known.find((one) => one !== undefined && approvalOf(one).input_hash === hash);
  }

  /** Where the agent has used its id before, for another input, that request is over. */
  #freeKey(asked: AskedCall): string {
    const { plain, withInput } = requestKeys(asked);
    const before = this.#at(asked.processId, plain);
    if (before === undefined) return plain;
    if (!("approval" in before)) this.#close(before, "withdrawn");
    return withInput;
  }

  #at(processId: string, key: string): Pending | ApprovalRecord | undefined {
    const pending = this.#of(processId).find(({ record }) => record.agentRequestId === key);
    return pending ?? this.#options.records.findRequest(processId, key);
  }

  #of(processId: string): Pending[] {
    return [...this.#pending.values()].filter(({ record }) => record.approval.process_id === processId);
  }

  /** Throws what became of one that does not wait. */
  #waiting(approvalId: string): Pending {
    const pending = this.#pending.get(approvalId);
    if (pending !== undefined) return pending;
    const ended = this.#options.records.find(approvalId);
    if (ended !== undefined) throw tooLate(ended.approval);
    const text = `there is no approval ${JSON.stringify(approvalId)}`;
    throw new HlError("approval_unknown", text, { approval_id: approvalId });
  }

  /**
   * Records it, tells it, and answers it as it is then. Where it cannot be recorded it goes on waiting; with `anyhow` it holds all the
   * same, and the agent is told no (A3).
   */
  async #end(pending: Pending, end: End, anyhow: boolean): Promise<Approval> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    pending.ending = promise;
    let ended: Approval;
    try {
      ended = await this.#recordEnd(pending.record, end);
    } catch (error) {
      if (!anyhow) throw error;
      this.#notWritten(pending.record, error);
      ended = { ...pending.record.approval, ...end, ...(end.decision === undefined ? {} : { decision: "deny" }) };
    } finally {
      pending.ending = undefined;
      resolve(undefined);
    }
    this.#remove(pending, ended);
    return ended;
  }

  /** Answers it as it has ended, which is not as asked where another end was recorded before. */
  async #recordEnd({ approval, agentRequestId }: ApprovalRecord, end: End): Promise<Approval> {
    const { records, clock, onEnded } = this.#options;
    const nowMs = clock.wallMs();
    const ended: Approval = { ...approval, ...end, decided_at: nowMs / 1000 };
    const written = records.end(recordOf(ended, agentRequestId), nowMs);
    onEnded(ended);
    if (await written) return ended;
    return records.find(approval.approval_id)?.approval ?? ended;
  }

  /** Nobody decided. */
  async #endAnyhow(pending: Pending, end: End): Promise<void> {
    while (pending.ending !== undefined) await pending.ending;
    if (this.#pending.has(pending.record.approval.approval_id)) await this.#end(pending, end, true);
  }

  #expire(pending: Pending): Promise<void> {
    const { byDefault } = this.#options;
    // A question to a person has no answer that time could give.
    const decision = pending.record.approval.requires_user_interaction ? "deny" : byDefault;
    const decided_by = { subject: "expiry", via: "internal" } as const;
    return this.#endAnyhow(pending, { state: "expired", decision, decided_by });
  }

  #close(pending: Pending, state: "withdrawn" | "lost"): void {
    pending.answer = undefined; // Nobody is there to be told.
    void this.#endAnyhow(pending, { state });
  }

  #remove(pending: Pending, approval: Approval): void {
    pending.cancelExpiry();
    if (this.#pending.delete(approval.approval_id)) this.#pendingBytes -= pending.record.bytes;
    pending.answer?.(outcomeOf(approval));
    this.#followers.changed(approval);
  }

  #notWritten({ approval }: ApprovalRecord, error: unknown): void {
    const facts = { approval_id: approval.approval_id, error: errorText(error) };
    this.#options.logger.error(facts, "an approval could not be recorded");
  }
}

function approvalOf(known: Pending | ApprovalRecord): Approval {
  return "approval" in known ? known.approval : known.record.approval;
}
