import { watch, type FSWatcher } from "node:fs";
import type { Folder } from "../folder.ts";

/** One folder of a watched tree: its inotify watch, and the names in it that are known. */
export class WatchedFolder implements Disposable {
  /** From the top of the tree; empty for the top itself. */
  readonly path: string;
  readonly inode: number;
  readonly names: Set<string>;
  readonly #watcher: FSWatcher;

  private constructor(path: string, inode: number, names: Set<string>, watcher: FSWatcher) {
    this.path = path;
    this.inode = inode;
    this.names = names;
    this.#watcher = watcher;
  }

  /**
   * Watches first and reads then, so that nothing is missed in between. The watch is on what was opened, not on its name.
   * @param namesMax of more only one is read (P7): they are too many to be watched.
   */
  static async begin(
    folder: Folder,
    path: string,
    isWanted: (name: string) => boolean,
    namesMax: number,
    onName: (folder: WatchedFolder, name: string | null) => void,
  ): Promise<WatchedFolder> {
    let begun: WatchedFolder | undefined;
    const early: (string | null)[] = [];
    const watcher = watch(folder.self, (_event, name) =>
      begun === undefined ? early.push(name) : onName(begun, name),
    );
    // A watch that fails says so by an event too; its folder is then gone, which its parent tells.
    watcher.on("error", () => watcher.close());
    try {
      const { ino } = await folder.stat();
      const names = new Set<string>();
      for await (const entry of await folder.entries()) {
        const name = entry.name.toString("utf8");
        if (isWanted(name)) names.add(name);
        if (names.size > namesMax) break;
      }
      begun = new WatchedFolder(path, ino, names, watcher);
      for (const name of early) onName(begun, name);
      return begun;
    } catch (error) {
      watcher.close();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#watcher.close();
  }
}
