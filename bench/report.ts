import { execFileSync } from "node:child_process";
import { cpus, loadavg, release, totalmem } from "node:os";

/** `info`: there is no budget, or this run cannot judge it (the detail says why). */
export type Verdict = "met" | "missed" | "info";

/** One line of the table. */
export interface Row {
  readonly what: string;
  /** As people read it; empty where there is none. */
  readonly budget: string;
  readonly measured: string;
  readonly verdict: Verdict;
  /** The numbers behind `measured`, for programs. */
  readonly values: Readonly<Record<string, number>>;
}

export interface Environment {
  readonly date: string;
  readonly commit: string;
  readonly processor: string;
  readonly cores: number;
  readonly memoryGb: number;
  /** Of the minute before: above zero somebody else was at work, and times on the clock say less than ratios. */
  readonly loadBefore: number;
  readonly kernel: string;
  readonly node: string;
  readonly sqlite: string;
  readonly quick: boolean;
}

export interface Result {
  readonly name: string;
  readonly environment: Environment;
  readonly rows: readonly Row[];
}

export function environmentOf(quick: boolean, now: Date, loadBefore: number): Environment {
  return {
    date: now.toISOString().slice(0, 16).replace("T", " "),
    commit: execFileSync("git", ["rev-parse", "--short", "HEAD"], {
      cwd: import.meta.dirname,
      encoding: "utf8",
    }).trim(),
    processor: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    loadBefore,
    kernel: release(),
    node: process.version,
    sqlite: process.versions["sqlite"] ?? "unknown",
    quick,
  };
}

export function loadNow(): number {
  return Math.round((loadavg()[0] ?? 0) * 10) / 10;
}

/** Judges `value` against a limit that it must not pass, or (`least`) reach. */
export function verdictOf(value: number, limit: number, sense: "most" | "least" = "most"): Verdict {
  return (sense === "most" ? value <= limit : value >= limit) ? "met" : "missed";
}

export function tableText(rows: readonly Row[]): string {
  const cells = [["what", "budget", "measured", "verdict"], ...rows.map(cellsOf)];
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((row) => row[column]!.length)));
  const line = (row: string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  return cells.map(line).join("\n");
}

export function markdown(results: readonly Result[]): string {
  const parts = results.map(({ name, environment: where, rows }) => {
    const head = `## ${name}\n\n${where.date} UTC, commit ${where.commit}${where.quick ? ", a quick run" : ""}: ${where.cores} × ${where.processor}, ${where.memoryGb} GB, Linux ${where.kernel}, Node ${where.node}, SQLite ${where.sqlite}; load before ${where.loadBefore}.`;
    const table = rows.map((row) => `| ${cellsOf(row).join(" | ")} |`).join("\n");
    return `${head}\n\n| what | budget | measured | verdict |\n| --- | --- | --- | --- |\n${table}\n`;
  });
  return `# Measured\n\nWritten by \`npm run bench\`, committed only after a deliberate run; from source, not from the release bundle.\n\n${parts.join("\n")}`;
}

function cellsOf({ what, budget, measured, verdict }: Row): string[] {
  return [what, budget, measured, verdict];
}
