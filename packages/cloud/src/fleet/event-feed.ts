/** Wakes the readers of an instance's events after a commit. Readers keep a cursor and read the store; nothing is queued here (P5). */
export class EventFeed {
  readonly #waiting = new Map<string, Set<() => void>>();

  published(instanceId: string): void {
    const waiting = this.#waiting.get(instanceId);
    this.#waiting.delete(instanceId);
    waiting?.forEach((wake) => wake());
  }

  /** Somebody else may have written to the store. */
  publishedAny(): void {
    for (const instanceId of [...this.#waiting.keys()]) this.published(instanceId);
  }

  /** Resolves at the next commit or abort. Take it before reading the store, so that no commit falls in between. */
  changed(instanceId: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(instanceId) ?? new Set();
      this.#waiting.set(instanceId, waiting);
      const wake = (): void => {
        signal.removeEventListener("abort", onAbort);
        resolve();
      };
      const onAbort = (): void => {
        waiting.delete(wake);
        if (waiting.size === 0 && this.#waiting.get(instanceId) === waiting) this.#waiting.delete(instanceId);
        resolve();
      };
      waiting.add(wake);
      if (signal.aborted) onAbort();
      else signal.addEventListener("abort", onAbort, { once: true });
    });
  }
}
