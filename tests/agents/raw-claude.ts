/**
 * The real Claude Code as a bare child process with its own folders, for tests that talk to it without the daemon in between.
 * Disposing it kills it and its tools, and removes the folders; lines are handed over in order, each to one reader.
 */
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { agentEnvironment } from "@hl/testkit/agent-env.ts";
import { ensureAgents } from "./install.ts";

/** A message of the agent, of any shape; assertions judge it. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Message = any;

export interface RawClaude extends AsyncDisposable {
  readonly child: ChildProcessWithoutNullStreams;
  /** The folder that holds all it keeps. */
  readonly home: string;
  /** The folder it works in. */
  readonly cwd: string;
  /** Resolves with what Node reports at its exit. */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  send(message: object): void;
  /** The next message that satisfies `wanted`; the ones before it are dropped. Rejects with its stderr when it ends first. */
  next(wanted: (message: Message) => boolean): Promise<Message>;
}

/** The runner's own time limit would end a test without releasing what it holds, so every wait has one of its own. */
const nextMsMax = 90_000;

/** The command line that the research recommends, and that the daemon uses. */
export const claudeArguments: readonly string[] = [
  ...["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"],
  ...["--permission-prompt-tool", "stdio", "--include-partial-messages"],
  ...["--setting-sources", "user", "--strict-mcp-config", "--permission-mode", "default"],
];

/** How a test's agent differs from the usual one. */
export interface SpawnOptions {
  /** Appended to `claudeArguments`. */
  readonly arguments?: readonly string[];
  /** The home of an agent that ran before, which keeps it; by default a new one, removed at the end. */
  readonly home?: string;
}

/** A child started, without lines being read: what the daemon's adapter is fed from. */
export async function spawnClaude(
  apiUrl: string,
  options: SpawnOptions = {},
): Promise<Pick<RawClaude, "child" | "home" | "cwd" | "exited"> & AsyncDisposable> {
  const { claude } = await ensureAgents();
  const home = options.home ?? (await mkdtemp(join(tmpdir(), "hl-claude-")));
  const cwd = join(home, "work");
  const scratch = join(home, "tmp");
  await Promise.all([cwd, scratch].map((path) => mkdir(path, { recursive: true })));
  const env = {
    ...agentEnvironment(apiUrl),
    PATH: process.env["PATH"] ?? "/usr/bin:/bin",
    HOME: home,
    CLAUDE_CONFIG_DIR: join(home, "config"),
    CLAUDE_CODE_TMPDIR: scratch,
  };
  const child = spawn(claude, [...claudeArguments, ...(options.arguments ?? [])], { cwd, env });
  child.stdin.on("error", () => {});
  const exited = once(child, "close").then(([code, signal]) => ({ code, signal }));
  return {
    child,
    home,
    cwd,
    exited,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await exited;
      if (options.home === undefined) await rm(home, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** A child whose lines are read. */
export async function startRawClaude(apiUrl: string, options: SpawnOptions = {}): Promise<RawClaude> {
  const started = await spawnClaude(apiUrl, options);
  const lines = createInterface(started.child.stdout)[Symbol.asyncIterator]();
  let stderr = "";
  started.child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr = (stderr + text).slice(-2_000)));
  return {
    ...started,
    send: (message) => void started.child.stdin.write(`${JSON.stringify(message)}\n`),
    next: async (wanted) => {
      const skipped: string[] = [];
      const tooLate = Promise.withResolvers<never>();
      const fail = (why: string): Error => new Error(`${why} Skipped: ${skipped.join(", ")}. stderr: ${stderr}`);
      const timer = setTimeout(
        () => tooLate.reject(fail(`Claude Code sent nothing wanted in ${nextMsMax} ms.`)),
        nextMsMax,
      );
      try {
        for (;;) {
          const { done, value } = await Promise.race([lines.next(), tooLate.promise]);
          if (done) throw fail("Claude Code ended before it sent what the test waits for.");
          const message: Message = JSON.parse(value);
          if (wanted(message)) return message;
          skipped.push([message.type, message.subtype ?? message.state ?? message.event?.type].join("/"));
        }
      } finally {
        clearTimeout(timer);
      }
    },
  };
}
