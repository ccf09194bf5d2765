import { accessSync, constants, realpathSync, statSync } from "node:fs";
import { basename, isAbsolute, join, resolve } from "node:path";
import { HlError } from "@hl/protocol/errors.ts";
import { matchesBlocked } from "./blocked-rule.ts";
import { programsBehind, type ProgramCall } from "./wrappers.ts";

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

/** Programs that are judged behind the one that is asked for; nobody needs so many. */
const programsBehindMax = 32;

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
  refuseBlocked(policy.blocked, line, file);
  const allowedBy = allowingRule(policy.allowed, line, isPath, file);
  if (allowedBy === undefined) {
    const name = basename(command);
    const text = `${JSON.stringify(command)} is not allowed: add ${JSON.stringify(name)} to process_management.allowed_commands in daemon.json`;
    throw new HlError("command_not_allowed", text, { command, allowed_commands: policy.allowed });
  }
  return { executable: executableOf(found, file, line), rule: allowedBy };
}

/**
 * Throws where the program, or one that it starts in plain sight, is blocked. The allow list is not asked about those behind: who is
 * allowed to run `env` or `xargs` may run what they start.
 */
function refuseBlocked(blocked: readonly string[], line: CommandLine, file: string | undefined): void {
  const refuse = (why: string, facts: object = {}): never => {
    throw new HlError("command_blocked", `${JSON.stringify(line.command)} is blocked${why}`, {
      command: line.command,
      ...facts,
    });
  };
  const waiting: (ProgramCall & { readonly file: string | undefined })[] = [{ ...line, file }];
  for (let judged = 0; judged < waiting.length; judged += 1) {
    const call = waiting[judged];
    if (call === undefined) break;
    const names = namesOf(call.command, call.file);
    const rule = blocked.find((entry) => matchesBlocked(entry, names, call.args, line.cwd));
    if (rule !== undefined) {
      const starts = judged === 0 ? "" : `, as it starts ${JSON.stringify(basename(call.command))}`;
      refuse(` by the rule ${JSON.stringify(rule)}${starts}`, { rule });
    }
    // A link may have any name: what it leads to counts too.
    const behind = [...names].flatMap((command) => programsBehind({ command, args: call.args }));
    if (waiting.length + behind.length > programsBehindMax + 1) {
      refuse(`: it starts more than ${programsBehindMax} programs, one behind the other`);
    }
    waiting.push(...behind.map((inner) => ({ ...inner, file: fileOf(inner.command, line) })));
  }
}

/** The real file that a program's name or path leads to. */
function fileOf(command: string, { cwd, searchPath }: CommandLine): string | undefined {
  return command.includes("/") ? realFile(resolve(cwd, command)) : findInPath(command, searchPath);
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
