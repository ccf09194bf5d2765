/**
 * Starts the real programs as real processes, the way a person or systemd does, for system tests, the demo, the bench and `npm start`.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const repositoryRoot = join(dirname(fileURLToPath(import.meta.url)), "../../..");

/** Programs in `bin/`. */
export type ProgramName = "hl-daemon" | "hl-client" | "hl-health-check" | "hl-cloud";

export interface SpawnOptions {
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly cwd?: string | undefined;
  /** Written to standard input, which is closed then. */
  readonly input?: string | Uint8Array | undefined;
  /** A program and its arguments that become this one, for what has to be arranged before. */
  readonly through?: readonly string[] | undefined;
  /** A process group of its own, so that a Ctrl-C in the terminal does not reach it. */
  readonly detached?: boolean | undefined;
}

/** Only what programs need; a test must not depend on the variables of whoever runs it. */
function cleanEnvironment(extra: Readonly<Record<string, string>> | undefined): Record<string, string> {
  const { PATH = "/usr/local/bin:/usr/bin:/bin", HOME = "/", TERM = "dumb" } = process.env;
  const kept = ["NODE_V8_COVERAGE", "NODE_COMPILE_CACHE", "HL_PROGRAMS"].flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...{ PATH, HOME, TERM }, ...Object.fromEntries(kept), ...extra };
}

export function spawnProgram(name: ProgramName, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
  // Through bin/, so that the flags of Node stand in one place; the wrapper becomes the program by exec, with the same pid.
  const own = [join(repositoryRoot, "bin", name), ...args] as const;
  const [program, ...rest] = options.through === undefined ? own : [...options.through, ...own];
  const child = spawn(program ?? own[0], rest, {
    cwd: options.cwd ?? repositoryRoot,
    env: cleanEnvironment(options.env),
    stdio: ["pipe", "pipe", "pipe"],
    detached: options.detached ?? false,
  });
  child.stdin.on("error", () => {}); // A program that does not read its input is its own business.
  if (options.input !== undefined) child.stdin.end(options.input);
  else child.stdin.end();
  return child;
}

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Runs a program to its end. */
export function runProgram(name: ProgramName, args: readonly string[], options: SpawnOptions = {}): Promise<Finished> {
  return collect(spawnProgram(name, args, options));
}

export function collect(child: ChildProcess): Promise<Finished> {
  const stdout: Buffer[] = [];
  let stderr = "";
  child.stdout?.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString("utf8")));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal, stdout: Buffer.concat(stdout), stderr }));
  });
}

/** A program that stays, after it has said that it is ready. */
export class RunningProgram<Ready> implements AsyncDisposable {
  readonly name: string;
  readonly ready: Ready;
  readonly #child: ChildProcess;
  readonly #exited: Promise<number | null>;
  #stderr: string;

  private constructor(name: string, child: ChildProcess, ready: Ready, exited: Promise<number | null>, stderr: string) {
    this.name = name;
    this.#child = child;
    this.ready = ready;
    this.#exited = exited;
    this.#stderr = stderr; // It may have come before the ready line, though it was written after it.
    child.stderr?.on("data", (chunk: Buffer) => (this.#stderr = (this.#stderr + chunk.toString("utf8")).slice(-8_192)));
  }

  /** Resolves with the ready line; rejects with what it wrote to stderr when it ends before. */
  static async start<Ready>(
    name: ProgramName,
    args: readonly string[],
    options: SpawnOptions = {},
  ): Promise<RunningProgram<Ready>> {
    const child = spawnProgram(name, args, options);
    let stderr = "";
    child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString("utf8")));
    const exited = new Promise<number | null>((resolve) => {
      child.once("exit", (code) => resolve(code));
    });
    const line = await new Promise<string>((resolve, reject) => {
      let text = "";
      child.once("error", reject);
      child.stdout?.on("data", (chunk: Buffer) => {
        text += chunk.toString("utf8");
        const end = text.indexOf("\n");
        if (end !== -1) resolve(text.slice(0, end));
      });
      void exited.then((code) => reject(new Error(`${name} ended with ${code} before it was ready: ${stderr.trim()}`)));
    });
    return new RunningProgram(name, child, JSON.parse(line) as Ready, exited, stderr);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** Resolves with the exit code, null after a signal. */
  get exited(): Promise<number | null> {
    return this.#exited;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill(signal);
    return this.#exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

export interface DaemonReady {
  readonly ready: true;
  readonly socket: string;
  readonly http: string;
  readonly pid: number;
}

export interface CloudReady {
  readonly ready: true;
  readonly url: string;
  readonly pid: number;
}

export interface DaemonHome {
  readonly home: string;
  readonly workspace: string;
}

/** Makes the home of a daemon with a workspace in it and a daemon.json; `config` is merged over the smallest useful one. */
export function makeDaemonHome(home: string, config: Readonly<Record<string, object>> = {}): DaemonHome {
  const workspace = join(home, "workspace");
  mkdirSync(workspace, { recursive: true });
  mkdirSync(join(home, "config"), { recursive: true, mode: 0o750 });
  const local = { http_port: 0, ...config["local_api"] };
  writeFileSync(join(home, "config/daemon.json"), `${JSON.stringify({ ...config, local_api: local }, null, 2)}\n`);
  return { home, workspace };
}

export function startDaemon(
  home: string,
  options: SpawnOptions & { readonly args?: readonly string[] } = {},
): Promise<RunningProgram<DaemonReady>> {
  return RunningProgram.start<DaemonReady>(
    "hl-daemon",
    ["--home", home, "--test-mode", ...(options.args ?? [])],
    options,
  );
}

export function startCloud(
  home: string,
  options: SpawnOptions & { readonly listen?: string; readonly args?: readonly string[] } = {},
): Promise<RunningProgram<CloudReady>> {
  return RunningProgram.start<CloudReady>(
    "hl-cloud",
    ["serve", "--home", home, "--listen", options.listen ?? "127.0.0.1:0", ...(options.args ?? [])],
    options,
  );
}

/** The token that a subcommand prints. */
export const printedToken = cloudSubcommand;

/** What a subcommand of hl-cloud prints; throws with its stderr when it fails. */
export async function cloudSubcommand(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runProgram("hl-cloud", args);
  if (code !== 0) throw new Error(`hl-cloud ${args.join(" ")} failed with ${code}: ${stderr}`);
  return stdout.toString("utf8").trim();
}

/** A folder that is gone when the scope ends, also where a process that has just been ended was still at its own files in it. */
export function temporaryFolder(prefix: string): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), `${prefix}-`));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true, maxRetries: 5 }) };
}
