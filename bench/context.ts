import type { BenchDaemon, DaemonOptions } from "./daemon.ts";
import type { Row } from "./report.ts";

/** What a benchmark may use. Everything that it starts through here is ended for it. */
export interface BenchContext {
  readonly quick: boolean;
  /** Simulated daemons of the fleet's benchmark. */
  readonly vms: number;
  /** Whether they speak TLS. */
  readonly tls: boolean;
  /** A real daemon process with its real runner, in a home of its own. */
  startDaemon(options?: DaemonOptions): Promise<BenchDaemon>;
  /** A helper of bench/native, compiled on first use. */
  program(name: "spawn-loop" | "fake-agent"): string;
  /** A folder of this run, removed at its end. */
  readonly directory: string;
}

export interface Benchmark {
  /** For `--only`, and the name of its file of results. */
  readonly name: string;
  readonly run: (context: BenchContext) => Promise<Row[]>;
}
