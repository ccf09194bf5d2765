import { basename } from "node:path";

/** A program as it is named, with what it is given. */
export interface ProgramCall {
  readonly command: string;
  readonly args: readonly string[];
}

/** How a program that starts another one reads what stands before that. */
interface Wrapper {
  /** Letters of options with a value, which may be joined to them. */
  readonly valued?: string;
  /** Letters of options whose value is joined to them or is none: the next word is not theirs. */
  readonly joined?: string;
  readonly longValued?: readonly string[];
  /** Words of its own before the program, such as a duration. */
  readonly operands?: number;
  /** Takes NAME=VALUE before the program, and a whole line in one argument (-S). */
  readonly isEnv?: boolean;
}

const wrappers: Readonly<Record<string, Wrapper>> = {
  env: { valued: "uCa", longValued: ["--unset", "--chdir", "--argv0"], isEnv: true },
  nice: { valued: "n", longValued: ["--adjustment"] },
  ionice: { valued: "cnpPu", longValued: ["--class", "--classdata"] },
  nohup: {},
  setsid: {},
  time: { valued: "fo", longValued: ["--format", "--output"] },
  timeout: { valued: "ks", longValued: ["--kill-after", "--signal"], operands: 1 },
  stdbuf: { valued: "ioe", longValued: ["--input", "--output", "--error"] },
  chrt: { valued: "TPD", longValued: ["--sched-runtime", "--sched-period", "--sched-deadline"], operands: 1 },
  taskset: { operands: 1 },
  xargs: {
    valued: "adEILnPs",
    joined: "eil",
    longValued: ["--arg-file", "--delimiter", "--max-args", "--max-procs", "--max-chars", "--process-slot-var"],
  },
  busybox: {},
  toybox: {},
};

/**
 * The programs that this one starts because it is told to in plain sight: `env rm`, `timeout 5 rm`, `find -exec rm`. Interpreters and
 * shells are no such programs: what they run cannot be told from their arguments.
 */
export function programsBehind({ command, args }: ProgramCall): readonly ProgramCall[] {
  const name = basename(command);
  if (name === "find") return behindFind(args);
  const wrapper = Object.hasOwn(wrappers, name) ? wrappers[name] : undefined;
  return wrapper === undefined ? [] : behind(wrapper, args);
}

function behind(wrapper: Wrapper, args: readonly string[]): readonly ProgramCall[] {
  let at = 0;
  for (let arg = args[at]; arg?.startsWith("-") === true && arg !== "-"; arg = args[at]) {
    at += 1;
    if (arg === "--") break;
    const line = wrapper.isEnv === true ? splitLine(arg, args[at]) : undefined;
    if (line !== undefined) {
      // The rest of the line is read as if it had stood there.
      return [{ command: "env", args: [...line.words, ...args.slice(at + (line.isJoined ? 0 : 1))] }];
    }
    if (takesNext(wrapper, arg)) at += 1;
  }
  at += wrapper.operands ?? 0;
  // A lone "-" is an option of env.
  while (wrapper.isEnv === true && (args[at] === "-" || args[at]?.includes("=") === true)) at += 1;
  const command = args[at];
  return command === undefined ? [] : [{ command, args: args.slice(at + 1) }];
}

/** Whether the option's value is the next argument. GNU takes abbreviations of long names. */
function takesNext({ valued = "", joined = "", longValued = [] }: Wrapper, option: string): boolean {
  if (option.startsWith("--")) return !option.includes("=") && longValued.some((long) => long.startsWith(option));
  const letters = Array.from(option.slice(1));
  const first = letters.findIndex((letter) => valued.includes(letter) || joined.includes(letter));
  return first !== -1 && first === letters.length - 1 && valued.includes(letters[first] ?? "");
}

/** `env -S "rm -rf /"`, also as -iS, --split-string and with the line joined. Quotes only group words here, and are left out. */
function splitLine(
  option: string,
  next: string | undefined,
): { readonly words: string[]; readonly isJoined: boolean } | undefined {
  const [long = "", ...value] = option.split("=");
  const isLong = long.length > 2 && "--split-string".startsWith(long);
  const short = /^-[i0v]*S(.*)$/s.exec(option)?.[1];
  if (!isLong && short === undefined) return undefined;
  const joined = isLong ? value.join("=") : (short ?? "");
  const isJoined = isLong ? value.length > 0 : joined !== "";
  const words = (isJoined ? joined : (next ?? "")).replaceAll(/["'\\]/g, "").split(/\s+/);
  return { words: words.filter((word) => word !== ""), isJoined };
}

const execActions = new Set(["-exec", "-execdir", "-ok", "-okdir"]);

/** Actions do not nest: what stands between `-exec` and its end is the program's. */
function behindFind(args: readonly string[]): ProgramCall[] {
  const calls: ProgramCall[] = [];
  for (let at = 0; at < args.length; at += 1) {
    const command = args[at + 1];
    if (!execActions.has(args[at] ?? "") || command === undefined) continue;
    const first = at + 2;
    while (at < args.length && args[at] !== ";" && !(args[at] === "+" && args[at - 1] === "{}")) at += 1;
    calls.push({ command, args: args.slice(first, at) });
  }
  return calls;
}
