import { lstat } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "@hl/core/clock.ts";
import { errorText } from "@hl/core/logger.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { FileChange } from "@hl/protocol/methods/file-watch.ts";
import type { Access } from "../access.ts";
import { isDraft } from "../draft-names.ts";
import { isCode } from "../file-error.ts";
import { Folder } from "../folder.ts";
import { WatchedFolder } from "./watched-folder.ts";

export interface TreeWatcherOptions {
  readonly access: Access;
  /** Where the folder really lies. */
  readonly place: string;
  readonly recursive: boolean;
  readonly exclude: ReadonlySet<string>;
  readonly clock: Clock;
  /** Names that may be known at once (P7). */
  readonly namesMax: number;
  /** Called for every event of the kernel. */
  readonly onEvent: () => void;
  readonly onChange: (path: string, type: FileChange["type"]) => void;
  readonly onGap: () => void;
  /** All changes of one look have been told: they belong together. */
  readonly onLooked: () => void;
  /** Nothing is watched any more. */
  readonly onEnd: (why: string) => void;
}

/** Changes within this time are looked at, and told, together. */
export const coalesceMs = 50;

/**
 * Watches a tree with a watch for each folder, so that what is excluded costs nothing. The kernel's events only say where to look: what is
 * told comes from a look at the names that had one. States: watching ⇄ looking → ended.
 */
export class TreeWatcher implements Disposable {
  readonly #options: TreeWatcherOptions;
  readonly #folders = new Map<string, WatchedFolder>();
  #dirty = new Map<WatchedFolder, Set<string>>();
  #isOverrun = false;
  #namesKnown = 0;
  #cancelLook: (() => void) | undefined;
  #isLooking = false;
  #isEnded = false;

  constructor(options: TreeWatcherOptions) {
    this.#options = options;
  }

