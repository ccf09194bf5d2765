import { realpathSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { isWithin, Places } from "@hl/core/places.ts";
import { HlError } from "@hl/protocol/errors.ts";

/**
 * Judges paths (DESIGN.md 6, Paths): resolved against the workspace, looked at where they really lie, blocked wins, then allowed. It
 * judges names, so what it lets pass is judged once more by what was opened (folder.ts), and by the kernel behind it (X1). One is made
 * for each call: what the lists name may be links, and where those lead is looked up once a call.
 */
export interface AccessLists {
  readonly workspace: string;
  readonly allowedPaths: readonly string[];
  readonly blockedPaths: readonly string[];
}

export class Access {
  readonly #lists: AccessLists;
  #blockedPlaces: readonly string[] | undefined;
  #allowedPlaces: readonly string[] | undefined;

  constructor(lists: AccessLists) {
    this.#lists = lists;
  }

  /** Where the path really lies, links followed to the last one; of what does not exist (yet) its nearest parent decides. */
  follow(path: string): string {
    const place = new Places().real(this.#absolute(path));
    this.judge(place, path);
    return place;
  }

  /** The name itself, in the folder that really holds it: a link stays a link. */
  name(path: string): string {
    const absolute = this.#absolute(path);
    // An allowed path that is a link itself stands for the folder it leads to.
    if (this.#lists.allowedPaths.includes(absolute)) return this.follow(path);
    const place = resolve(new Places().real(dirname(absolute)), basename(absolute));
    this.judge(place, path);
    return place;
  }

  /** @param asked what the caller called it, for the message. Throws path_denied. */
  judge(place: string, asked: string = place): void {
    const { allowedPaths } = this.#lists;
    const denied = (why: string, facts: Record<string, unknown> = {}): HlError =>
      new HlError("path_denied", `${JSON.stringify(asked)} is ${why}`, { path: asked, ...facts });
    if (this.#blocked.some((blocked) => isWithin(place, blocked))) throw denied("inside a blocked path");
    if (!this.#allowed.some((allowed) => isWithin(place, allowed))) {
      const text = `outside the allowed paths (${allowedPaths.join(", ")})`;
      throw denied(text, { allowed_paths: [...allowedPaths] });
    }
  }

  allows(place: string): boolean {
    return !this.isBlocked(place) && this.#allowed.some((allowed) => isWithin(place, allowed));
  }

  isBlocked(place: string): boolean {
    return this.#blocked.some((blocked) => isWithin(place, blocked));
  }

  /** A folder may not be moved or removed with what nobody may touch. */
  refuseAround(place: string, asked: string): void {
    const inner = [...this.#blocked, ...this.#allowed].find((path) => path !== place && isWithin(path, place));
    const own = this.#allowed.includes(place) ? place : undefined;
    const held = inner ?? own;
    if (held === undefined) return;
    const what = this.#blocked.includes(held) ? "a blocked path" : "an allowed path";
    throw new HlError("path_denied", `${JSON.stringify(asked)} holds ${what} (${held}) and has to stay`, {
      path: asked,
    });
  }

  get #blocked(): readonly string[] {
    this.#blockedPlaces ??= this.#lists.blockedPaths.flatMap((path) => [path, realOf(path)]);
    return this.#blockedPlaces;
  }

  get #allowed(): readonly string[] {
    this.#allowedPlaces ??= this.#lists.allowedPaths.map(realOf);
    return this.#allowedPlaces;
  }

  #absolute(path: string): string {
    return resolve(this.#lists.workspace, path);
  }
}

function realOf(path: string): string {
  try {
    return realpathSync.native(path);
  } catch {
    return new Places().real(path);
  }
}
