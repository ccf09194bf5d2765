import type { BytesMember } from "@hl/core/rpc/encoded-message.ts";
import type { Call } from "@hl/core/rpc/answer.ts";
import type { MessageId } from "@hl/core/rpc/message.ts";
import type { Caller, MethodCall } from "./method.ts";

/**
 * The call as its handler sees it: with its caller, and where the method has a time limit with a signal that aborts when it is over.
 * Signals are made when they are asked for: most methods never look at theirs, and two of them cost as much as the rest of a call.
 */
export class HandledCall implements MethodCall {
  readonly caller: Caller;
  readonly #call: Call;
  readonly #isLimited: boolean;
  #expiry: AbortController | undefined;
  #signal: AbortSignal | undefined;

  constructor(call: Call, caller: Caller, isLimited: boolean) {
    this.#call = call;
    this.caller = caller;
    this.#isLimited = isLimited;
  }

  get id(): MessageId {
    return this.#call.id;
  }

  get canNotify(): boolean {
    return this.#call.canNotify;
  }

  get signal(): AbortSignal {
    if (!this.#isLimited) return this.#call.signal;
    return (this.#signal ??= AbortSignal.any([this.#call.signal, this.#expires.signal]));
  }

  /** The time is up. */
  expire(reason: Error): void {
    this.#expires.abort(reason);
  }

  notify(method: string, params: unknown): Promise<void> {
    return this.#call.notify(method, params);
  }

  notifyBytes(method: string, params: object, member: BytesMember): Promise<void> {
    return this.#call.notifyBytes(method, params, member);
  }

  stream(producer: (signal: AbortSignal) => Promise<void>): void {
    this.#call.stream(producer);
  }

  get #expires(): AbortController {
    return (this.#expiry ??= new AbortController());
  }
}
