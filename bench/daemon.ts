import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { cpuMsOf } from "@hl/testkit/idle-cost.ts";
import { RpcClient } from "./rpc-client.ts";

const repository = resolve(import.meta.dirname, "..");

/** What is measured is to be what runs: the switches and variables of hl-daemon are taken from the script that starts it. */
const { flags, memory } = startedWith(readFileSync(join(repository, "bin/lib/run.sh"), "utf8"));

export interface DaemonOptions {
  /** Sections of daemon.json, over those every benchmark has. */
  readonly config?: Readonly<Record<string, object>> | undefined;
  /** Of a daemon that has ended: the next one on the same data. */
  readonly home?: string | undefined;
  /** The program, where it is not that of the sources. */
  readonly main?: string | undefined;
  /** Arguments for Node itself, for profiles. */
  readonly nodeArguments?: readonly string[] | undefined;
}

/** One daemon process under test; the harness owns it and ends it. */
export class BenchDaemon implements AsyncDisposable {
  readonly home: string;
  readonly workspace: string;
  readonly socketPath: string;
  /** `127.0.0.1:PORT`. */
  readonly http: string;
  readonly pid: number;
  readonly token: string;
  /** From spawn to the ready line. */
  readonly startMs: number;
  readonly #child: ChildProcess;
  readonly #clients = new Set<RpcClient>();

  constructor(
    home: string,
    child: ChildProcess,
    ready: { socket: string; http: string; pid: number },
    startMs: number,
  ) {
    this.home = home;
    this.workspace = workspaceOf(home);
    this.#child = child;
    this.socketPath = ready.socket;
    this.http = ready.http;
    this.pid = ready.pid;
    this.startMs = startMs;
    this.token = readFileSync(join(home, "data/auth/local_token"), "utf8").trim();
  }

  static async start(home: string, options: DaemonOptions = {}): Promise<BenchDaemon> {
    mkdirSync(join(home, "config"), { recursive: true });
    mkdirSync(workspaceOf(home), { recursive: true });
    writeFileSync(join(home, "config/daemon.json"), JSON.stringify(configOf(home, options.config ?? {}), null, 2));
    const main = options.main ?? join(repository, "packages/daemon/src/main.ts");
    const startedAt = performance.now();
    // HL_BENCH_NODE_ARGUMENTS: for a profile of the daemon, for example --cpu-prof.
    const own = process.env["HL_BENCH_NODE_ARGUMENTS"]?.split(" ") ?? [];
    const child = spawn(
      process.execPath,
      [...flags, ...own, ...(options.nodeArguments ?? []), main, "--home", home, "--test-mode"],
      {
        stdio: ["ignore", "pipe", "inherit"],
        env: { PATH: process.env["PATH"], ...memory },
        cwd: home,
      },
    );
    const line = await new Promise<string>((resolveLine, reject) => {
      child.once("exit", (code) => reject(new Error(`the daemon ended with ${code} before it was ready`)));
      createInterface({ input: child.stdout }).once("line", resolveLine);
    });
    const startMs = performance.now() - startedAt;
    return new BenchDaemon(home, child, JSON.parse(line) as { socket: string; http: string; pid: number }, startMs);
  }

  /** A new connection on the unix socket, logged in. */
  async connect(): Promise<RpcClient> {
    const client = await RpcClient.connect(this.socketPath);
    this.#clients.add(client);
    await client.request("auth/login", { token: this.token });
    return client;
  }

  /** Kilobytes from /proc/PID/status, for example of VmRSS or RssAnon. */
  statusKb(name: string): number {
    const status = readFileSync(`/proc/${this.pid}/status`, "utf8");
    return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? Number.NaN);
  }

  /** Processor time of the daemon's process so far, in milliseconds. */
  cpuMs(): number {
    return cpuMsOf(this.pid);
  }

  /** Every process whose way up leads to the daemon, its own runner's included. */
  descendants(): number[] {
    const below = (parent: number): number[] => {
      const children = readFileSync(`/proc/${parent}/task/${parent}/children`, "latin1").trim().split(" ");
      return children.filter((text) => text !== "").flatMap((text) => [Number(text), ...below(Number(text))]);
    };
    return below(this.pid);
  }

  /** As a crash ends it: its commands live on. */
  async kill(): Promise<void> {
    const ended = new Promise((resolveEnd) => this.#child.once("exit", resolveEnd));
    this.#child.kill("SIGKILL");
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolveEnd) => this.#child.once("exit", resolveEnd));
    this.#child.kill("SIGTERM");
    const force = setTimeout(() => this.#child.kill("SIGKILL"), 20_000);
    await ended;
    clearTimeout(force);
  }
}

/** Throws where the script is written in another way than this reads it. */
function startedWith(script: string): { readonly flags: readonly string[]; readonly memory: Record<string, string> } {
  const young = /hl-daemon\b.*\) young_mb=(\d+)/.exec(script)?.[1];
  const line = /set -- ("--expose-gc"[^$]*) "\$file"/.exec(script)?.[1];
  const pairs = [...script.matchAll(/(MALLOC_\w+)="\$\{MALLOC_\w+:-(\d+)\}"/g)];
  if (young === undefined || line === undefined || pairs.length !== 3)
    throw new Error(
      "bin/lib/run.sh does not say in the way it did how it starts hl-daemon: see startedWith in bench/daemon.ts",
    );
  const own = [...line.matchAll(/"(--[^"]+)"/g)].map(([, flag = ""]) => flag);
  return {
    flags: [`--max-semi-space-size=${young}`, "--disable-sigusr1", ...own],
    memory: Object.fromEntries(pairs.map(([, name = "", value = ""]) => [name, value])),
  };
}

function workspaceOf(home: string): string {
  return join(home, "workspace");
}

/** Small differences from the defaults: what runs may run, on a free port, with room for the events. */
function configOf(home: string, sections: Readonly<Record<string, object>>): object {
  return {
    local_api: { http_port: 0 },
    logging: { level: "INFO" },
    ...sections,
    process_management: {
      allowed_commands: ["true", "head", "yes", "cat", "echo"],
      max_processes: 256,
      ...sections["process_management"],
    },
    event_streaming: { max_queue_size: 10_000_000, max_queue_bytes: 2 ** 33, ...sections["event_streaming"] },
    security: {
      ...sections["security"],
      file_access: { allowed_paths: [workspaceOf(home)], blocked_paths: ["/etc/shadow"] },
    },
  };
}
