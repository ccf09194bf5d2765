import { systemClock } from "@hl/core/clock.ts";
import { errorText } from "@hl/core/logger.ts";
import type { LinkSettings } from "@hl/protocol/link-settings.ts";
import { version } from "@hl/protocol/version.ts";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { defaultLimits } from "./cloud-limits.ts";
import { startCloud } from "./compose.ts";
import { CloudConfigError } from "./config-error.ts";
import { limitOptions, limitsOf } from "./limit-flags.ts";
import { parseListenAddress } from "./listen-address.ts";
import { lineLogger, type LogLevel } from "./logger.ts";
import { operatorRoleNames, type OperatorRole } from "./operators/roles.ts";
import {
  addOperator,
  backup,
  enrollInstances,
  identifierRule,
  isIdentifier,
  readInstances,
  restore,
  revokeInstance,
} from "./subcommands.ts";
import { readTls, type TlsFlags } from "./tls-files.ts";
import { vmSettings, vmSettingsHelp, vmSettingsVariable } from "./vm-settings-flag.ts";

/** Exit codes of sysexits.h. */
const exitUsage = 64;
const exitConfig = 78;

interface ServeFlags extends TlsFlags {
  home: string;
  listen: string;
  accessTokenTtl: number;
  drainSpread: number;
  vmSetting?: LinkSettings;
  logLevel: LogLevel;
}

await run(process.argv);

async function run(argv: readonly string[]): Promise<void> {
  try {
    await program().parseAsync(argv);
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : exitUsage; // Commander has printed what is wrong.
      return;
    }
    process.stderr.write(`hl-cloud: ${errorText(error)}\n`);
    process.exitCode = error instanceof CloudConfigError ? exitConfig : 1;
  }
}

function program(): Command {
  const command = new Command("hl-cloud")
    .description("The control plane of a fleet of hl-daemons: commands, events, health, and a dashboard.")
    .version(version)
    .showHelpAfterError("(hl-cloud --help shows the usage)")
    .exitOverride();
  const home = ["--home <dir>", "where keys and the database are kept"] as const;
  const serveCommand = command
    .command("serve")
    .description(
      "Serve until SIGTERM or SIGINT; prints one JSON line on stdout when it is ready. SIGHUP reads the certificates again.",
    )
    .requiredOption(...home)
    .option(
      "--listen <host:port>",
      "port 0 takes any free one; plain http on loopback only",
      listenAddress,
      "127.0.0.1:7070",
    )
    .option("--tls-cert <file>", "certificate chain in PEM; with --tls-key it serves https (TLS 1.3)")
    .option("--tls-key <file>", "private key in PEM")
    .option("--client-ca <file>", "demand of every VM a certificate of this authority, besides its token")
    .addOption(
      new Option("--access-token-ttl <seconds>", "life of access tokens")
        .env("HL_CLOUD_ACCESS_TOKEN_TTL")
        .argParser(seconds)
        .default(defaultLimits.accessTokenSeconds),
    )
    .addOption(
      new Option(
        "--drain-spread <seconds>",
        "at a stop, daemons are told to come back at any moment within so long (0: at once)",
      )
        .env("HL_CLOUD_DRAIN_SPREAD")
        .argParser(spreadSeconds)
        .default(defaultLimits.drainSpreadSeconds),
    )
    .addOption(
      new Option("--vm-setting <name=value>", "set a number of the link in every VM; may be given again")
        .env(vmSettingsVariable)
        .argParser(vmSettings),
    )
    .addOption(
      new Option("--log-level <level>", "logs go to stderr as JSON lines")
        .choices(["debug", "info", "warn", "error"])
        .default("info"),
    )
    .addHelpText("after", vmSettingsHelp())
    .action(serve);
  serveCommand.optionsGroup("Limits:");
  for (const option of limitOptions()) serveCommand.addOption(option);
  command
    .command("enroll")
    .description("Print a one-time enrolment token for a VM; works while the server runs.")
    .requiredOption(...home)
    .option("--instance <id>", "the VM_INSTANCE_ID it will register with", identifier)
    .addOption(
      new Option(
        "--instances <file>",
        "many at once: one id a line, - is standard input; prints a token, a tab and the id for each",
      ).conflicts("instance"),
    )
    .option("--ttl <seconds>", "how long it may be used", seconds, 3_600)
    .option("--workspace <id>", "bind it to a workspace, too", identifier)
    .action(enroll);
  command
    .command("revoke")
    .description("Let a VM in no more, until it is enrolled again. A server that runs ends its connection at once.")
    .requiredOption(...home)
    .requiredOption("--instance <id>", "whose credentials end", identifier)
    .action(({ home, instance }: { home: string; instance: string }) => revokeInstance(home, instance));
  command
    .command("backup")
    .description(
      "Write the database and the keys as they are now to one file, which is a secret; works while the server runs.",
    )
    .requiredOption(...home)
    .requiredOption("--to <file>", "must not exist")
    .action(({ home, to }: { home: string; to: string }) => backup(home, to));
  command
    .command("restore")
    .description("Make a home out of a backup; then serve it under the address that the VMs know.")
    .requiredOption(...home)
    .requiredOption("--from <file>", "what `hl-cloud backup` wrote")
    .action(({ home, from }: { home: string; from: string }) => restore(from, home));
  command
    .command("operator")
    .description("Manage the people and programs that may use the fleet.")
    .command("add")
    .argument("<name>", "whose token it is; named in audits", identifier)
    .description("Print a bearer token for a new operator; works while the server runs.")
    .requiredOption(...home)
    .addOption(new Option("--role <role>", "what it may do").choices(operatorRoleNames).makeOptionMandatory())
    .option("--replace", "give an operator that exists a new token and role", false)
    .action(operatorAdd);
  return command;
}

