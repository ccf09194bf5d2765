/** Entries of `blocked_commands`: a program, or a program with words that must be among its arguments. */
import { basename, isAbsolute, resolve } from "node:path";

/** @param names the program's: as it was asked for and as its file is called */
export function matchesBlocked(
  rule: string,
  names: ReadonlySet<string>,
  args: readonly string[],
  cwd: string,
): boolean {
  const [program = "", ...words] = rule.trim().split(/\s+/);
  if (!names.has(basename(program))) return false;
  return words.length === 0 || matchesWords(words, args, cwd);
}

const longNames: Readonly<Record<string, readonly string[]>> = {
  r: ["--recursive"],
  R: ["--recursive"],
  f: ["--force"],
};

/**
 * "rm -rf" means these flags in any spelling and order. Plain words must come in the order of the rule, and others may lie
 * between them: those may be the values of options, as in `git -C FOLDER push`.
 */
function matchesWords(words: readonly string[], args: readonly string[], cwd: string): boolean {
  const end = args.indexOf("--");
  const before = end === -1 ? args : args.slice(0, end);
  const shorts = new Set(before.filter((arg) => /^-[^-]/.test(arg)).flatMap((arg) => Array.from(arg.slice(1))));
  const longs = before.filter((arg) => arg.startsWith("--")).map((arg) => arg.replace(/=.*/s, ""));
  const hasLong = (name: string): boolean => longs.some((long) => name.startsWith(long)); // GNU takes abbreviations.
  const hasShort = (flag: string): boolean => {
    const same = flag === "r" || flag === "R" ? ["r", "R"] : [flag];
    return same.some((spelling) => shorts.has(spelling)) || (longNames[flag] ?? []).some(hasLong);
  };
  const plain = args.filter((arg) => !arg.startsWith("-"));
  const plainFrom = (word: string): boolean => {
    // A path is the same in whatever way it is written: `//`, `/.` and `..` may all be `/`.
    const path = isAbsolute(word) ? resolve(word) : undefined;
    const at = plain.findIndex((arg) => arg === word || (path !== undefined && resolve(cwd, arg) === path));
    plain.splice(0, at + 1);
    return at !== -1;
  };
  return words.every((word) => {
    if (word.startsWith("--")) {
      const short = Object.entries(longNames).find(([, names]) => names.includes(word))?.[0];
      return hasLong(word) || (short !== undefined && hasShort(short));
    }
    if (word.startsWith("-")) return Array.from(word.slice(1)).every(hasShort);
    return plainFrom(word);
  });
}
