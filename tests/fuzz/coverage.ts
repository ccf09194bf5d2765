/** Which parts of our own code have run, and how often, as V8 counts it: what an input reached that none before it did is worth keeping. */
import { Session } from "node:inspector";

interface FunctionCoverage {
  readonly ranges: readonly { readonly startOffset: number; readonly endOffset: number; readonly count: number }[];
}
interface ScriptCoverage {
  readonly scriptId: string;
  readonly url: string;
  readonly functions: readonly FunctionCoverage[];
}

export class Coverage implements Disposable {
  readonly #session = new Session();
  readonly #seen = new Set<string>();

  constructor() {
    this.#session.connect();
    this.#post("Profiler.enable");
    this.#post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  }

  /** Parts that have run so far, each counted again for every power of two that its count has reached in one look. */
  get size(): number {
    return this.#seen.size;
  }

  /** What has run since the last call and is not known yet. */
  take(): readonly string[] {
    const { result } = this.#post("Profiler.takePreciseCoverage") as { readonly result: readonly ScriptCoverage[] };
    const fresh: string[] = [];
    for (const { scriptId, url, functions } of result) {
      // The schemas are ours and run inside zod.
      if (!/\/packages\/|\/node_modules\/zod\//.test(url)) continue;
      for (const { ranges } of functions) {
        for (const { startOffset, endOffset, count } of ranges) {
          if (count === 0) continue;
          const part = `${scriptId}:${startOffset}:${endOffset}:${Math.floor(Math.log2(count))}`;
          if (!this.#seen.has(part)) fresh.push(part);
        }
      }
    }
    return fresh;
  }

  know(parts: readonly string[]): void {
    for (const part of parts) this.#seen.add(part);
  }

  [Symbol.dispose](): void {
    this.#session.disconnect();
  }

  /** Connected to its own thread, a session answers before it returns. */
  #post(method: string, params: object = {}): unknown {
    let answer: unknown;
    this.#session.post(method, params, (error: Error | null, result?: object) => {
      if (error !== null) throw error;
      answer = result;
    });
    return answer;
  }
}
