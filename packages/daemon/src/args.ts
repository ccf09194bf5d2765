import { parseArgs } from "node:util";
import { DEFAULT_HOME } from "@hl/config/load.ts";

export interface DaemonArguments {
  readonly home: string;
  readonly configFile: string | undefined;
  readonly securityFile: string | undefined;
  readonly testMode: boolean;
  readonly checkConfig: boolean;
  readonly json: boolean;
  readonly help: boolean;
  readonly version: boolean;
}

/** Wrong usage; the message is for the person at the terminal. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export const usage = `Usage: hl-daemon [--config FILE] [--security-config FILE] [--home DIR] [--test-mode] [--check-config]

The service in a VM that a cloud control plane trusts to run commands and coding agents.

  --config FILE           daemon.json (environment: HL_DAEMON_CONFIG; default: HOME/config/daemon.json)
  --security-config FILE  security.json (environment: HL_DAEMON_SECURITY_CONFIG; default: beside daemon.json)
  --home DIR              installation root (environment: HL_DAEMON_HOME; default: ${DEFAULT_HOME})
  --test-mode             no cloud unless one is configured, no systemd, stack traces in errors; everything else is real
  --check-config          print every problem of the configuration and exit with 0 or 78
  --json                  with --check-config: print the problems as JSON
  --help, --version

Prints one JSON line on standard output when it is ready. SIGTERM and SIGINT drain and stop, a second one forces;
SIGHUP reads the configuration again and takes over what a running daemon can; SIGUSR2 writes the daemon's state to its log.
HL_SUPERVISED=1 in its environment says that it is started again when it exits with 75, which system/restart has it do.
`;

export function readArguments(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): DaemonArguments {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...argv],
      options: {
        config: { type: "string" },
        "security-config": { type: "string" },
        home: { type: "string" },
        "test-mode": { type: "boolean", default: false },
        "check-config": { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
        version: { type: "boolean", default: false },
      },
    }));
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  return {
    home: values.home ?? env["HL_DAEMON_HOME"] ?? DEFAULT_HOME,
    configFile: values.config ?? env["HL_DAEMON_CONFIG"],
    securityFile: values["security-config"] ?? env["HL_DAEMON_SECURITY_CONFIG"],
    testMode: values["test-mode"],
    checkConfig: values["check-config"],
    json: values.json,
    help: values.help,
    version: values.version,
  };
}
