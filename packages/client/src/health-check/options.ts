import { parseArgs } from "node:util";
import type { TlsFiles } from "../connect/tls-files.ts";

/** hl-health-check's command line. parseArgs of Node instead of commander: this program starts every few seconds. */
export interface HealthCheckOptions {
  readonly url?: string | undefined;
  readonly socket?: string | undefined;
  readonly config?: string | undefined;
  readonly tls: TlsFiles;
  readonly timeoutMs: number;
  readonly json: boolean;
}

export type Parsed =
  | Readonly<{ kind: "check"; options: HealthCheckOptions }>
  | Readonly<{ kind: "help" }>
  | Readonly<{ kind: "version" }>
  | Readonly<{ kind: "wrong"; message: string }>;

const timeoutSecondsDefault = 5;

export const healthCheckUsage = `Usage: hl-health-check [options]

Asks the daemon once how it is and prints one line with the reasons.
Exits 0 healthy, 1 unhealthy or not reachable, 2 degraded, 64 wrong usage.

Options:
  --url <url>          the daemon's local HTTP (default: see below)
  --socket <path>      ask through the unix socket instead, with the local token
  --config <file>      daemon.json that names the HTTP address
  --cacert <file>      authorities that the daemon's https certificate is checked with (HL_CACERT)
  --cert <file>        client certificate to show there (HL_CERT)
  --key <file>         its private key (HL_KEY)
  --timeout <seconds>  give up after this time (default: ${timeoutSecondsDefault})
  --json               print the verdict as JSON
  -V, --version        output the version number
  -h, --help           display help

Without --url and --socket the address is the one that the running daemon wrote to
HL_DAEMON_HOME/data/state/http_address, else local_api.http_host and
local_api.http_port of the configuration.
`;

export function parseHealthCheckArgs(args: readonly string[]): Parsed {
  let values: ReturnType<typeof parse>;
  try {
    values = parse(args);
  } catch (error) {
    return { kind: "wrong", message: (error as Error).message };
  }
  if (values.help === true) return { kind: "help" };
  if (values.version === true) return { kind: "version" };
  if (values.url !== undefined && values.socket !== undefined) {
    return { kind: "wrong", message: "--url and --socket exclude each other" };
  }
  const seconds = values.timeout === undefined ? timeoutSecondsDefault : Number(values.timeout);
  if (!(seconds > 0 && seconds <= 3_600)) {
    return {
      kind: "wrong",
      message: `--timeout must be a number of seconds up to 3600, not ${JSON.stringify(values.timeout)}`,
    };
  }
  const { url, socket, config, cacert, cert, key, json = false } = values;
  const tls = { cacert, cert, key };
  return { kind: "check", options: { url, socket, config, tls, timeoutMs: seconds * 1000, json } };
}

function parse(args: readonly string[]): {
  url?: string;
  socket?: string;
  config?: string;
  cacert?: string;
  cert?: string;
  key?: string;
  timeout?: string;
  json?: boolean;
  version?: boolean;
  help?: boolean;
} {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  return parseArgs({
    args: [...args],
    options: {
      url: text,
      socket: text,
      config: text,
      cacert: text,
      cert: text,
      key: text,
      timeout: text,
      json: flag,
      version: { ...flag, short: "V" },
      help: { ...flag, short: "h" },
    },
    allowPositionals: false,
  }).values;
}
