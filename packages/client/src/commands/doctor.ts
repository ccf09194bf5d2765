import type { Command } from "commander";
import type { ResultOf } from "@hl/protocol/method.ts";
import type { systemHealth } from "@hl/protocol/methods/system-health.ts";
import { verb, type Cli } from "../cli.ts";
import { installedHome } from "../connect/target.ts";
import { exitCode } from "../exit-codes.ts";
import { tell } from "../failure.ts";
import { escapeLine, escapeText } from "../render/escape.ts";
import { verdict } from "../render/health.ts";
import type { Session } from "../session.ts";

type Health = ResultOf<typeof systemHealth>;

const codeByStatus = { healthy: exitCode.ok, degraded: exitCode.degraded, unhealthy: exitCode.unhealthy } as const;

export function addDoctor(parent: Command, cli: Cli): void {
  verb(
    parent,
    "doctor",
    "what is wrong and what to do, also where no daemon answers; exits as health does, or 69, 77, 78",
  )
    .option("--retry", "give self-healing its attempts back, after the cause is removed")
    .action((options: { retry?: boolean }, command: Command) =>
      cli.run(command, (session) => doctor(session, options.retry === true)),
    );
}

async function doctor(session: Session, retry: boolean): Promise<number> {
  let health: Health;
  let reset: readonly string[] = [];
  try {
    using connection = await session.connect();
    if (retry) ({ reset } = await connection.call("system/healing/reset", {}));
    health = await connection.call("system/health", {});
  } catch (error) {
    if (session.signal.aborted) throw error;
    return withoutDaemon(session, error);
  }
  const { status, alerts, cloud } = health;
  if (session.json) session.printJson({ status, findings: alerts, reset, cloud_configured: cloud.configured });
  else {
    const { out, paint } = session;
    if (retry) out.line(reset.length === 0 ? "nothing had used its attempts" : `tried again: ${reset.join(", ")}`);
    out.line(verdict(status, paint));
    for (const { severity, title, code, text, remedy } of alerts) {
      out.line(`  ${severity}: ${escapeLine(title)} (${escapeLine(code)})`);
      out.line(`      seen: ${escapeLine(text)}`);
      if (remedy !== undefined) out.line(`      do:   ${escapeLine(remedy)}`);
    }
    if (!cloud.configured) {
      out.line("  note: no cloud is configured, so nothing is shipped and nobody reaches this machine from afar");
      out.line("      do:   If it belongs to a fleet: scripts/configure.sh --cloud URL --instance ID, and restart it.");
    }
  }
  return codeByStatus[status];
}

/** The daemon does not answer: what the way to it says, and the commonest reason why it has not started. */
async function withoutDaemon(session: Session, error: unknown): Promise<number> {
  const { message, help, errorType, exitCode: code } = tell(error);
  const problems = await configurationProblems(session);
  if (session.json)
    session.printJson({ status: "unreachable", error_type: errorType, message, help, configuration: problems });
  else {
    const { out } = session;
    out.line(session.paint("bad", "unreachable"));
    out.line(`  ${escapeText(message)}`);
    if (help !== undefined) out.line(`      do:   ${escapeText(help)}`);
    if (problems.length > 0) out.line("  The configuration is not valid, and a daemon does not start with it:");
    for (const problem of problems) out.line(`      ${escapeLine(problem)}`);
  }
  return problems.length > 0 ? exitCode.config : code;
}

/** Of the daemon of this machine, as it would find it; nothing where there is no configuration. */
async function configurationProblems({ ports: { env } }: Session): Promise<string[]> {
  const [{ loadConfig }, { problemInWords }] = await Promise.all([
    import("@hl/config/load.ts"),
    import("@hl/config/problem.ts"),
  ]);
  const { HL_DAEMON_HOME: home, HL_DAEMON_CONFIG: daemon, HL_DAEMON_SECURITY_CONFIG: security } = env;
  const loaded = loadConfig({ home: home ?? installedHome, files: { daemon, security }, env });
  return loaded.ok ? [] : loaded.problems.map(problemInWords);
}
