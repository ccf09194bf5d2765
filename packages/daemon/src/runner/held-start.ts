import { StartFailed, type StartRequest } from "./records.ts";
import type { Shim } from "./shim.ts";
import type { WarmShim } from "./warm-shims.ts";

/** Asks for the request; undefined when what the shim has been prepared with is no longer right. */
export type RequestFor = (warm: WarmShim) => StartRequest | undefined;

/**
 * A start whose shim prepares everything and executes nothing before `go` (C1): what takes the disk its time to record the command
 * takes the shim its own. States: prepared (or not: the shim is gone, or was prepared for something else) → gone on, or given up.
 */
export class HeldStart {
  readonly runId: string;
  readonly #shim: Promise<Shim | undefined>;

  constructor(warm: WarmShim, requestFor: RequestFor) {
    this.runId = warm.runId;
    this.#shim = warm.connected.then((shim) => {
      if (shim === undefined || shim.isClosed) return undefined;
      let request: StartRequest | undefined;
      try {
        request = requestFor(warm);
      } finally {
        if (request === undefined) shim.detach();
      }
      if (request !== undefined) shim.hold(request);
      return request && shim;
    });
    this.#shim.catch(() => {}); // Told by `go`.
  }

  /** The shim that waits for `go`; undefined when there is none, and so nothing has started. Rejects with `StartFailed`. */
  async prepared(): Promise<Shim | undefined> {
    const shim = await this.#shim;
    if (shim?.isClosed !== true) return shim;
    // The answer to what could not be prepared comes before the end of the connection, and counts.
    const refusal = await shim.started.catch((error: unknown) => error);
    if (refusal instanceof StartFailed) throw refusal;
    return undefined;
  }

  giveUp(): void {
    void this.#shim.then(
      (shim) => shim?.detach(),
      () => {},
    );
  }
}
