/** What waits for one reader of a log who is slow (P7). */
const linesMax = 1_000;
const bytesMax = 1024 * 1024;

/** Lines on their way to one reader. What is too much is counted and told in its place (S2). */
export class LiveLines {
  #waiting: (string | number)[] = [];
  #lines = 0;
  #bytes = 0;
  #wake = (): void => {};

  push(line: string): void {
    const bytes = Buffer.byteLength(line);
    if (this.#lines >= linesMax || this.#bytes + bytes > bytesMax) {
      const last = this.#waiting.at(-1);
      if (typeof last === "number") this.#waiting[this.#waiting.length - 1] = last + 1;
      else this.#waiting.push(1);
    } else {
      this.#waiting.push(line);
      this.#lines += 1;
      this.#bytes += bytes;
    }
    this.#wake();
  }

  /** A line, or the number of those that are missing; undefined when the signal has aborted. */
  async next(signal: AbortSignal): Promise<string | number | undefined> {
    while (!signal.aborted && this.#waiting.length === 0) {
      const { promise, resolve } = Promise.withResolvers<undefined>();
      this.#wake = () => resolve(undefined);
      signal.addEventListener("abort", this.#wake, { once: true });
      await promise;
      signal.removeEventListener("abort", this.#wake);
    }
    if (signal.aborted) return undefined;
    const first = this.#waiting.shift();
    if (typeof first !== "string") return first;
    this.#lines -= 1;
    this.#bytes -= Buffer.byteLength(first);
    return first;
  }
}
