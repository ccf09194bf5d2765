import { accessSync, constants, realpathSync, statSync } from "node:fs";
import { basename, isAbsolute, join, resolve } from "node:path";
import { HlError } from "@hl/protocol/errors.ts";

/**
 * Judges `command` and `args` against the lists (DESIGN.md 3.5): blocked first, then allowed, both by the file that would
 * really run. The lists are hygiene, since an interpreter on them can run anything; the boundary is the sandbox (X1).
 *
 * So two things that look like holes are not: a script `./git` in the workspace passes by its name, and a caller's own PATH
 * may lead an allowed name to a file of its choice, as toolchains in a home need it. Either runs what `python3 SCRIPT` could
 * run as well. A link gives its target's name away, so neither way leads to a blocked program.
 */
export interface CommandPolicy {
  readonly allowed: readonly string[];
  readonly blocked: readonly string[];
}

export interface CommandLine {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** Folders to search for a plain name, as in PATH. */
  readonly searchPath: string;
}

const metacharacters = /[|&;<>()$`\\"'*?[\]{}!#~\p{Cc}]/u;

export interface Judgement {
  /** Absolute. */
  readonly executable: string;
  /** The entry of the allow list that lets it run. */
  readonly rule: string;
}

/** Throws the refusal. */
export function judgeCommand(policy: CommandPolicy, line: CommandLine): Judgement {
  const { command } = line;
  const odd = metacharacters.exec(command)?.[0];
  if (odd !== undefined) {
    const text = `command ${JSON.stringify(command)} is blocked: ${JSON.stringify(odd)} has no meaning here, no shell is involved`;
    throw new HlError("command_blocked", text, { command, character: odd });
  }
  const isPath = command.includes("/");
  if (!isPath && command.includes(" ")) {
    const text = `command ${JSON.stringify(command)} is blocked: pass the executable in "command" and its arguments in "args"`;
    throw new HlError("command_blocked", text, { command });
  }
  const found = isPath ? resolve(line.cwd, command) : whichName(command, line.searchPath);
  const file = found === undefined ? undefined : realFile(found);
  const names = namesOf(command, file);
  const rule = policy.blocked.find((entry) => matchesBlocked(entry, names, line.args));
  if (rule !== undefined) {
    throw new HlError("command_blocked", `${JSON.stringify(command)} is blocked by the rule ${JSON.stringify(rule)}`, {
      command,
      rule,
    });
  }
  const allowedBy = allowingRule(policy.allowed, line, isPath, file);
  if (allowedBy === undefined) {
    const name = basename(command);
    const text = `${JSON.stringify(command)} is not allowed: add ${JSON.stringify(name)} to process_management.allowed_commands in daemon.json`;
    throw new HlError("command_not_allowed", text, { command, allowed_commands: policy.allowed });
  }
  return { executable: executableOf(found, file, line), rule: allowedBy };
}

function allowingRule(
  allowed: readonly string[],
  line: CommandLine,
  isPath: boolean,
  file: string | undefined,
): string | undefined {
  if (allowed.includes("*")) return "*";
  const entry = (name: string): string | undefined => (allowed.includes(name) ? name : undefined);
  if (!isPath) return entry(line.command);
  if (file === undefined) return entry(basename(line.command));
  // A path is as good as a name when it is the same file that the name stands for.
  return entry(basename(file)) ?? allowed.find((name) => findInPath(name, line.searchPath) === file);
}

function executableOf(found: string | undefined, file: string | undefined, line: CommandLine): string {
  const { command } = line;
  if (file === undefined || found === undefined) {
    // A path is not searched for: what it leads to tells which mistake it was.
    const where = found === undefined ? `in ${line.searchPath}` : `at ${JSON.stringify(found)}`;
    throw new HlError("command_not_found", `there is no executable ${JSON.stringify(command)} ${where}`, { command });
  }
  // The kernel takes no file behind such a path; found by its name alone, another path would run than was asked for.
  if (/\/\.{0,2}$/.test(command) || !isFile(file)) {
    throw new HlError("command_not_found", `${JSON.stringify(command)} is not a file`, { command });
  }
  if (!isExecutable(file)) {
    throw new HlError("command_not_found", `${JSON.stringify(command)} is not executable`, { command });
  }
  return found; // Not the real file: programs such as busybox look at the name they were called by.
}

/** Both the name that was asked for and the one it leads to. */
function namesOf(command: string, file: string | undefined): Set<string> {
  return new Set([basename(command), ...(file === undefined ? [] : [basename(file)])]);
}

function matchesBlocked(rule: string, names: ReadonlySet<string>, args: readonly string[]): boolean {
  const [program = "", ...words] = rule.trim().split(/\s+/);
  if (!names.has(basename(program))) return false;
  return words.length === 0 || matchesWords(words, args);
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
function matchesWords(words: readonly string[], args: readonly string[]): boolean {
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
    const at = plain.indexOf(word);
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

function findInPath(name: string, searchPath: string): string | undefined {
  const found = whichName(name, searchPath);
  return found === undefined ? undefined : realFile(found);
}

function whichName(name: string, searchPath: string): string | undefined {
  if (name === "" || name.includes("/")) return undefined;
  return searchPath
    .split(":")
    .filter((folder) => isAbsolute(folder))
    .map((folder) => join(folder, name))
    .find((path) => isFile(path) && isExecutable(path));
}

/** Most folders of a search path do not have the name, and an exception costs more than all else here. */
function isFile(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
  } catch {
    return false; // In a folder that we may not look into, for example.
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function realFile(path: string): string | undefined {
  try {
    return realpathSync.native(path);
  } catch {
    return undefined;
  }
}
