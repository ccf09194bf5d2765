/**
 * The permission requests of one agent process: each is put to `onPermission` once and gets exactly one answer (A3).
 *
 * It fails closed: no callback, a callback that rejects, an answer that cannot be written as JSON, and too many open requests are
 * all denials. A request is `open`, then `answered` or `withdrawn`; a decision for a withdrawn one goes nowhere, in particular not
 * into a process that resumed the conversation.
 * While the daemon attaches, what it reads was asked in the past: it is set aside until the agent has said what is still open.
 */
import type { Decision, PermissionRequest, Withdrawal } from "./agent.ts";
import {
  isHookCallback,
  parseCanUseTool,
  parsePendingRequest,
  type CanUseTool,
  type ControlRequest,
} from "./stream-json-messages.ts";
import { hookAnswer, lateHookAnswer, type OnToolUse } from "./tool-hook.ts";

export type OnPermission = (request: PermissionRequest) => Promise<Decision>;

export interface PermissionsOptions {
  readonly send: (message: object) => Promise<void>;
  readonly onPermission?: OnPermission | undefined;
  /** Judges every tool call before it runs; there where the hook was asked for. */
  readonly onToolUse?: OnToolUse | undefined;
  /** The agent has said which requests are open there; called before those are put to `onPermission`. */
  readonly onAttached?: ((openRequests: readonly string[]) => void) | undefined;
  /** What the request belongs to at the moment. */
  readonly context: () => { readonly relayId?: string | undefined; readonly sessionId?: string | undefined };
  readonly onUnknown: (raw: unknown) => void;
  /** A request was opened; the returned function is called once when it is no longer open. */
  readonly onOpened: () => () => void;
}

/** Claude Code asks for one tool at a time; subagents may add to that. */
const permissionsOpenMax = 100;

export class Permissions {
  readonly #options: PermissionsOptions;
  readonly #open = new Map<string, AbortController>();
  #aside: Map<string, Readonly<{ message: ControlRequest; raw: unknown }>> | undefined;

  constructor(options: PermissionsOptions) {
    this.#options = options;
  }

  /** A request of the agent; what is none for a tool is refused, because unanswered it would hang the turn for good. */
  onRequest(message: ControlRequest, raw: unknown): void {
    if (this.#aside !== undefined) {
      this.#aside.set(message.request_id, { message, raw });
      return;
    }
    const { onToolUse } = this.#options;
    const asked = parseCanUseTool(message);
    if (onToolUse !== undefined && isHookCallback(message)) {
      void this.#answer(message.request_id, hookAnswer(message, onToolUse));
    } else if (asked === undefined) {
      this.#options.onUnknown(raw);
      const error = `Not supported here: ${message.request.subtype}`;
      const response = { subtype: "error", request_id: message.request_id, error };
      this.#options.send({ type: "control_response", response }).catch(() => {});
    } else if (!this.#open.has(message.request_id)) {
      void this.#decide(message.request_id, asked, raw);
    }
  }

  onWithdrawn(requestId: string): void {
    this.#aside?.delete(requestId);
    this.#withdraw(requestId, "withdrawn");
  }

  attach(): void {
    this.#aside = new Map();
  }

  /** @param pending the requests that the agent says are open; undefined where it does not say. */
  attached(pending: readonly unknown[] | undefined): void {
    const aside = [...(this.#aside?.values() ?? [])];
    this.#aside = undefined;
    const open = (pending ?? []).map((raw) => ({ message: parsePendingRequest(raw), raw }));
    const openRequests = open.flatMap(({ message }) => (message === undefined ? [] : [message.request_id]));
    const { onToolUse, onAttached } = this.#options;
    if (pending !== undefined) onAttached?.(openRequests);
    for (const { message, raw } of open) {
      if (message === undefined) this.#options.onUnknown(raw);
      else this.onRequest(message, raw);
    }
    // Of requests that are no questions it says nothing; a second refusal is ignored, a missing one would hang the turn.
    for (const { message, raw } of aside) {
      if (onToolUse !== undefined && isHookCallback(message)) void this.#answer(message.request_id, lateHookAnswer);
      else if (pending === undefined || parseCanUseTool(message) === undefined) this.onRequest(message, raw);
    }
  }

  /** Nothing that was asked can be answered any more: the process is gone, or goes on without us. */
  close(how: Exclude<Withdrawal, "withdrawn">): void {
    for (const requestId of [...this.#open.keys()]) this.#withdraw(requestId, how);
  }

  #withdraw(requestId: string, how: Withdrawal): void {
    this.#open.get(requestId)?.abort(how);
    this.#open.delete(requestId);
  }

  async #decide(requestId: string, asked: CanUseTool, raw: unknown): Promise<void> {
    if (this.#open.size >= permissionsOpenMax) {
      await this.#answer(requestId, {
        behavior: "deny",
        message: `${permissionsOpenMax} permission requests are open already.`,
      });
      return;
    }
    const withdrawn = new AbortController();
    this.#open.set(requestId, withdrawn);
    const closed = this.#options.onOpened();
    withdrawn.signal.addEventListener("abort", closed, { once: true });
    const decision = await this.#ask({
      ...this.#options.context(),
      agentRequestId: requestId,
      toolName: asked.tool_name,
      toolUseId: asked.tool_use_id,
      input: asked.input,
      title: asked.title ?? asked.display_name,
      description: asked.description,
      reason: asked.decision_reason,
      blockedPath: asked.blocked_path,
      subagentId: asked.agent_id,
      requiresUserInteraction: asked.requires_user_interaction ?? false,
      canRemember: sessionRules(asked).length > 0,
      withdrawn: withdrawn.signal,
      raw,
    });
    if (withdrawn.signal.aborted) return;
    this.#open.delete(requestId);
    withdrawn.signal.removeEventListener("abort", closed);
    closed();
    await this.#answer(requestId, bodyOf(decision, asked));
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

  async #answer(requestId: string, response: object): Promise<void> {
    const send = (body: Record<string, unknown>): Promise<void> =>
      this.#options.send({ type: "control_response", response: { request_id: requestId, ...body } });
    try {
      await send({ subtype: "success", response });
    } catch {
      // What cannot be serialised counts as a denial; where it is the pipe that is gone, nobody is left to allow anything.
      await send({ subtype: "error", error: "The decision could not be delivered." }).catch(() => {});
    }
  }
}

/** Anything that is not clearly an "allow" is a denial, whatever a caller without types has put together. */
function bodyOf(decision: Decision, asked: CanUseTool): Record<string, unknown> {
  if (decision.behavior !== "allow") {
    return { behavior: "deny", message: decision.message, interrupt: decision.interrupt ?? false };
  }
  const rules = decision.remember === "session" ? sessionRules(asked) : [];
  return {
    behavior: "allow",
    updatedInput: decision.updatedInput ?? asked.input,
    ...(rules.length > 0 ? { updatedPermissions: rules } : {}),
  };
}

/**
 * The agent's own suggestions of rules, moved to this session: their destination is the repository's settings file, which an approval
 * must not write. Suggestions of other types (a whole folder, a mode) allow far more than what was asked for.
 */
function sessionRules(asked: CanUseTool): Record<string, unknown>[] {
  if (asked.suppress_always_allow_rule === true) return [];
  return (asked.permission_suggestions ?? [])
    .filter((suggestion) => suggestion.type === "addRules" && suggestion["behavior"] === "allow")
    .map((suggestion) => ({ ...suggestion, destination: "session" }));
}
