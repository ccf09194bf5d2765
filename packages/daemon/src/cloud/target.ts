import { HlError, type ErrorType } from "@hl/protocol/errors.ts";
import type { Endpoint, Identity, Registration } from "./identity.ts";

/** The cloud does not want this VM, whatever it asks. */
export type Shut = "instance_revoked" | "token_superseded" | "identity_in_use" | "unauthenticated";

export interface TargetOptions {
  readonly identity: Identity;
  /** What is configured for the connection and cannot be enforced: then nothing is sent (X2). */
  readonly refusal: string | undefined;
  readonly onShut: (why: Shut) => void;
  readonly onOpened: () => void;
}

const shutBy = new Set<ErrorType>(["instance_revoked", "token_superseded", "identity_in_use"]);

/**
 * Where and as whom to speak to the cloud. Enrolment is done once, by whichever part needs the cloud first; the others
 * wait for the same attempt.
 * States: open → shut (the cloud does not want us; only the heartbeat asks again, the others wait) → open.
 */
export class CloudTarget {
  readonly #options: TargetOptions;
  #registering: Promise<Registration> | undefined;
  #shut: { readonly why: Shut; readonly opened: PromiseWithResolvers<undefined> } | undefined;

  constructor(options: TargetOptions) {
    this.#options = options;
  }

  get shut(): Shut | undefined {
    return this.#shut?.why;
  }

  async endpoint(which: Endpoint, signal: AbortSignal): Promise<{ url: string; token: string }> {
    const { identity, refusal } = this.#options;
    if (refusal !== undefined) throw new Error(refusal);
    if (which !== "heartbeat") await this.#untilOpen(signal);
    await this.#registered(signal);
    const token = await identity.accessToken(signal);
    return { url: identity.url(which), token };
  }

  async renew(signal: AbortSignal): Promise<void> {
    try {
      await this.#options.identity.refresh(signal);
    } catch (error) {
      this.noticed(error);
      throw error;
    }
  }

  /** Any part has failed; where the cloud said that it does not want us, all parts stop asking but one. */
  noticed(error: unknown): void {
    const { identity, onShut } = this.#options;
    if (!(error instanceof HlError)) return;
    const isRefused = shutBy.has(error.type) || (error.type === "unauthenticated" && identity.refused);
    if (!isRefused || this.#shut?.why === error.type) return;
    identity.setRefused(true);
    const opened = this.#shut?.opened ?? Promise.withResolvers<undefined>();
    this.#shut = { why: error.type as Shut, opened };
    onShut(this.#shut.why);
  }

  /** The heartbeat was answered: we are wanted. */
  accepted(): void {
    if (this.#shut === undefined) return;
    this.#options.identity.setRefused(false);
    this.#shut.opened.resolve(undefined);
    this.#shut = undefined;
    this.#options.onOpened();
  }

  async #untilOpen(signal: AbortSignal): Promise<void> {
    if (this.#shut === undefined) return;
    const stopped = Promise.withResolvers<never>();
    const onAbort = (): void => stopped.reject(signal.reason as Error);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      await Promise.race([this.#shut.opened.promise, stopped.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  #registered(signal: AbortSignal): Promise<Registration> {
    const { identity } = this.#options;
    this.#registering ??= identity.ensureRegistered(signal).finally(() => (this.#registering = undefined));
    return this.#registering;
  }
}
