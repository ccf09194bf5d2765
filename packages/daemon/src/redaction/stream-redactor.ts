/**
 * Takes secrets out of a text that comes in pieces (X4): one that is split over any number of them is found too. What may be the beginning of a
 * secret is held back until more comes, which is at most one character less than the longest that is looked for; all else goes out at once.
 *
 * There is no flush by time: whoever reads would put the halves of a secret together that came slowly.
 */
import type { Search } from "./needle-search.ts";
import { markFor } from "./mark.ts";
import { bareMark, type Secrets } from "./secrets.ts";

export class StreamRedactor {
  readonly #secrets: Pick<Secrets, "search">;
  #held = "";
  /** So much of what is held is part of a secret whose mark has gone out. */
  #marked = 0;
  /** A mark is the last that has gone out: what touches it belongs to it. */
  #touchesMark = false;
  /** The end of what has gone out: it must not become a secret by what follows. */
  #told = "";

  constructor(secrets: Pick<Secrets, "search">) {
    this.#secrets = secrets;
  }

  /** Characters that wait for more. */
  get held(): number {
    return this.#held.length;
  }

  /** What may go out of all that has come. */
  push(text: string): string {
    const all = this.#held + text;
    const search = this.#secrets.search();
    if (search === undefined) {
      const plain = all.slice(this.#marked);
      this.#keep("", 0);
      return this.#goesOut(plain, undefined);
    }
    return this.#take(all, search.openFrom(all), search);
  }

  /** The rest: nothing follows. */
  end(): string {
    const search = this.#secrets.search();
    const rest =
      search === undefined ? this.#held.slice(this.#marked) : this.#take(this.#held, this.#held.length, search);
    this.#keep("", 0);
    const out = search === undefined ? this.#goesOut(rest, undefined) : rest;
    this.#touchesMark = false;
    this.#told = "";
    return out;
  }

  /** @param until where what is held back begins */
  #take(all: string, until: number, search: Search): string {
    let behind = this.#marked;
    let touches = this.#touchesMark;
    const parts: string[] = [];
    for (const { from, to, name } of search.spansIn(all) ?? []) {
      // One that begins behind `until` ends where more may come: it is seen again then.
      if (from >= until && to > until && until < all.length) break;
      if (from > behind) {
        parts.push(all.slice(behind, from));
        touches = false;
      }
      if (!touches) parts.push(markFor(name, search));
      touches = true;
      behind = Math.max(behind, to);
    }
    if (behind < until) {
      parts.push(all.slice(behind, until));
      touches = false;
      behind = until;
    }
    this.#touchesMark = touches;
    this.#keep(all.slice(until), behind - until);
    return this.#goesOut(parts.join(""), search);
  }

  #keep(text: string, marked: number): void {
    this.#held = text;
    this.#marked = marked;
  }

  /** A mark with its neighbours, or what is left around one, may make a secret: then the piece goes. */
  #goesOut(text: string, search: Search | undefined): string {
    const told = this.#told;
    const isSafe = (piece: string): boolean =>
      search?.spansIn(told + piece)?.every(({ to }) => to <= told.length) ?? true;
    const out = [text, bareMark].find(isSafe) ?? "";
    this.#told = (this.#told + out).slice(-this.#toldMax(search));
    return out;
  }

  /** As much as the beginning of a secret may have; 1 without any, since -0 would be all. */
  #toldMax(search: Search | undefined): number {
    return Math.max(1, (search?.longest ?? 0) - 1);
  }
}
