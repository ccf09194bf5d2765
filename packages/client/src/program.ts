import { version } from "@hl/protocol/version.ts";
import { Command, CommanderError } from "commander";
import { connectionOptions, sessionOptionsOf, type Action, type Cli } from "./cli.ts";
import { addApprovalsApprove, addApprovalsDeny } from "./commands/approvals-decide.ts";
import { addApprovalsList } from "./commands/approvals-list.ts";
import { addApprovalsWatch } from "./commands/approvals-watch.ts";
import { addClaudeChat } from "./commands/claude-chat.ts";
import { addClaudeInterrupt } from "./commands/claude-interrupt.ts";
import { addClaudeList } from "./commands/claude-list.ts";
import { addClaudeRelay } from "./commands/claude-relay.ts";
import { addClaudeSend } from "./commands/claude-send.ts";
import { addClaudeStart } from "./commands/claude-start.ts";
import { addClaudeStatus } from "./commands/claude-status.ts";
import { addClaudeStop } from "./commands/claude-stop.ts";
import { addConfigCheck } from "./commands/config-check.ts";
import { addConfigDiff } from "./commands/config-diff.ts";
import { addConfigGet } from "./commands/config-get.ts";
import { addConfigSet, addConfigUnset } from "./commands/config-set.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addEventsEmit } from "./commands/events-emit.ts";
import { addEventsTail } from "./commands/events-tail.ts";
import { addExec } from "./commands/exec.ts";
import { addFileCat } from "./commands/file-cat.ts";
import { addFileMkdir, addFileMv, addFileRm } from "./commands/file-change.ts";
import { addFileGet } from "./commands/file-get.ts";
import { addFileLs } from "./commands/file-ls.ts";
import { addFilePut } from "./commands/file-put.ts";
import { addFileStat } from "./commands/file-stat.ts";
import { addFileWatch } from "./commands/file-watch.ts";
import { addHealth } from "./commands/health.ts";
import { addKill } from "./commands/kill.ts";
import { addLogs } from "./commands/logs.ts";
import { addPs } from "./commands/ps.ts";
import { addRestart } from "./commands/restart.ts";
import { addRpc } from "./commands/rpc.ts";
import { addStatus } from "./commands/status.ts";
import { addTop } from "./commands/top.ts";
import { exitCode } from "./exit-codes.ts";
import { tell, type Told } from "./failure.ts";
import { Failed } from "./failed.ts";
import { Interrupted, Interrupts } from "./interrupts.ts";
import type { EndingSignal, Ports } from "./ports.ts";
import { escapeText, jsonText } from "./render/escape.ts";
import { Session } from "./session.ts";
import { Sink } from "./sink.ts";

/** Every verb in the order of the help. */
export function buildProgram(cli: Cli): Command {
  const program = new Command("hl-client")
    .description("Talks to an hl-daemon: on this machine through its socket, elsewhere through hl-cloud.")
    .version(version)
    .enablePositionalOptions()
    .showHelpAfterError(false)
    .exitOverride();
  for (const option of connectionOptions()) program.addOption(option);
  // Everything below inherits this: failures are printed in one place.
  program.configureOutput({ outputError: () => {} });
  addStatus(program, cli);
  addHealth(program, cli);
  addDoctor(program, cli);
  addTop(program, cli);
  addExec(program, cli);
  addPs(program, cli);
  addLogs(program, cli);
  addKill(program, cli);
  const file = program.command("file").description("files of the workspace");
  for (const add of [addFileLs, addFileCat, addFilePut, addFileGet, addFileStat]) add(file, cli);
  for (const add of [addFileMv, addFileRm, addFileMkdir, addFileWatch]) add(file, cli);
  const events = program.command("events").description("events that the daemon ships to the cloud");
  addEventsEmit(events, cli);
  addEventsTail(events, cli);
  const claude = program.command("claude").description("coding agents");
  for (const add of [addClaudeChat, addClaudeStart, addClaudeSend, addClaudeRelay]) add(claude, cli);
  for (const add of [addClaudeList, addClaudeStatus, addClaudeInterrupt, addClaudeStop]) add(claude, cli);
  const approvals = program.command("approvals").description("what agents may not do before somebody has said so");
  for (const add of [addApprovalsList, addApprovalsApprove, addApprovalsDeny, addApprovalsWatch]) add(approvals, cli);
  addRestart(program, cli);
  addRpc(program, cli);
  const config = program.command("config").description("settings of a daemon, and configuration files");
  for (const add of [addConfigGet, addConfigSet, addConfigUnset, addConfigDiff, addConfigCheck]) add(config, cli);
  return program;
}

export interface Outcome {
  readonly exitCode: number;
  /** The signal of a user who wants to leave at once, whatever has not been written yet. */
  readonly leaving: EndingSignal | undefined;
}

/** Runs one command line and never throws. Everything it opened is closed, or closing, when it resolves. */
export async function runClient(ports: Ports): Promise<Outcome> {
  const interrupts = new Interrupts();
  const code = await runWith(ports, interrupts);
  return { exitCode: code, leaving: interrupts.signal.aborted ? interrupts.first?.signal : undefined };
}

async function runWith(ports: Ports, interrupts: Interrupts): Promise<number> {
  const out = new Sink(ports.stdout, interrupts);
  const err = new Sink(ports.stderr, undefined);
  const stopListening = ports.signals((signal) => interrupts.raise(Interrupted.bySignal(signal)));
  let code: number = exitCode.ok;
  let json = ports.args.includes("--json");
  const cli: Cli = {
    run: async (command: Command, action: Action) => {
      const options = sessionOptionsOf(command);
      json = options.json === true;
      code = await action(new Session({ ports, options, interrupts, out, err }));
    },
  };
  try {
    const program = buildProgram(cli);
    routeHelp(program, out, err);
    await program.parseAsync(ports.args, { from: "user" });
    return code;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return exitCode.ok; // --help, --version
    if (error instanceof CommanderError && error.code === "commander.help") return exitCode.usage; // The help is the message.
    const told = tell(error instanceof Failed ? error.cause : error);
    if (told.errorType !== "interrupted") err.line(json ? toldAsJson(told) : toldAsText(told));
    return error instanceof Failed ? error.exitCode : told.exitCode;
  } finally {
    stopListening();
  }
}

function routeHelp(command: Command, out: Sink, err: Sink): void {
  command.configureOutput({
    writeOut: (text) => out.write(text),
    writeErr: (text) => err.write(text),
    outputError: () => {},
  });
  for (const child of command.commands) routeHelp(child, out, err);
}

function toldAsText({ message, help, facts }: Told): string {
  const problems: unknown = facts?.["validation_errors"];
  // The message has the first of them only.
  const said = Array.isArray(problems) && problems.length > 1 ? problems.map(String).join("\n  ") : message;
  return `hl-client: ${escapeText(said)}${help === undefined ? "" : `\n  ${escapeText(help)}`}`;
}

function toldAsJson({ errorType, code, message, help, facts, exitCode: exits }: Told): string {
  return jsonText({ error: { error_type: errorType, code, message, help, data: facts, exit_code: exits } });
}
