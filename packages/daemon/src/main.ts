import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadConfig, type Config } from "@hl/config/load.ts";
import { formatProblems, problemInWords } from "@hl/config/problem.ts";
import { systemClock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { version } from "@hl/protocol/version.ts";
import { readArguments, usage, UsageError, type DaemonArguments } from "./args.ts";
import { compose, type Daemon } from "./compose/compose.ts";
import { holdConfigured } from "./compose/secrets.ts";
import { findConfiguration, type ConfigurationPlace, type FoundConfiguration } from "./configuration/configuration.ts";
import { environmentProblem } from "./environment-guard.ts";
import { findRunnerBinary } from "./host-facts.ts";
import { forbidCore } from "./logging/forbid-core.ts";
import { openLog } from "./logging/pino-logger.ts";
import { ProxySettings, ProxyVariableInvalid } from "./network/proxy-settings.ts";
import { Redactor } from "./redaction/redactor.ts";
import { Secrets } from "./redaction/secrets.ts";
import { ServiceManager } from "./service/service-manager.ts";
import { restartExitCode, takeSupervised } from "./system/restart.ts";

/** Exit codes as sysexits has them. */
const exitCode = {
  ok: 0,
  failure: 1,
  usage: 64,
  unavailable: 69,
  software: 70,
  restart: restartExitCode,
  config: 78,
} as const;

/** A stop that takes longer is forced, so that systemd does not have to. */
const stopMsMax = 25_000;

const readyText = "ready";

/** The secrets of this process from its first moment on: whatever it writes is searched for them (X4). */
const secrets = new Secrets(systemClock);
const redactor = new Redactor(secrets);

/** The one way to standard error. */
function complain(text: string): void {
  process.stderr.write(redactor.redactText(text));
}

async function main(): Promise<void> {
  let args: DaemonArguments;
  try {
    args = readArguments(process.argv.slice(2), process.env);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    complain(`hl-daemon: ${error.message}\n\n${usage}`);
    process.exitCode = exitCode.usage;
    return;
  }
  if (args.help || args.version) {
    process.stdout.write(args.help ? usage : `hl-daemon ${version}\n`);
    return;
  }
  const { home, testMode, configFile: daemon, securityFile: security } = args;
  const place = { home, testMode, files: { daemon, security }, env: process.env };
  if (args.checkConfig) {
    checkConfig(place, args);
    return;
  }
  const found = findConfiguration(place);
  if (!found.ok) {
    complain(formatProblems(found.problems));
    process.exitCode = exitCode.config;
    return;
  }
  holdConfigured(secrets, found.config);
  warn(found.config);
  for (const problem of found.rejected) complain(`warning: does not hold: ${problemInWords(problem)}\n`);
  const problem = environmentProblem(process.env);
  const proxy = problem === undefined ? readProxy() : undefined;
  if (problem !== undefined || proxy instanceof ProxyVariableInvalid) {
    complain(`hl-daemon: ${problem ?? errorText(proxy)}\n`);
    process.exitCode = exitCode.config;
    return;
  }
  await run(found, args, proxy);
}

/** The overrides file is judged like the others here, although a start would go on without what is wrong in it. */
function checkConfig(place: ConfigurationPlace, { json }: DaemonArguments): void {
  const loaded = loadConfig(place);
  const problems = loaded.ok ? [] : loaded.problems;
  process.stdout.write(json ? `${JSON.stringify(problems)}\n` : formatProblems(problems));
  if (!loaded.ok) process.exitCode = exitCode.config;
  else if (!json) warn(loaded.config);
}

function warn({ warnings }: Config): void {
  for (const { pointer, message } of warnings) complain(`warning: ${pointer} ${message}\n`);
}

function readProxy(): ProxySettings | ProxyVariableInvalid | undefined {
  try {
    return ProxySettings.from(process.env);
  } catch (error) {
    if (error instanceof ProxyVariableInvalid) return error;
    throw error;
  }
}

async function run(found: FoundConfiguration, args: DaemonArguments, proxy: ProxySettings | undefined): Promise<void> {
  const { config, rejected } = found;
  // Signals first: a daemon that is told to stop while it starts stops in order too.
  const signals = new SignalQueue();
  using manager = ServiceManager.from(process.env, systemClock);
  const isSupervised = takeSupervised(process.env);
  const { HL_ENROLLMENT_TOKEN: enrollmentToken } = process.env;
  if (enrollmentToken !== undefined) secrets.holdOwn("enrollment_token", { enrollment_token: enrollmentToken });
  secrets.holdOwn("proxy", proxy?.secrets ?? {});
  const base = { service: "hl-daemon", pid: process.pid };
  const log = openLog(config.daemon.logging, { clock: systemClock, redactor, base });
  const { logger } = log;
  forbidCore(logger);
  const flushes = [log.flushSync];
  process.on("uncaughtException", (error) => crash(error, logger, flushes));
  let daemon: Daemon;
  try {
    daemon = await compose(found, {
      clock: systemClock,
      random: Math.random,
      logger,
      setLogLevels: log.setLevels,
      runnerBinary: findRunnerBinary(),
      enrollmentToken,
      proxy,
      secrets,
      redactor,
      logTrouble: log.trouble,
      logFiles: log.files,
      beforeCrash: (work) => flushes.push(work),
      restart: isSupervised ? () => signals.push(restartAsked) : undefined,
      testMode: args.testMode,
    });
    await daemon.start();
  } catch (error) {
    logger.error({ error: errorText(error) }, "the daemon could not start");
    complain(`hl-daemon: could not start: ${errorText(error)}\n`);
    log.close();
    process.exitCode = exitCode.unavailable;
    return;
  }
  const http = daemon.http?.address;
  const isTls = daemon.http?.isTls === true;
  const scheme = isTls ? "https://" : ""; // Bare is plain HTTP, as it has always been written.
  if (http !== undefined) writeFileSync(join(config.home, "data/state/http_address"), `${scheme}${http}\n`);
  const tls = isTls ? { https: true } : {};
  process.stdout.write(
    `${JSON.stringify({ ready: true, socket: daemon.socketPath, http, ...tls, pid: process.pid })}\n`,
  );
  logger.info({ version, http, socket: daemon.socketPath }, "ready");
  if (rejected.length > 0)
    logger.error({ problems: rejected }, "a part of the overrides file does not hold: the next update leaves it out");
  manager.ready(readyText, () => daemon.progress.isProgressing());
  process.exitCode = await serveSignals(signals, daemon, logger, manager);
  log.close();
}

/** Not by abort, which makes a core where one is wanted: it would hold every secret (X4). */
function crash(error: Error, logger: Logger, flushes: readonly (() => void)[]): never {
  logger.error({ error: error.stack }, "uncaught exception: the daemon ends, its commands go on under their shims");
  complain(`hl-daemon: ${error.stack ?? error.message}\n`);
  for (const flush of flushes) flush();
  // eslint-disable-next-line no-restricted-properties -- nothing can be released in order any more
  process.exit(exitCode.software);
}

/** Answers the exit code. */
async function serveSignals(
  signals: SignalQueue,
  daemon: Daemon,
  logger: Logger,
  manager: ServiceManager,
): Promise<number> {
  for (;;) {
    const signal = await signals.next();
    if (signal === "SIGUSR2") {
      logger.info({ state: daemon.dumpState() }, "state, as asked by SIGUSR2");
    } else if (signal === "SIGHUP") {
      manager.reloading();
      manager.reloaded(reload(daemon, logger));
    } else {
      manager.stopping();
      logger.info({ signal }, "stopping");
      let isRestart = signal === restartAsked;
      const forced = (async () => {
        if (isRestart) await signals.nextStop(); // Told to stop while it restarts, it stays stopped.
        isRestart = false;
        await signals.nextStop();
        return "forced" as const;
      })();
      const late = Promise.withResolvers<"late">();
      const cancelLate = systemClock.after(stopMsMax, () => late.resolve("late"));
      const outcome = await Promise.race([daemon.stop(isRestart).then(() => "stopped" as const), forced, late.promise]);
      cancelLate(); // A timer that is left would keep the stopped process for its whole time.
      if (outcome === "stopped") return isRestart ? exitCode.restart : exitCode.ok;
      logger.error({ outcome }, "the stop was not finished");
      complain(`hl-daemon: stop ${outcome}\n`);
      process.kill(process.pid, "SIGKILL");
    }
  }
}

/** What systemd is to show of it. */
function reload(daemon: Daemon, logger: Logger): string {
  try {
    const outcome = daemon.reload();
    if (!outcome.ok) {
      logger.error({ problems: outcome.problems }, "the configuration is not valid; the old one stays in force");
      return "ready; the last reload was refused: the configuration is not valid, see hl-daemon --check-config";
    }
    const { applied, waiting } = outcome;
    logger.info({ applied }, applied.length === 0 ? "nothing new holds at once" : "what is new holds from now on");
    if (waiting.length > 0) logger.warn({ waiting }, "the rest of the configuration holds at the next start");
    return waiting.length > 0 ? "ready; a part of the configuration waits for a restart" : readyText;
  } catch (error) {
    logger.error({ error: errorText(error) }, "the configuration could not be taken over; the old one stays in force");
    return "ready; the last reload failed, see the log";
  }
}

/** What `system/restart` puts among the signals. */
const restartAsked = "restart";

/** Signals in the order they came. */
class SignalQueue {
  readonly #waiting: string[] = [];
  #wake: ((signal: string) => void) | undefined;

  constructor() {
    for (const name of ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR2"] as const) process.on(name, () => this.push(name));
  }

  next(): Promise<string> {
    const first = this.#waiting.shift();
    if (first !== undefined) return Promise.resolve(first);
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** The next signal that asks to stop; the others no longer matter. */
  async nextStop(): Promise<void> {
    while (!["SIGTERM", "SIGINT"].includes(await this.next()));
  }

  push(signal: string): void {
    const wake = this.#wake;
    this.#wake = undefined;
    if (wake === undefined) this.#waiting.push(signal);
    else wake(signal);
  }
}

await main();