async function serve(flags: ServeFlags): Promise<void> {
  const logger = lineLogger({
    clock: systemClock,
    level: flags.logLevel,
    write: (line) => void process.stderr.write(line),
  });
  const { home, listen, vmSetting: settings, accessTokenTtl: accessTokenSeconds, drainSpread } = flags;
  const limits = { ...limitsOf({ ...flags }), accessTokenSeconds, drainSpreadSeconds: drainSpread };
  const cloud = await startCloud({ home, listen, tls: readTls(flags), logger, limits, settings });
  let stopping: Promise<void> | undefined;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping !== undefined) {
      logger.warn({ signal }, "stopping at once");
      cloud.force();
      return;
    }
    logger.info({ signal }, "stopping: requests in progress may end; a second signal cuts them");
    stopping = Promise.resolve(cloud[Symbol.asyncDispose]()).catch((error: unknown) => {
      logger.error({ error }, "hl-cloud did not stop in order");
      process.exitCode = 1;
    });
  };
  const reread = (): void => {
    try {
      const tls = readTls(flags);
      if (tls === undefined) return;
      cloud.setTls(tls);
      logger.info({}, "the certificates were read again; they hold for new connections");
    } catch (error) {
      logger.error({ error: errorText(error) }, "the certificates cannot be used: the earlier ones still hold");
    }
  };
  process.on("SIGHUP", reread);
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  process.stdout.write(`${JSON.stringify({ ready: true, url: cloud.url, pid: process.pid })}\n`);
}

interface EnrollFlags {
  home: string;
  instance?: string;
  instances?: string;
  ttl: number;
  workspace?: string;
}

async function enroll(flags: EnrollFlags, command: Command): Promise<void> {
  const { home, instance, instances, ttl: ttlSeconds, workspace: workspaceId } = flags;
  if (instance === undefined && instances === undefined) command.error("error: --instance or --instances is needed");
  const ids = instances === undefined ? [instance ?? ""] : readInstances(instances);
  const tokens = await enrollInstances({ home, instances: ids, ttlSeconds, workspaceId });
  const lines = tokens.map((token, index) => (instances === undefined ? token : `${token}\t${ids[index] ?? ""}`));
  process.stdout.write(`${lines.join("\n")}\n`);
}

interface OperatorFlags {
  home: string;
  role: OperatorRole;
  replace: boolean;
}

async function operatorAdd(name: string, { home, role, replace }: OperatorFlags): Promise<void> {
  process.stdout.write(`${await addOperator(home, name, role, replace)}\n`);
}

function seconds(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0 && value <= 31_536_000) return value;
  throw new InvalidArgumentError("It must be a whole number of seconds, at least 1 and at most 31536000 (a year).");
}

function spreadSeconds(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isInteger(value) && value >= 0 && value <= 3_600) return value;
  throw new InvalidArgumentError("It must be a whole number of seconds, at least 0 and at most 3600.");
}

function listenAddress(text: string): string {
  if (parseListenAddress(text) !== undefined) return text;
  throw new InvalidArgumentError("It must be HOST:PORT; an IPv6 address stands in brackets.");
}

function identifier(text: string): string {
  if (isIdentifier(text)) return text;
  throw new InvalidArgumentError(`It must have ${identifierRule}.`);
}
