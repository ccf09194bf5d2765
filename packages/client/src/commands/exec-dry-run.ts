import type { InputOf } from "@hl/protocol/method.ts";
import type { CommandDecisionResult } from "@hl/protocol/methods/command-decision.ts";
import type { commandExecute } from "@hl/protocol/methods/command-execute.ts";
import { exitCode } from "../exit-codes.ts";
import { ClientFailure } from "../failure.ts";
import { bytes, plural } from "../render/quantity.ts";
import { renderFacts, type Cell } from "../render/table.ts";
import type { Session } from "../session.ts";

/** Asks what would be decided about the command, and prints it; nothing is started. */
export async function dryRun(session: Session, request: InputOf<typeof commandExecute>): Promise<number> {
  using connection = await session.connect();
  // A daemon that does not know the parameter ignores it, as all messages are read, and would run the command.
  const { capabilities, version } = await connection.call("system/info", {});
  if (!capabilities.includes("dry_run")) {
    throw new ClientFailure("protocol", `hl-daemon ${version} cannot judge a command without running it`);
  }
  const answer = await connection.call("command/execute", { ...request, stream_output: false, dry_run: true });
  if (answer.status !== "dry_run") {
    throw new ClientFailure("protocol", "the daemon ran the command instead of judging it");
  }
  if (session.json) session.printJson(answer);
  else print(session, answer);
  return answer.decision === "allow" ? exitCode.ok : exitCode.execRefused;
}

function print({ out, paint }: Session, answer: CommandDecisionResult): void {
  const isAllowed = answer.decision === "allow";
  out.line(isAllowed ? paint("good", "allowed") : paint("bad", "denied"));
  for (const line of renderFacts(factsOf(answer), paint)) out.line(line);
}

function factsOf({ rule, known, error, plan }: CommandDecisionResult): (readonly [string, Cell])[] {
  return [
    ...(error === undefined ? [] : reasonOf(error)),
    ...(rule === undefined ? [] : [["rule", rule] as const]),
    ...(known === true ? [["known", "its recorded result would be answered; it would not run again"] as const] : []),
    ...(plan === undefined ? [] : planFacts(plan)),
  ];
}

function reasonOf(error: NonNullable<CommandDecisionResult["error"]>): (readonly [string, Cell])[] {
  return [
    ["error", `${error.error_type} (${error.code})`],
    ["reason", error.message],
    ["help", error.help],
  ];
}

function planFacts(plan: NonNullable<CommandDecisionResult["plan"]>): (readonly [string, Cell])[] {
  const { executable, cwd, sandbox, limits } = plan;
  return [
    ["executable", executable],
    ["directory", cwd],
    ["sandbox", sandbox.mode ? "on" : { text: "off", tone: "warning" }],
    ["network", sandbox.network],
    ...(sandbox.mode
      ? ([
          ["writes", sandbox.write.join(" ")],
          ["reads", sandbox.read.join(" ")],
        ] as const)
      : []),
    ["limits", limitTexts(limits).join(", ")],
  ];
}

function limitTexts(limits: NonNullable<CommandDecisionResult["plan"]>["limits"]): string[] {
  const { timeout, idle_timeout: idle, memory_mb: memory, cpu_percent: cpu, processes } = limits;
  return [
    ...(timeout === undefined ? [] : [`${timeout} s`]),
    ...(idle === undefined ? [] : [`${idle} s idle`]),
    ...(memory === undefined ? [] : [`${memory} MB of memory`]),
    ...(cpu === undefined ? [] : [`${cpu} % of a processor`]),
    ...(processes === undefined ? [] : [`${processes} processes`]),
    plural(limits.open_files, "open file"),
    `${bytes(limits.log_bytes)} of output`,
  ];
}
