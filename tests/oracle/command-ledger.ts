/**
 * What was said about commands and what they did. A command whose answer is `completed` has had its effect exactly once; any other has
 * had it at most once (C1). One that the cloud took on has an end, and all who ask hear the same (C2).
 */
export interface CommandEnd {
  /** `completed`, another status, or `error CODE`. */
  readonly status: string;
  /** Undefined where the answer has none, or says itself that it is not whole (a full disk). */
  readonly stdout: string | undefined;
}

interface Entry {
  /** The cloud took it on: it answered, or said that it is queued. */
  acknowledged: boolean;
  readonly ends: CommandEnd[];
  effects: number;
}

export interface CommandVerdict {
  readonly issued: number;
  readonly acknowledged: number;
  readonly completed: number;
  /** Ended in another way, so that the effect may be there or not: `interrupted`, `unknown`, a refusal. */
  readonly uncertain: number;
  readonly effects: number;
  /** Completed, and no effect. */
  readonly withoutEffect: readonly string[];
  readonly repeated: readonly string[];
  /** Acknowledged, and no end. */
  readonly endless: readonly string[];
  /** Two answers that do not agree, or an output that is not its own; with the answers. */
  readonly contradictory: readonly string[];
  /** Effects of what was never issued. */
  readonly spurious: readonly string[];
  /** How often commands ended in which way. */
  readonly endings: Readonly<Record<string, number>>;
}

export class CommandLedger {
  readonly #entries = new Map<string, Entry>();
  readonly #strangers: string[] = [];

  issued(id: string): void {
    this.#entries.set(id, { acknowledged: false, ends: [], effects: 0 });
  }

  acknowledged(id: string): void {
    this.#entry(id).acknowledged = true;
  }

  ended(id: string, end: CommandEnd): void {
    const entry = this.#entry(id);
    entry.acknowledged = true;
    entry.ends.push(end);
  }

  isCompleted(id: string): boolean {
    return isCompleted(this.#entry(id));
  }

  /** The effect of a command was seen so many times. */
  effects(id: string, count: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) this.#strangers.push(id);
    else entry.effects = count;
  }

  verdict(): CommandVerdict {
    const all = [...this.#entries];
    const idsOf = (wanted: (entry: Entry, id: string) => boolean): string[] =>
      all.filter(([id, entry]) => wanted(entry, id)).map(([id]) => id);
    const endings: Record<string, number> = {};
    for (const [, { ends }] of all) {
      const status = ends.at(-1)?.status ?? "none";
      endings[status] = (endings[status] ?? 0) + 1;
    }
    return {
      issued: all.length,
      acknowledged: idsOf(({ acknowledged }) => acknowledged).length,
      completed: idsOf(isCompleted).length,
      uncertain: idsOf((entry) => entry.ends.length > 0 && !isCompleted(entry)).length,
      effects: all.reduce((sum, [, { effects }]) => sum + effects, 0),
      withoutEffect: idsOf((entry) => isCompleted(entry) && entry.effects === 0),
      repeated: idsOf(({ effects }) => effects > 1),
      endless: idsOf(({ acknowledged, ends }) => acknowledged && ends.length === 0),
      contradictory: all.filter(([id, entry]) => contradicts(entry, id)).map(([id, { ends }]) => textOf(id, ends)),
      spurious: this.#strangers,
      endings,
    };
  }

  #entry(id: string): Entry {
    const entry = this.#entries.get(id);
    if (entry === undefined) throw new Error(`the command ${id} was never issued`);
    return entry;
  }
}

function isCompleted({ ends }: Entry): boolean {
  return ends.some(({ status }) => status === "completed");
}

/** An error says that this request was not carried out or that nobody knows; a status says how the command ended, and that is one. */
function contradicts({ ends }: Entry, id: string): boolean {
  const statuses = new Set(ends.map(({ status }) => status).filter((status) => !status.startsWith("error")));
  return (
    statuses.size > 1 || ends.some(({ status, stdout = `${id}\n` }) => status === "completed" && stdout !== `${id}\n`)
  );
}

function textOf(id: string, ends: readonly CommandEnd[]): string {
  return `${id}: ${ends.map(({ status, stdout }) => `${status} ${JSON.stringify(stdout)}`).join(", ")}`;
}
