import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

const main = resolve(import.meta.dirname, "../../packages/cloud/src/main.ts");

export interface ServerFiles {
  readonly cert: string;
  readonly key: string;
}

/** One hl-cloud process under test. It keeps its home and its address over a restart. */
export class BenchCloud implements AsyncDisposable {
  readonly url: string;
  readonly #home: string;
  readonly #tls: ServerFiles | undefined;
  #child: ChildProcess;

  private constructor(home: string, tls: ServerFiles | undefined, started: Started) {
    this.#home = home;
    this.#tls = tls;
    this.url = started.url;
    this.#child = started.child;
  }

  static async start(home: string, tls?: ServerFiles): Promise<BenchCloud> {
    mkdirSync(home, { recursive: true });
    return new BenchCloud(home, tls, await serve(home, "127.0.0.1:0", tls));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** One-time tokens in the order of the instances. */
  enroll(instances: readonly string[]): string[] {
    const options = { input: instances.join("\n"), encoding: "utf8" as const, maxBuffer: 2 ** 28 };
    const output = execFileSync(
      process.execPath,
      [main, "enroll", "--home", this.#home, "--instances", "-", "--ttl", "86400"],
      options,
    );
    return output
      .trim()
      .split("\n")
      .map((line) => line.split("\t")[0]!);
  }

  addOperator(): string {
    const args = [main, "operator", "add", "bench", "--home", this.#home, "--role", "admin"];
    return execFileSync(process.execPath, args, { encoding: "utf8" }).trim();
  }

  /** Processor time of all its threads so far, in milliseconds; a restart begins anew. */
  cpuMs(): number {
    const stat = readFileSync(`/proc/${this.pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) * 10;
  }

  rssKb(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN);
  }

  /** Milliseconds from the stop to the ready line. */
  async restart(signal: NodeJS.Signals): Promise<number> {
    const startedAt = performance.now();
    await this.#stop(signal);
    this.#child = (await serve(this.#home, new URL(this.url).host, this.#tls)).child;
    return performance.now() - startedAt;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop("SIGTERM");
  }

  async #stop(signal: NodeJS.Signals): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolveEnd) => this.#child.once("exit", resolveEnd));
    this.#child.kill(signal);
    const force = setTimeout(() => this.#child.kill("SIGKILL"), 20_000);
    await ended;
    clearTimeout(force);
  }
}

interface Started {
  readonly child: ChildProcess;
  readonly url: string;
}

async function serve(home: string, listen: string, tls: ServerFiles | undefined): Promise<Started> {
  // HL_BENCH_NODE_ARGUMENTS: for a profile, for example --cpu-prof.
  const own = process.env["HL_BENCH_NODE_ARGUMENTS"]?.split(" ") ?? [];
  const args = [...own, main, "serve", "--home", home, "--listen", listen, "--log-level", "warn"];
  args.push("--access-token-ttl", "86400"); // Simulated daemons renew nothing, and a busy machine takes its time.
  if (tls !== undefined) args.push("--tls-cert", tls.cert, "--tls-key", tls.key);
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"], cwd: join(home) });
  const line = await new Promise<string>((resolveLine, reject) => {
    child.once("exit", (code) => reject(new Error(`hl-cloud ended with ${code} before it was ready`)));
    createInterface({ input: child.stdout }).once("line", resolveLine);
  });
  return { child, url: (JSON.parse(line) as { url: string }).url };
}
