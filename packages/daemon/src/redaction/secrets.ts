import type { Clock } from "@hl/core/clock.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { NeedleSearch, type Needle, type Search } from "./needle-search.ts";
import { JoinedSearch, PatternSearch, type NamedPattern } from "./pattern-search.ts";
import { formsOf, secretBytesMin } from "./secret-forms.ts";
import { secretVariables, type SecretVariable } from "./secret-variables.ts";

/** Different values of what runs that are looked for, and their size: each costs every search a little. */
export const secretsMax = 1_000;
export const secretsBytesMax = 256 * 1024;
/** What stands in the place of a secret whose name cannot be told. */
export const bareMark = "[redacted]";
/** What has ended may still be told of, as long as delivered events are kept for local readers. */
const keptMs = 3_600_000;
/** Values go together: the search is made anew behind it. */
const forgetEveryMs = 60_000;

interface Held {
  readonly name: string;
  readonly bytes: number;
  readonly needles: readonly Needle[];
  /** Who has it in its environment or is authenticated by it. */
  readonly owners: Set<string>;
  /** When the last of them was gone; `undefined` while there are some. */
  endedAt: number | undefined;
}

/**
 * The secrets that this daemon knows at present (X4): its own, and those in the environments of what runs. In memory only. A value has owners;
 * without one it is looked for an hour longer, or until its room is needed.
 */
export class Secrets {
  readonly #clock: Pick<Clock, "now">;
  readonly #held = new Map<string, Held>();
  #bytes = 0;
  #search: Search | undefined;
  #patterns: PatternSearch | undefined;
  #forgetAt = Infinity;

  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
  }

  /** Values that are looked for. */
  get size(): number {
    return this.#held.size;
  }

  /** The daemon's own, or configured: they take the place of what the owner had before. Never refused. */
  holdOwn(owner: string, variables: Readonly<Record<string, string>>): void {
    this.release(owner);
    for (const variable of secretsIn(variables)) this.#hold(owner, variable);
  }

  /** As `holdOwn`, of values that are secret whatever they are called. */
  holdValues(owner: string, values: Readonly<Record<string, string>>): void {
    this.release(owner);
    for (const [name, value] of Object.entries(values)) this.#hold(owner, { name, value });
  }

  /**
   * What is secret in the environment that the owner gets, until it is released. Throws `process_limit`, and holds nothing, when there is no room for it among
   * what the others hold: nothing is started that could not be kept out of events (X2).
   */
  hold(owner: string, environment: Readonly<Record<string, string>>): void {
    const unknown = new Map<string, SecretVariable>();
    const variables = secretsIn(environment);
    for (const variable of variables) if (!this.#held.has(variable.value)) unknown.set(variable.value, variable);
    const bytes = [...unknown.keys()].reduce((sum, value) => sum + Buffer.byteLength(value), 0);
    this.#makeRoom(unknown.size, bytes, new Set(variables.map(({ value }) => value)));
    if (this.#held.size + unknown.size > secretsMax || this.#bytes + bytes > secretsBytesMax) {
      const text = `what runs holds ${this.#held.size} values of secret-looking variables (${this.#bytes} bytes), and ${secretsMax} (${secretsBytesMax} bytes) are kept out of events: ${unknown.size} more (${bytes} bytes) do not fit`;
      throw new HlError("process_limit", text, { secrets_max: secretsMax, secrets_bytes_max: secretsBytesMax });
    }
    for (const variable of variables) this.#hold(owner, variable);
  }

  /** The owner has ended. */
  release(owner: string): void {
    for (const held of this.#held.values()) {
      if (!held.owners.delete(owner) || held.owners.size > 0) continue;
      held.endedAt = this.#clock.now();
      this.#forgetAt = Math.min(this.#forgetAt, held.endedAt + keptMs);
    }
  }

  /** What fits one of these is secret as well; they take the place of those of before. */
  lookFor(patterns: readonly NamedPattern[]): void {
    this.#patterns = patterns.length === 0 ? undefined : new PatternSearch(patterns);
    this.#search = undefined;
  }

  /** Undefined when no secret is known. */
  search(): Search | undefined {
    if (this.#clock.now() >= this.#forgetAt) this.#forgetOld();
    if (this.#held.size === 0) return this.#patterns;
    this.#search ??= this.#newSearch();
    return this.#search;
  }

  #newSearch(): Search {
    const needles = new NeedleSearch([...this.#held.values()].flatMap((held) => held.needles));
    return this.#patterns === undefined ? needles : new JoinedSearch([needles, this.#patterns]);
  }

  #hold(owner: string, { name, value }: SecretVariable): void {
    const held = this.#held.get(value);
    if (held !== undefined) {
      held.owners.add(owner);
      held.endedAt = undefined;
      return;
    }
    // A piece of the mark itself cannot be replaced by it.
    const forms = formsOf(value).filter((form) => !bareMark.includes(form));
    const needles = forms.map((text) => ({ text, name }));
    if (needles.length === 0) return;
    const bytes = Buffer.byteLength(value);
    this.#held.set(value, { name, bytes, needles, owners: new Set([owner]), endedAt: undefined });
    this.#bytes += bytes;
    this.#search = undefined;
  }

  /** Those that have ended go first, the oldest before the others. */
  #makeRoom(values: number, bytes: number, wanted: ReadonlySet<string>): void {
    const ended = [...this.#held]
      .filter(([value, { endedAt }]) => endedAt !== undefined && !wanted.has(value))
      .sort(([, one], [, other]) => (one.endedAt ?? 0) - (other.endedAt ?? 0));
    for (const [value] of ended) {
      if (this.#held.size + values <= secretsMax && this.#bytes + bytes <= secretsBytesMax) return;
      this.#forget(value);
    }
  }

  #forgetOld(): void {
    const now = this.#clock.now();
    let next = Infinity;
    for (const [value, { endedAt }] of this.#held) {
      if (endedAt === undefined) continue;
      if (endedAt + keptMs <= now) this.#forget(value);
      else next = Math.min(next, Math.max(endedAt + keptMs, now + forgetEveryMs));
    }
    this.#forgetAt = next;
  }

  #forget(value: string): void {
    this.#bytes -= this.#held.get(value)?.bytes ?? 0;
    this.#held.delete(value);
    this.#search = undefined;
  }
}

function secretsIn(environment: Readonly<Record<string, string>>): SecretVariable[] {
  return secretVariables(environment).filter(({ value }) => Buffer.byteLength(value.trim()) >= secretBytesMin);
}
