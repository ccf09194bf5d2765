import type { Command } from "commander";
import { resolve } from "node:path";
import * as z from "zod";
import { verb, type Cli } from "../cli.ts";
import { installedHome } from "../connect/target.ts";
import { exitCode } from "../exit-codes.ts";
import { escapeText } from "../render/escape.ts";
import type { Session } from "../session.ts";

const checkOptions = z.object({
  config: z.string().optional(),
  securityConfig: z.string().optional(),
  home: z.string().optional(),
});

export function addConfigCheck(parent: Command, cli: Cli): void {
  verb(parent, "check", "judge configuration files as the daemon would, without one; exits 0 or 78")
    .option("--config <file>", "daemon.json (default: below --home)")
    .option("--security-config <file>", "security.json (default: beside daemon.json)")
    .option("--home <directory>", `installation root (default: ${installedHome})`)
    .action((_options, command: Command) =>
      cli.run(command, (session) => check(session, checkOptions.parse(command.opts()))),
    );
}

async function check(session: Session, options: z.output<typeof checkOptions>): Promise<number> {
  // The loader declares every key there is: the other verbs start faster without it.
  const [{ loadConfig }, { formatProblems }] = await Promise.all([
    import("@hl/config/load.ts"),
    import("@hl/config/problem.ts"),
  ]);
  const { env, cwd } = session.ports;
  const at = (path: string | undefined): string | undefined => (path === undefined ? undefined : resolve(cwd, path));
  const result = loadConfig({
    home: at(options.home ?? env.HL_DAEMON_HOME) ?? installedHome,
    files: {
      daemon: at(options.config ?? env.HL_DAEMON_CONFIG),
      security: at(options.securityConfig ?? env.HL_DAEMON_SECURITY_CONFIG),
    },
    env,
  });
  const problems = result.ok ? [] : result.problems;
  const warnings = result.ok ? result.config.warnings : [];
  if (session.json) session.printJson({ valid: result.ok, problems, warnings });
  else {
    session.out.write(escapeText(formatProblems(problems)));
    for (const warning of warnings) session.notice(`${warning.file} ${warning.pointer}: ${warning.message}`);
  }
  return result.ok ? exitCode.ok : exitCode.config;
}
