import { HlError, type ErrorType } from "@hl/protocol/errors.ts";

/** Failures that are ours: the caller did nothing wrong. */
const ownFaults: ReadonlySet<ErrorType> = new Set([
  "internal_error",
  "store_failing",
  "no_space",
  "runner_unavailable",
  "workspace_lost",
]);

/** Of fewer requests in a round one failure more or less decides nothing. */
const requestsMin = 20;

/** Counts requests, and those that failed by our fault, from one round to the next. A request costs two additions. */
export class ErrorRate {
  #requests = 0;
  #failed = 0;

  call({ error }: { readonly error: unknown }): void {
    this.#requests += 1;
    if (error !== undefined && ownFaults.has(error instanceof HlError ? error.type : "internal_error"))
      this.#failed += 1;
  }

  /** The share since this was asked last, 0 to 1; counting begins anew. */
  take(): number {
    const share = this.#requests < requestsMin ? 0 : this.#failed / this.#requests;
    this.#requests = 0;
    this.#failed = 0;
    return share;
  }
}