  /** Resolves when every change from now on is seen. */
  async begin(signal: AbortSignal): Promise<void> {
    const { access, place } = this.#options;
    try {
      await using top = await Folder.open(access, place);
      await this.#enter(top, "", false, signal);
      signal.throwIfAborted();
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Events may have been dropped: everything is looked at again. */
  overrun(): void {
    if (this.#isEnded) return;
    this.#isOverrun = true;
    this.#options.onGap();
    this.#lookSoon();
  }

  [Symbol.dispose](): void {
    this.#isEnded = true;
    this.#cancelLook?.();
    for (const folder of this.#folders.values()) folder[Symbol.dispose]();
    this.#folders.clear();
    this.#dirty.clear();
  }

  /** @param isNews what lies in it has come with it. */
  async #enter(folder: Folder, path: string, isNews: boolean, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const { recursive, namesMax, onChange } = this.#options;
    const isWanted = (name: string): boolean => this.#isWanted(join(folder.path, name), name);
    const watched = await this.#watch(folder, path, isWanted);
    const other = this.#folders.get(path);
    // Ended, or entered by a look of its own, meanwhile: nobody would close this one.
    if (this.#isEnded || other?.inode === watched.inode) {
      watched[Symbol.dispose]();
      return;
    }
    other?.[Symbol.dispose]();
    this.#folders.set(path, watched);
    this.#namesKnown += watched.names.size - (other?.names.size ?? 0);
    if (this.#namesKnown > namesMax) throw tooLarge(namesMax);
    for (const name of watched.names) {
      const inner = below(path, name);
      if (isNews) onChange(inner, "created");
      if (recursive) await this.#enterIfFolder(folder, name, inner, isNews, signal);
    }
  }

  async #watch(folder: Folder, path: string, isWanted: (name: string) => boolean): Promise<WatchedFolder> {
    try {
      const { namesMax } = this.#options;
      return await WatchedFolder.begin(folder, path, isWanted, namesMax, (watched, name) =>
        this.#onName(watched, name),
      );
    } catch (error) {
      if (!isCode(error, "ENOSPC", "EMFILE")) throw error;
      const text =
        "no inotify watch is left (fs.inotify.max_user_watches and max_user_instances): exclude folders, or raise them";
      throw new HlError("process_limit", text, { errno: (error as NodeJS.ErrnoException).code }, { cause: error });
    }
  }

  async #enterIfFolder(
    parent: Folder,
    name: string,
    path: string,
    isNews: boolean,
    signal?: AbortSignal,
  ): Promise<void> {
    try {
      if (!(await lstat(parent.at(name))).isDirectory()) return;
      await using inner = await parent.enter(name);
      await this.#enter(inner, path, isNews, signal);
    } catch (error) {
      // Gone or replaced since, of which an event tells; or closed to us, and then there is nothing to tell.
      if (!isCode(error, "ENOENT", "ENOTDIR", "ELOOP", "EACCES", "EPERM")) throw error;
    }
  }

  /** What is not finished yet is no change: that it takes its name is one. */
  #isWanted(place: string, name: string): boolean {
    return !this.#options.exclude.has(name) && !isDraft(name) && !this.#options.access.isBlocked(place);
  }

  #onName(folder: WatchedFolder, name: string | null): void {
    if (this.#isEnded) return;
    this.#options.onEvent();
    // A name that is no text cannot be told: somebody has to look.
    if (name === null || name.includes("\uFFFD")) this.#options.onGap();
    else if (!this.#options.exclude.has(name) && !isDraft(name)) this.#mark(folder, name);
  }

  #mark(folder: WatchedFolder, name: string): void {
    const names = this.#dirty.get(folder);
    if (names === undefined) this.#dirty.set(folder, new Set([name]));
    else names.add(name);
    this.#lookSoon();
  }

  #lookSoon(): void {
    if (this.#isLooking || this.#isEnded) return; // It looks again when it is through.
    this.#cancelLook ??= this.#options.clock.after(coalesceMs, () => void this.#look());
  }

  async #look(): Promise<void> {
    this.#cancelLook = undefined;
    this.#isLooking = true;
    try {
      if (this.#isOverrun) await this.#markAll();
      const dirty = this.#dirty;
      this.#dirty = new Map();
      for (const [folder, names] of dirty) await this.#lookAt(folder, names);
      await this.#checkTop();
    } catch (error) {
      if (!this.#isEnded) this.#end(errorText(error));
    } finally {
      this.#isLooking = false;
      this.#options.onLooked();
    }
    if (this.#dirty.size > 0 || this.#isOverrun) this.#lookSoon();
  }

  /** Names that have come and gone unseen; what is below new folders comes with them. */
  async #markAll(): Promise<void> {
    const { namesMax } = this.#options;
    this.#isOverrun = false;
    let newNames = 0;
    for (const folder of [...this.#folders.values()]) {
      await using open = await this.#open(folder);
      const gone = new Set(folder.names);
      for await (const entry of (await open?.entries()) ?? []) {
        const name = entry.name.toString("utf8");
        gone.delete(name);
        const isKnown = folder.names.has(name);
        if (isKnown && !this.#folders.has(below(folder.path, name))) continue;
        if (open === undefined || !this.#isWanted(join(open.path, name), name)) continue;
        if (!isKnown && (newNames += 1) > namesMax) throw tooLarge(namesMax);
        this.#mark(folder, name);
      }
      for (const name of gone) this.#mark(folder, name);
    }
  }

  async #lookAt(folder: WatchedFolder, names: ReadonlySet<string>): Promise<void> {
    if (this.#folders.get(folder.path) !== folder) return; // It has gone itself meanwhile.
    await using open = await this.#open(folder);
    if (open === undefined) return; // Its parent tells.
    for (const name of names) {
      if (this.#isEnded) return;
      if (this.#isWanted(join(open.path, name), name)) await this.#lookAtName(open, folder, name);
    }
  }

  async #lookAtName(open: Folder, folder: WatchedFolder, name: string): Promise<void> {
    const { onChange, recursive, namesMax } = this.#options;
    const path = below(folder.path, name);
    const found = await lstat(open.at(name)).catch(() => undefined);
    const isKnown = folder.names.has(name);
    const inner = this.#folders.get(path);
    if (inner !== undefined && inner.inode !== found?.ino) this.#leave(path);
    if (found === undefined) {
      if (!folder.names.delete(name)) return; // It came and went: nothing to tell.
      this.#namesKnown -= 1;
      onChange(path, "deleted");
      return;
    }
    if (!isKnown) {
      folder.names.add(name);
      this.#namesKnown += 1;
      if (this.#namesKnown > namesMax) throw tooLarge(namesMax);
    }
    if (inner === undefined || inner.inode !== found.ino) onChange(path, isKnown ? "modified" : "created");
    if (recursive && found.isDirectory() && !this.#folders.has(path)) await this.#enterIfFolder(open, name, path, true);
  }

  /** A folder has gone, with all below it. */
  #leave(path: string): void {
    for (const [key, folder] of this.#folders) {
      if (key !== path && !key.startsWith(`${path}/`)) continue;
      for (const name of folder.names) this.#options.onChange(below(key, name), "deleted");
      this.#namesKnown -= folder.names.size;
      this.#folders.delete(key);
      folder[Symbol.dispose]();
    }
  }

  /** Undefined where its name leads to something else now. */
  async #open(folder: WatchedFolder): Promise<Folder | undefined> {
    const { access, place } = this.#options;
    const open = await Folder.open(access, join(place, folder.path)).catch(() => undefined);
    if (open === undefined || (await open.stat()).ino === folder.inode) return open;
    await open[Symbol.asyncDispose]();
    return undefined;
  }

  async #checkTop(): Promise<void> {
    const top = this.#folders.get("");
    const found = await lstat(this.#options.place).catch(() => undefined);
    if (top !== undefined && found?.ino !== top.inode)
      this.#end("the folder that was watched has been removed or moved");
  }

  #end(why: string): void {
    this[Symbol.dispose]();
    this.#options.onEnd(why);
  }
}

function below(path: string, name: string): string {
  return path === "" ? name : `${path}/${name}`;
}

function tooLarge(namesMax: number): HlError {
  const text = `more than ${namesMax} names would have to be watched: watch a folder further in, or exclude some`;
  return new HlError("process_limit", text, { names_max: namesMax });
}
