import { readFileSync } from "node:fs";
import type { TlsOptions } from "node:tls";
import { systemClock } from "@hl/core/clock.ts";
import { errorText, silentLogger } from "@hl/core/logger.ts";
import { version } from "@hl/protocol/version.ts";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { CloudConfigError, defaultLimits, startCloud } from "./compose.ts";
import { parseListenAddress } from "./listen-address.ts";
import { lineLogger, type LogLevel } from "./logger.ts";
import { Operators } from "./operators/operators.ts";
import { operatorRoleNames, type OperatorRole } from "./operators/roles.ts";
import { openSqliteStore } from "./store/sqlite-store.ts";
import type { Store } from "./store/store.ts";
import { AccessTokens } from "./tokens/access-tokens.ts";
import { Credentials } from "./tokens/credentials.ts";
import { loadKeys } from "./tokens/keys.ts";

/** Exit codes of sysexits.h. */
const exitUsage = 64;
const exitConfig = 78;

interface ServeFlags {
  home: string;
  listen: string;
  tlsCert?: string;
  tlsKey?: string;
  clientCa?: string;
  accessTokenTtl: number;
  drainSpread: number;
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
  command
    .command("serve")
    .description("Serve until SIGTERM or SIGINT; prints one JSON line on stdout when it is ready.")
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
    .option("--access-token-ttl <seconds>", "life of access tokens", seconds, defaultLimits.accessTokenSeconds)
    .option(
      "--drain-spread <seconds>",
      "at a stop, daemons are told to come back at any moment within so long (0: at once)",
      spreadSeconds,
      defaultLimits.drainSpreadSeconds,
    )
    .addOption(
      new Option("--log-level <level>", "logs go to stderr as JSON lines")
        .choices(["debug", "info", "warn", "error"])
        .default("info"),
    )
    .action(serve);
  command
    .command("enroll")
    .description("Print a one-time enrolment token for a VM; works while the server runs.")
    .requiredOption(...home)
    .requiredOption("--instance <id>", "the VM_INSTANCE_ID it will register with", identifier)
    .option("--ttl <seconds>", "how long it may be used", seconds, 3_600)
    .option("--workspace <id>", "bind it to a workspace, too", identifier)
    .action(enroll);
  command
    .command("revoke")
    .description("Let a VM in no more, until it is enrolled again; works while the server runs.")
    .requiredOption(...home)
    .requiredOption("--instance <id>", "whose credentials end", identifier)
    .action(revoke);
  command
    .command("operator")
    .description("Manage the people and programs that may use the fleet.")
    .command("add")
    .argument("<name>", "whose token it is; named in audits", identifier)
    .description("Print a bearer token for a new operator; works while the server runs.")
    .requiredOption(...home)
    .addOption(new Option("--role <role>", "what it may do").choices(operatorRoleNames).makeOptionMandatory())
    .option("--replace", "give an operator that exists a new token and role", false)
    .action(addOperator);
  return command;
}

async function serve(flags: ServeFlags): Promise<void> {
  const logger = lineLogger({
    clock: systemClock,
    level: flags.logLevel,
    write: (line) => void process.stderr.write(line),
  });
  const limits = { accessTokenSeconds: flags.accessTokenTtl, drainSpreadSeconds: flags.drainSpread };
  const cloud = await startCloud({ home: flags.home, listen: flags.listen, tls: readTls(flags), logger, limits });
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
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  process.stdout.write(`${JSON.stringify({ ready: true, url: cloud.url, pid: process.pid })}\n`);
}

/** The credentials of a home, beside the server that may be running: it sees what was changed at its next look. */
async function credentialsOf(home: string, store: Store): Promise<Credentials> {
  const keys = await loadKeys(home);
  return new Credentials({
    store: store.credentials,
    accessTokens: new AccessTokens(keys, systemClock, defaultLimits.accessTokenSeconds),
    secret: keys.secret,
    clock: systemClock,
    logger: silentLogger,
    onFenced: () => {},
    requireSole: async () => {},
  });
}

async function revoke(flags: { home: string; instance: string }): Promise<void> {
  await using store = openSqliteStore(flags.home);
  const credentials = await credentialsOf(flags.home, store);
  if (await credentials.revoke(flags.instance)) return;
  throw new CloudConfigError(`there is no instance ${JSON.stringify(flags.instance)}, and no enrolment token for it`);
}

async function enroll(flags: { home: string; instance: string; ttl: number; workspace?: string }): Promise<void> {
  await using store = openSqliteStore(flags.home);
  const credentials = await credentialsOf(flags.home, store);
  process.stdout.write(`${await credentials.enroll(flags.instance, flags.ttl, flags.workspace)}\n`);
}

async function addOperator(name: string, flags: { home: string; role: OperatorRole; replace: boolean }): Promise<void> {
  await using store = openSqliteStore(flags.home);
  const token = await new Operators(store.operators, systemClock).add(name, flags.role, flags.replace);
  if (token === undefined) {
    throw new CloudConfigError(`there is an operator ${JSON.stringify(name)} already; --replace gives it a new token`);
  }
  process.stdout.write(`${token}\n`);
}

function readTls(flags: ServeFlags): TlsOptions | undefined {
  const { tlsCert, tlsKey, clientCa } = flags;
  if (tlsCert === undefined && tlsKey === undefined) {
    if (clientCa !== undefined) throw new CloudConfigError("--client-ca needs --tls-cert and --tls-key");
    return undefined;
  }
  if (tlsCert === undefined || tlsKey === undefined) {
    throw new CloudConfigError("--tls-cert and --tls-key belong together");
  }
  const files = { cert: readConfigured("--tls-cert", tlsCert), key: readConfigured("--tls-key", tlsKey) };
  if (clientCa === undefined) return files;
  // Browsers of operators have no certificate, so the demand is made route by route.
  return { ...files, ca: readConfigured("--client-ca", clientCa), requestCert: true, rejectUnauthorized: false };
}

function readConfigured(flag: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new CloudConfigError(`${flag}: ${errorText(error)}`, { cause: error });
  }
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
  if (/^[^\p{Cc}]{1,256}$/u.test(text)) return text;
  throw new InvalidArgumentError("It must have 1 to 256 characters, none of them a control character.");
}
