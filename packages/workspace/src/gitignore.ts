import { constants } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import ignore, { type Ignore } from "ignore";
import type { Access } from "./access.ts";
import { readFully } from "./content.ts";
import { Folder } from "./folder.ts";

/** What git itself would read is small; a larger one is read so far. */
const fileBytesMax = 262_144;
/** Folders above the one that is listed that may have a say. */
const foldersAboveMax = 64;
/**
 * The rules are whatever somebody put into a folder, and a rule is matched by backtracking: with each `**` the time grows by the depth of the path once
 * more. At the deepest path that is listed two take a tenth of a millisecond, three ten and four seconds.
 */
const starStarsMax = 2;
const lineBytesMax = 1_024;
const rulesMax = 1_000;

interface Rules {
  readonly folder: string;
  readonly rules: Ignore;
}

type Chain = readonly Rules[];

/**
 * The .gitignore files on the way from a repository's top to a folder, as git reads them: the nearest one that has something to say
 * decides. What is outside the allowed paths has no say.
 */
export class GitIgnore {
  readonly #chain: Chain;

  private constructor(chain: Chain) {
    this.#chain = chain;
  }

  /** The rules that hold at a folder because of those above it; its own come with `within`. */
  static async above(access: Access, place: string): Promise<GitIgnore> {
    const folders: string[] = [];
    for (let at = place; folders.length < foldersAboveMax && !(await hasName(access, at, ".git")); at = dirname(at)) {
      const parent = dirname(at);
      if (parent === at || !access.allows(parent)) break;
      folders.unshift(parent);
    }
    let above = new GitIgnore([]);
    for (const folder of folders) above = await above.within(access, folder);
    return above;
  }

  /** The same with the rules of a folder itself. */
  async within(access: Access, place: string): Promise<GitIgnore> {
    const text = await readRules(access, place);
    return text === undefined
      ? this
      : new GitIgnore([...this.#chain, { folder: place, rules: ignore().add(rulesOf(text)) }]);
  }

  ignores(place: string, isFolder: boolean): boolean {
    if (basename(place) === ".git") return true;
    for (const { folder, rules } of this.#chain.toReversed()) {
      const { ignored, unignored } = rules.test(`${relative(folder, place)}${isFolder ? "/" : ""}`);
      if (ignored || unignored) return ignored;
    }
    return false;
  }
}

/** The lines that are matched in bounded time; what the others leave out is listed. */
function rulesOf(text: string): string {
  const isRule = (line: string): boolean => line !== "" && !line.startsWith("#");
  const isCheap = (line: string): boolean =>
    Buffer.byteLength(line) <= lineBytesMax && line.split("**").length - 1 <= starStarsMax;
  return text.split(/\r?\n/).filter(isRule).filter(isCheap).slice(0, rulesMax).join("\n");
}

async function readRules(access: Access, place: string): Promise<string | undefined> {
  try {
    await using folder = await Folder.open(access, place);
    await using file = await folder.openFile(".gitignore", constants.O_RDONLY);
    const buffer = Buffer.allocUnsafe(fileBytesMax);
    return buffer.toString("utf8", 0, await readFully(file, buffer, 0));
  } catch {
    return undefined; // None, or none that may be read: it has no say.
  }
}

async function hasName(access: Access, place: string, name: string): Promise<boolean> {
  try {
    await using folder = await Folder.open(access, join(place, name));
    return folder.path !== "";
  } catch {
    return false;
  }
}
