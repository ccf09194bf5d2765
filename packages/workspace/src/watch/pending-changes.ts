import type { FileChange } from "@hl/protocol/methods/file-watch.ts";

/**
 * Changes that nobody has taken yet, one for each path whatever happened to it meanwhile. Bounded (P7): what does not fit becomes a gap,
 * and is never left out silently (S2).
 */
export interface Batch {
  readonly changes: FileChange[];
  readonly gap: boolean;
}

/** Of the paths of one batch. */
const batchBytesMax = 65_536;

export class PendingChanges {
  readonly #types = new Map<string, FileChange["type"]>();
  readonly #pathsMax: number;
  #gap = false;

  constructor(pathsMax: number) {
    this.#pathsMax = pathsMax;
  }

  get isEmpty(): boolean {
    return this.#types.size === 0 && !this.#gap;
  }

  add(path: string, type: FileChange["type"]): void {
    const before = this.#types.get(path);
    const merged = before === undefined ? type : merge(before, type);
    if (merged === undefined) this.#types.delete(path);
    else this.#types.set(path, merged);
    if (this.#types.size > this.#pathsMax) this.lose();
  }

  /** Something was missed: whoever looks again sees what is pending too. */
  lose(): void {
    this.#types.clear();
    this.#gap = true;
  }

  take(): Batch {
    const changes: FileChange[] = [];
    let bytes = 0;
    for (const [path, type] of this.#types) {
      bytes += Buffer.byteLength(path);
      if (changes.length > 0 && bytes > batchBytesMax) break;
      changes.push({ path, type });
      this.#types.delete(path);
    }
    const gap = this.#gap;
    this.#gap = false;
    return { changes, gap };
  }
}

/** Undefined where nothing is left to tell. */
function merge(before: FileChange["type"], now: FileChange["type"]): FileChange["type"] | undefined {
  if (before === "created") return now === "deleted" ? undefined : "created";
  if (before === "deleted") return now === "deleted" ? "deleted" : "modified";
  return now === "deleted" ? "deleted" : "modified";
}
