import { lstatSync, realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** Where paths really lie, each looked up once; for what does not exist (yet) its nearest parent that does decides. */
export class Places {
  readonly #found = new Map<string, string>();
  readonly #known: ReadonlyMap<string, string> | undefined;

  /** @param known places that need not be looked up. */
  constructor(known?: ReadonlyMap<string, string>) {
    this.#known = known;
  }

  get found(): ReadonlyMap<string, string> {
    return this.#found;
  }

  real(path: string): string {
    const known = this.#known?.get(path) ?? this.#found.get(path);
    if (known !== undefined) return known;
    const real = this.#lookUp(path);
    this.#found.set(path, real);
    return real;
  }

  /** Step by step, because the folders above are the same for most paths. */
  #lookUp(path: string): string {
    const parent = dirname(path);
    if (parent === path) return path;
    const there = join(this.real(parent), basename(path));
    try {
      const found = lstatSync(there, { throwIfNoEntry: false });
      return found?.isSymbolicLink() === true ? realpathSync.native(there) : there;
    } catch {
      return there;
    }
  }
}

export function isWithin(path: string, folder: string): boolean {
  if (!path.startsWith(folder)) return false;
  return path.length === folder.length || folder.endsWith("/") || path[folder.length] === "/";
}

/** Inner ones first; the root is none of them. */
export function foldersAbove(path: string): string[] {
  const parent = dirname(path);
  return parent === path || parent === "/" ? [] : [parent, ...foldersAbove(parent)];
}
