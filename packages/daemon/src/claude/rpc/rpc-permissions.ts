/**
 * The permission requests of an agent that asks by JSON-RPC: each is put to `onPermission` once and gets exactly one answer (A3).
 *
 * It fails closed: no callback, a callback that rejects, a decision that the protocol cannot carry, and too many open requests are
 * denials. A request is `open`, then `answered` or `withdrawn`; a decision for a withdrawn one goes nowhere.
 * While the daemon attaches, what it reads was asked in the past and may have been answered: it is set aside, and what the output shows
 * to be over is dropped. What is left is asked again: of two answers an agent ignores the second, without one its turn would hang.
 */
import type { Decision, PermissionRequest, Withdrawal } from "../agent.ts";
import type { OnPermission } from "../permissions.ts";
import type { RpcAnswer, RpcId } from "./rpc-lines.ts";

/** A request of the agent, and how its protocol says what was decided. */
export interface AskedPermission {
  readonly request: Omit<PermissionRequest, "agentRequestId" | "relayId" | "sessionId" | "withdrawn">;
  readonly answer: (decision: Decision) => RpcAnswer;
  /** The answer of one who goes on without a decision. */
  readonly cancelled: RpcAnswer;
  /** The decision was made and its answer is on its way. */
  readonly onDecided?: ((decision: Decision) => void) | undefined;
}

export interface RpcPermissionsOptions {
  readonly respond: (id: RpcId, answer: RpcAnswer) => Promise<void>;
  readonly onPermission: OnPermission | undefined;
  /** While attaching it was found out which requests may be open there; called before those are put to `onPermission`. */
  readonly onAttached: ((openRequests: readonly string[]) => void) | undefined;
  /** What the request belongs to at the moment. */
  readonly context: () => { readonly relayId?: string | undefined; readonly sessionId?: string | undefined };
  /** A request was opened; the returned function is called once when it is no longer open. */
  readonly onOpened: () => () => void;
}

interface Open {
  readonly id: RpcId;
  readonly asked: AskedPermission;
  readonly withdrawn: AbortController;
}

const permissionsOpenMax = 100;
const undeliverable: RpcAnswer = { error: { code: -32603, message: "The decision could not be delivered." } };

export class RpcPermissions {
  readonly #options: RpcPermissionsOptions;
  readonly #open = new Map<string, Open>();
  #aside: Map<string, Readonly<{ id: RpcId; asked: AskedPermission }>> | undefined;

  constructor(options: RpcPermissionsOptions) {
    this.#options = options;
  }

  onRequest(id: RpcId, asked: AskedPermission): void {
    const key = JSON.stringify(id);
    if (this.#aside !== undefined) this.#aside.set(key, { id, asked });
    else if (!this.#open.has(key)) void this.#decide(key, id, asked);
  }

  /** @param id as the agent sent it */
  onWithdrawn(id: unknown): void {
    this.#withdraw(JSON.stringify(id), "withdrawn");
  }

  /** The tool has run or failed, so the question about it is over. */
  onToolOver(toolUseId: string): void {
    for (const [key, { asked }] of this.#aside ?? []) {
      if (asked.request.toolUseId === toolUseId) this.#aside?.delete(key);
    }
  }

  attach(): void {
    this.#aside = new Map();
  }

  /** The agent has answered: what was asked in the past and not seen to be over is asked. */
  attached(): void {
    const aside = [...(this.#aside?.values() ?? [])];
    this.#aside = undefined;
    this.#options.onAttached?.(aside.map(({ id }) => String(id)));
    for (const { id, asked } of aside) this.onRequest(id, asked);
  }

  /** The turn is over or interrupted, or the process has ended. @param answer whether the agent still waits for answers */
  withdrawAll(answer: boolean, how: Withdrawal = "withdrawn"): void {
    this.#aside?.clear();
    for (const [key, { id, asked }] of [...this.#open]) {
      if (answer) this.#options.respond(id, asked.cancelled).catch(() => {});
      this.#withdraw(key, how);
    }
  }

  #withdraw(key: string, how: Withdrawal): void {
    this.#aside?.delete(key);
    this.#open.get(key)?.withdrawn.abort(how);
    this.#open.delete(key);
  }

  async #decide(key: string, id: RpcId, asked: AskedPermission): Promise<void> {
    if (this.#open.size >= permissionsOpenMax) {
      const message = `${permissionsOpenMax} permission requests are open already.`;
      await this.#answer(id, asked, { behavior: "deny", message });
      return;
    }
    const withdrawn = new AbortController();
    this.#open.set(key, { id, asked, withdrawn });
    const closed = this.#options.onOpened();
    withdrawn.signal.addEventListener("abort", closed, { once: true });
    const own = { ...this.#options.context(), agentRequestId: String(id), withdrawn: withdrawn.signal };
    const decision = await this.#ask({ ...asked.request, ...own });
    if (withdrawn.signal.aborted) return;
    this.#open.delete(key);
    withdrawn.signal.removeEventListener("abort", closed);
    closed();
    await this.#answer(id, asked, decision);
  }

  async #ask(request: PermissionRequest): Promise<Decision> {
    if (!this.#options.onPermission) return { behavior: "deny", message: "Nobody can be asked for permission here." };
    try {
      const decision = (await this.#options.onPermission(request)) as Decision | undefined;
      return decision ?? { behavior: "deny", message: "No decision was made." };
    } catch (error) {
      return { behavior: "deny", message: `Nobody could be asked for permission: ${String(error)}` };
    }
  }

  async #answer(id: RpcId, asked: AskedPermission, decision: Decision): Promise<void> {
    try {
      await this.#options.respond(id, asked.answer(decision));
    } catch {
      await this.#options.respond(id, undeliverable).catch(() => {});
    }
    asked.onDecided?.(decision);
  }
}
