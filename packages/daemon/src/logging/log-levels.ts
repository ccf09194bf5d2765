/** Which lines of the log are written: a level for all, and others for parts of the daemon, both changeable while it runs. */
export interface LogLevels {
  readonly level: string;
  /** By the `part` in their lines. */
  readonly levels: Readonly<Record<string, string>>;
}

export type LineLevel = "debug" | "info" | "warn" | "error";

const numbers: Readonly<Record<string, number>> = { TRACE: 10, DEBUG: 20, INFO: 30, WARN: 40, ERROR: 50, FATAL: 60 };
const numberOf = (level: string): number => numbers[level.toUpperCase()] ?? 30;

export class LevelGate {
  #least: number;
  #leastOf: ReadonlyMap<string, number>;

  constructor(levels: LogLevels) {
    this.#least = numberOf(levels.level);
    this.#leastOf = of(levels);
  }

  set(levels: LogLevels): void {
    this.#least = numberOf(levels.level);
    this.#leastOf = of(levels);
  }

  isOpen(level: LineLevel, part: string | undefined): boolean {
    const least = (part === undefined ? undefined : this.#leastOf.get(part)) ?? this.#least;
    return numberOf(level) >= least;
  }
}

const of = ({ levels }: LogLevels): ReadonlyMap<string, number> =>
  new Map(Object.entries(levels).map(([part, level]) => [part, numberOf(level)]));
