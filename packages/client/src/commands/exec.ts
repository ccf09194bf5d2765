import type { InputOf, ResultOf } from "@hl/protocol/method.ts";
import type { commandExecute } from "@hl/protocol/methods/command-execute.ts";
import type { CommandResult } from "@hl/protocol/methods/command-result.ts";
import { InvalidArgumentError, type Command } from "commander";
import * as z from "zod";
import { parsers, verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";
import { ClientFailure } from "../failure.ts";
import { endInWords, execFailureCode, exitCodeOf } from "../follow/exit-status.ts";
import { EscapeKeys } from "../follow/escape-keys.ts";
import { Follower, NeverBegun } from "../follow/follower.ts";
import { LocalTerminal, sizeOf } from "../follow/local-terminal.ts";
import { SizeForwarder } from "../follow/size-forwarder.ts";
import { forwardStdin } from "../follow/stdin-forwarder.ts";
import { Interrupted } from "../interrupts.ts";
import { jsonView, terminalView } from "../render/output-view.ts";
import type { Keyboard } from "../ports.ts";
import type { Session } from "../session.ts";
import { Failed } from "../failed.ts";
import { dryRun } from "./exec-dry-run.ts";

const execOptions = z.object({
  cwd: z.string().optional(),
  env: z.record(z.string(), z.string()).optional(),
  timeout: z.number().optional(),
  idleTimeout: z.number().optional(),
  detach: z.boolean().default(false),
  dryRun: z.boolean().default(false),
  pty: z.boolean().default(false),
  stdin: z.boolean().default(false),
  id: z.string().optional(),
});

type ExecOptions = z.output<typeof execOptions>;
type Request = InputOf<typeof commandExecute>;

export function addExec(parent: Command, cli: Cli): void {
  verb(parent, "exec", "run a command in the VM; its output and exit code become ours, Ctrl-C cancels it", {
    timeout: true,
  })
    .argument("<command>", "an executable, never a shell line")
    .argument("[args...]", "given to it untouched")
    .passThroughOptions()
    .option("--cwd <directory>", "working directory (default: the workspace)")
    .option("--env <name=value>", "an environment variable; may be repeated", environment)
    .option("--timeout <seconds>", "stop it after this time; the exit code is then 124", parsers.seconds)
    .option("--idle-timeout <seconds>", "stop it when it writes nothing for so long", parsers.seconds)
    .option("--detach", "print the command id and leave it running")
    .option("--dry-run", "only say whether it would be allowed, and how it would be run; exits 0 or 126")
    .option("--stdin", "give it our standard input, which is not read otherwise")
    .option(
      "--pty",
      "run it in a terminal with our keys and size; ^C goes to it, and Enter ~ . cancels it (twice: leaves at once)",
    )
    .option("--id <id>", "command id; with one that was used the same command is followed, not run again")
    .action((executable: string, args: string[], _options, command: Command) =>
      cli.run(command, (session) => exec(session, executable, args, execOptions.parse(command.opts()))),
    );
}

async function exec(session: Session, command: string, args: string[], options: ExecOptions): Promise<number> {
  if (options.dryRun && options.detach)
    throw new ClientFailure("usage", "--dry-run and --detach exclude each other: nothing is started");
  for (const other of ["stdin", "pty"] as const) {
    if (options.detach && options[other])
      throw new ClientFailure("usage", `--detach and --${other} exclude each other: nobody would be there to type`);
  }
  const { env: own, stdout } = session.ports;
  const term = options.pty && stdout.isTTY === true && own["TERM"] !== undefined ? { TERM: own["TERM"] } : undefined;
  const request: Request = {
    command_id: options.id ?? session.ports.uuid(),
    command,
    args,
    cwd: options.cwd,
    env: term === undefined ? options.env : { ...term, ...options.env },
    timeout: options.timeout,
    idle_timeout: options.idleTimeout,
    stdin: options.stdin,
    ...(options.pty ? { pty: sizeOf(stdout) } : {}),
    stream_output: true,
    output_encoding: "base64",
  };
  try {
    if (options.dryRun) return await dryRun(session, request);
    return options.detach ? await startDetached(session, request) : await follow(session, request);
  } catch (error) {
    throw new Failed(error, execFailureCode(error));
  }
}

/** The answer `started` comes at once; the command goes on when we leave. */
async function startDetached(session: Session, request: Request): Promise<number> {
  using connection = await session.connect();
  const result = stateIn(await connection.call("command/execute", request));
  if (session.json) session.printJson(result);
  else session.out.line(result.command_id);
  return exitCode.ok;
}

/** A dry run was not asked for, so the answer is the command's state. */
function stateIn(answer: ResultOf<typeof commandExecute>): CommandResult {
  if (answer.status !== "dry_run") return answer;
  throw new ClientFailure("protocol", "the daemon judged the command instead of running it");
}

async function follow(session: Session, request: Request): Promise<number> {
  const follower = new Follower({
    ...session.persistence,
    commandId: request.command_id,
    view: session.json ? jsonView(session) : terminalView(session),
    execute: async (connection, onNotification) =>
      stateIn(await connection.call("command/execute", request, { onNotification })),
  });
  let inputFailure: unknown;
  const ended = follower.run();
  session.interrupts.endInOrder((interruption) => {
    if (!follower.cancel()) session.interrupts.raise(interruption);
    else if (interruption.exitCode !== exitCode.brokenPipe) session.notice("cancelling … (once more to leave at once)");
  });
  const hasTerminal = request.pty !== undefined;
  const stdin = request.stdin === true || hasTerminal ? session.ports.stdin() : undefined;
  using own = new DisposableStack();
  if (stdin !== undefined) {
    const { command_id: commandId } = request;
    const { clock, signal, interrupts } = session;
    const following = (): ReturnType<Follower["following"]> => follower.following();
    if (hasTerminal) own.use(takeTerminal(session, stdin, new SizeForwarder(commandId, following)));
    // Only a person's keys have a second meaning: piped bytes are the program's, whatever they are.
    const keys = new EscapeKeys(() => interrupts.raise(Interrupted.bySignal("SIGINT")));
    const filter = hasTerminal && stdin.isTTY === true ? (typed: Buffer): Buffer => keys.take(typed) : undefined;
    forwardStdin({ stdin, commandId, following, clock, signal, filter }).catch((error: unknown) => {
      if (stdin.destroyed) return; // The command ended first.
      inputFailure = error;
      follower.cancel();
    });
  }
  try {
    const result = await ended;
    if (inputFailure !== undefined) throw inputFailure;
    return finish(session, result);
  } catch (error) {
    if (error instanceof NeverBegun && session.interrupts.first !== undefined) throw session.interrupts.first;
    throw error;
  } finally {
    own.dispose();
    stdin?.destroy(); // An open terminal or pipe would keep this program alive.
  }
}

/** Our terminal is the command's until the end; what we say ourselves meanwhile begins and ends its own lines. */
function takeTerminal(session: Session, keyboard: Keyboard, sizes: SizeForwarder): Disposable {
  const { ports, out, err } = session;
  const { stdout: screen, unprocessedOutput } = ports;
  const local = new LocalTerminal({ keyboard, screen, unprocessedOutput }, (size) => sizes.set(size));
  const setRaw = (isRaw: boolean): void => {
    for (const sink of [out, err]) sink.isRaw = isRaw && keyboard.isTTY === true;
  };
  setRaw(true);
  return {
    [Symbol.dispose]: () => {
      local[Symbol.dispose]();
      setRaw(false);
    },
  };
}

function finish(session: Session, result: CommandResult): number {
  if (session.json) session.printJson(result);
  const words = endInWords(result);
  if (words !== undefined && !session.json) session.notice(words);
  const interruption = session.interrupts.first;
  // A command that ended by itself, in spite of the cancel or just before it, keeps its own code.
  const ourDoing = interruption instanceof Interrupted && result.reason !== "exited";
  const pipeBroken = interruption?.exitCode === exitCode.brokenPipe;
  return ourDoing || pipeBroken ? interruption.exitCode : exitCodeOf(result);
}

function environment(text: string, before: Record<string, string> | undefined): Record<string, string> {
  const [name, value] = splitOnce(text);
  if (value === undefined || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    throw new InvalidArgumentError("It must look like NAME=VALUE.");
  }
  return { ...before, [name]: value };
}

function splitOnce(text: string): [string, string | undefined] {
  const at = text.indexOf("=");
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
