import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";

/** What the bridge was started with. */
export type Arguments =
  | { readonly kind: "help" }
  | { readonly kind: "version" }
  | { readonly kind: "usage"; readonly problem: string }
  | {
      readonly kind: "stdio";
      readonly executable: string | undefined;
      readonly cliArguments: readonly string[];
      readonly sessionId: string | undefined;
    };

export const help = `claude-code: the real Claude Code behind newline-delimited JSON-RPC 2.0.

  claude-code --stdio [options] [-- ARGUMENT…]

  --executable PATH       the real Claude Code; default $CLAUDE_CODE_EXECUTABLE, then "claude" in PATH
  --session-id UUID       the id of the new conversation; by default one is made
  --resume ID             go on with a conversation
  --model NAME, --permission-mode MODE, --max-turns N
                          as Claude Code has them; what is behind -- goes to it as it is
  --version, --help

Methods: system/ping, system/info, message/send, message/interrupt, session/end.
It asks with approval/request before a tool runs that needs permission; who does not answer that request denies.
It ends with its standard input. Exit codes: 0 ended in order, 64 wrong usage, 69 Claude Code cannot be started, else as Claude Code ended.
`;

const passedOn = ["session-id", "resume", "model", "permission-mode", "max-turns"] as const;

/** Of Claude Code: which conversation it is. */
const namesSession = /^(?:--session-id|--resume|--continue|-r|-c)(?:=|$)/u;

export function parseArguments(argv: readonly string[]): Arguments {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  const options = {
    ...{ stdio: flag, help: flag, version: flag, executable: text },
    ...{ "session-id": text, resume: text, model: text, "permission-mode": text, "max-turns": text },
  } as const;
  const split = argv.indexOf("--");
  const own = split === -1 ? argv : argv.slice(0, split);
  try {
    const { values } = parseArgs({ args: [...own], options, allowPositionals: false });
    if (values.help) return { kind: "help" };
    if (values.version) return { kind: "version" };
    if (!values.stdio) return { kind: "usage", problem: "--stdio is missing" };
    const cliArguments = passedOn.flatMap((name) => (values[name] === undefined ? [] : [`--${name}`, values[name]]));
    const rest = split === -1 ? [] : argv.slice(split + 1);
    let sessionId = values.resume ?? values["session-id"];
    if (sessionId === undefined && !rest.some((argument) => namesSession.test(argument))) {
      sessionId = randomUUID(); // Else nobody could say it before the first turn.
      cliArguments.push("--session-id", sessionId);
    }
    return { kind: "stdio", executable: values.executable, cliArguments: [...cliArguments, ...rest], sessionId };
  } catch (error) {
    return { kind: "usage", problem: error instanceof Error ? error.message : String(error) };
  }
}
