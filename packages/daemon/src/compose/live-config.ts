import { isDeepStrictEqual } from "node:util";
import { diffConfig, withLiveKeys, type Change } from "@hl/config/diff.ts";
import type { Config } from "@hl/config/load.ts";
import { joined } from "@hl/core/joined.ts";

export type Pick<Part> = (config: Config) => Part;

interface Follower {
  /** Hands over what has changed, if anything. */
  readonly look: () => void;
}

/**
 * The configuration that is in force: that of the start, and of a newer one the live keys. Whoever depends on a live key reads it here anew
 * each time, or is told; so `picks` has every live key that the daemon uses, and a test compares them with those that are declared live.
 */
export class LiveConfig {
  readonly #picks: Pick<unknown>[] = [];
  readonly #followers: Follower[] = [];
  readonly #onTake: (inForce: Config, newest: Config) => void;
  #inForce: Config;
  #newest: Config;

  /** @param onTake comes before every follower, when there is something newer or it has been put back */
  constructor(atStart: Config, onTake: (inForce: Config, newest: Config) => void = () => {}) {
    this.#onTake = onTake;
    this.#inForce = atStart;
    this.#newest = atStart;
  }

  get inForce(): Config {
    return this.#inForce;
  }

  /** What the next start would find. */
  get newest(): Config {
    return this.#newest;
  }

  /** What has been read or set since the start and holds only at the next one. */
  get waiting(): Change[] {
    return diffConfig(this.#inForce, this.#newest);
  }

  get picks(): readonly Pick<unknown>[] {
    return this.#picks;
  }

  /** A part of what is in force. It may look at its keys only while it picks, so that they are known. */
  part<Part>(pick: Pick<Part>): () => Part {
    this.#picks.push(pick);
    let of = this.#inForce;
    let value = pick(of);
    return () => {
      if (of === this.#inForce) return value;
      of = this.#inForce;
      value = pick(of);
      return value;
    };
  }

  /** Options of which the picked ones always say what is in force; whoever copies them freezes them. */
  options<Fixed extends object, Part extends object>(fixed: Fixed, pick: Pick<Part>): Fixed & Part {
    const current = this.part(pick);
    const getters = Object.keys(current()).map((name) => [
      name,
      { enumerable: true, get: () => (current() as Record<string, unknown>)[name] },
    ]);
    return joined(fixed, Object.defineProperties({}, Object.fromEntries(getters) as PropertyDescriptorMap) as Part);
  }

  /** Hands a part over now, and again whenever it has changed. */
  follow<Part>(pick: Pick<Part>, take: (part: Part) => void): void {
    const current = this.part(pick);
    let taken = current();
    take(taken);
    this.#followers.push({
      look: () => {
        const next = current();
        if (isDeepStrictEqual(taken, next)) return;
        take(next);
        taken = next;
      },
    });
  }

  /** Takes over what can be; throws, with everything as before, where somebody cannot take his part. */
  take(next: Config): void {
    const before = { inForce: this.#inForce, newest: this.#newest };
    this.#inForce = withLiveKeys(before.inForce, next);
    this.#newest = next;
    this.#onTake(this.#inForce, this.#newest);
    try {
      for (const follower of this.#followers) follower.look();
    } catch (error) {
      this.#inForce = before.inForce;
      this.#newest = before.newest;
      this.#onTake(this.#inForce, this.#newest);
      for (const follower of this.#followers) follower.look();
      throw error;
    }
  }
}
