import { errorText } from "@hl/core/logger.ts";
import { resolve } from "node:path";
import { readTls } from "../connect/tls-files.ts";
import { exitCode } from "../exit-codes.ts";
import { healthAddress } from "./address.ts";
import { healthCheckUsage, parseHealthCheckArgs, type HealthCheckOptions } from "./options.ts";
import { probeHttp, probeSocket } from "./probe.ts";
import { judge, verdictExitCode, verdictLine, type Verdict } from "./verdict.ts";

export interface HealthCheckPorts {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly version: string;
  readonly print: (text: string) => void;
  readonly printError: (text: string) => void;
  /** Aborts after so many milliseconds. */
  readonly deadline: (ms: number) => AbortSignal;
}

/** Answers the exit code. */
export async function checkHealth(ports: HealthCheckPorts): Promise<number> {
  const parsed = parseHealthCheckArgs(ports.args);
  switch (parsed.kind) {
    case "help":
      ports.print(healthCheckUsage);
      return exitCode.ok;
    case "version":
      ports.print(`${ports.version}\n`);
      return exitCode.ok;
    case "wrong":
      ports.printError(`hl-health-check: ${parsed.message}\n  Try \`hl-health-check --help\`.\n`);
      return exitCode.usage;
    case "check": {
      const verdict = await verdictOf(parsed.options, ports);
      ports.print(parsed.options.json ? `${JSON.stringify(verdict)}\n` : `${verdictLine(verdict)}\n`);
      return verdictExitCode(verdict);
    }
  }
}

async function verdictOf(options: HealthCheckOptions, ports: HealthCheckPorts): Promise<Verdict> {
  const signal = ports.deadline(options.timeoutMs);
  let where = options.url ?? options.socket ?? "the daemon";
  try {
    if (options.socket !== undefined) return judge(await probeSocket(resolve(ports.cwd, options.socket), signal));
    where = options.url ?? (await healthAddress({ ...ports, config: options.config }));
    return judge(await probeHttp(where, readTls(options.tls, ports), signal));
  } catch (error) {
    const reason = signal.aborted ? `no answer within ${options.timeoutMs} ms` : errorText(error);
    return { status: "unreachable", reasons: [`${where}: ${reason}`] };
  }
}
