/**
 * Installs the real agents that tests and the demo drive, once, on first need: they are too large (about 370 MB) to come with `npm ci`.
 *
 * The lock file here pins every byte; a stamp inside node_modules names the lock file it was installed from, so it goes away
 * together with what it vouches for. Two processes that arrive at once are kept apart by a listening abstract socket: the kernel
 * releases it when its owner dies, in whatever way, so there is no stale lock to recognise and nothing to poll.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { access, constants, readFile, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Where the executables of the installed agents are. */
export interface Agents {
  /** Absolute path of Claude Code's native executable. */
  readonly claude: string;
}

/** What a test of the installer replaces. */
export interface InstallOptions {
  /** The folder with package.json and package-lock.json. */
  readonly directory?: string;
  /** The npm to run. */
  readonly npm?: string;
  readonly architecture?: string;
  /** Where the progress line goes, standard error by default. */
  readonly report?: (line: string) => void;
}

const here = fileURLToPath(new URL(".", import.meta.url));
const stderrTailChars = 2_000;

/**
 * The installed agents, installing them first where they are missing or where the lock file has changed.
 * Rejects with what npm said and what to do when they cannot be installed.
 */
export async function ensureAgents(options: InstallOptions = {}): Promise<Agents> {
  const directory = options.directory ?? here;
  const architecture = options.architecture ?? process.arch;
  if (process.platform !== "linux" || (architecture !== "x64" && architecture !== "arm64")) {
    throw new Error(`No agent is pinned for ${process.platform}-${architecture}; linux-x64 and linux-arm64 are.`);
  }
  return await ensureInstalled(options, {
    directory,
    architecture,
    find: async () => {
      const claude = await findClaude(directory, architecture);
      return claude === undefined ? undefined : { claude };
    },
    announcement: "Installing the agents used by tests and demo (about 370 MB, once) …",
    missing: `@anthropic-ai/claude-code-linux-${architecture}: look for "omit=optional" or "os", "cpu", "libc" in npm's configuration (npm config list)`,
    npmArguments: [],
  });
}

/** Scripts of the agents that speak ACP, for a Node of 22 or newer. */
export interface AcpAgents {
  readonly claudeAgentAcp: string;
  readonly gemini: string;
  readonly qwen: string;
}

/** As `ensureAgents`. Optional dependencies are left out: one of them is a second Claude Code. */
export async function ensureAcpAgents(options: InstallOptions = {}): Promise<AcpAgents> {
  const directory = options.directory ?? join(here, "acp");
  const claudeAgentAcp = join(directory, "node_modules/@agentclientprotocol/claude-agent-acp/dist/index.js");
  const gemini = join(directory, "node_modules/@google/gemini-cli/bundle/gemini.js");
  const qwen = join(directory, "node_modules/@qwen-code/qwen-code/cli-entry.js");
  return await ensureInstalled(options, {
    directory,
    architecture: options.architecture ?? process.arch,
    find: async () => {
      const scripts = { claudeAgentAcp, gemini, qwen };
      const found = await Promise.all(Object.values(scripts).map(isExecutable));
      return found.every(Boolean) ? scripts : undefined;
    },
    announcement: "Installing the agents that speak ACP (about 300 MB, once) …",
    missing: "claude-agent-acp, gemini-cli or qwen-code",
    npmArguments: ["--omit=optional"],
  });
}

interface Place<T> {
  readonly directory: string;
  readonly architecture: string;
  readonly find: () => Promise<T | undefined>;
  readonly announcement: string;
  readonly missing: string;
  readonly npmArguments: readonly string[];
}

async function ensureInstalled<T>(options: InstallOptions, place: Place<T>): Promise<T> {
  const { directory, architecture, find } = place;
  const lockFile = await readFile(join(directory, "package-lock.json"));
  const wanted = createHash("sha256").update(lockFile).update(architecture).digest("hex");

  const installed = await findInstalled(place, wanted);
  if (installed) return installed;

  await using _lock = await holdLock(directory);
  const installedMeanwhile = await findInstalled(place, wanted);
  if (installedMeanwhile) return installedMeanwhile;

  const report = options.report ?? ((line: string) => void process.stderr.write(`${line}\n`));
  report(place.announcement);
  await runNpm(options.npm ?? "npm", directory, place.npmArguments);
  const found = await find();
  if (!found) throw new Error(`npm ci in ${directory} succeeded but brought no ${place.missing}.`);
  await writeFile(stampPath(directory), wanted);
  return found;
}

async function findInstalled<T>({ directory, find }: Place<T>, wanted: string): Promise<T | undefined> {
  const stamp = await readFile(stampPath(directory), "utf8").catch(() => "");
  return stamp === wanted ? await find() : undefined;
}

function stampPath(directory: string): string {
  return join(directory, "node_modules", ".hl-installed-lock-sha256");
}

/** npm installs only the variant whose C library fits, so the one that is there is the right one. */
async function findClaude(directory: string, architecture: string): Promise<string | undefined> {
  for (const variant of [`linux-${architecture}`, `linux-${architecture}-musl`]) {
    const path = join(directory, "node_modules", "@anthropic-ai", `claude-code-${variant}`, "claude");
    if (await isExecutable(path)) return path;
  }
  return undefined;
}

async function isExecutable(path: string): Promise<boolean> {
  return await access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** Install scripts stay off: the native executable is started directly, so nothing needs them. */
async function runNpm(npm: string, cwd: string, more: readonly string[]): Promise<void> {
  const args = ["ci", "--ignore-scripts", ...more, "--no-audit", "--no-fund", "--loglevel=error"];
  const command = [npm, ...args].join(" ");
  const advice = `Check the network and the registry setting (npm config get registry), then run it in ${cwd} by hand.`;
  await new Promise<void>((resolve, reject) => {
    const child = spawn(npm, args, { cwd, stdio: ["ignore", "ignore", "pipe"] });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr = (stderr + text).slice(-stderrTailChars)));
    child.once("error", (cause) =>
      reject(new Error(`"${command}" did not start: ${cause.message}. ${advice}`, { cause })),
    );
    child.once("close", (code, signal) => {
      if (code === 0) resolve();
      else
        reject(
          new Error(`"${command}" ended with ${signal ?? `exit code ${code ?? "?"}`}.\n${stderr.trim()}\n${advice}`),
        );
    });
  });
}

async function holdLock(directory: string): Promise<AsyncDisposable> {
  const name = `\0hl-test-agents-${createHash("sha256").update(directory).digest("hex").slice(0, 32)}`;
  for (;;) {
    const lock = await tryToListen(name);
    if (lock) return lock;
    await ownerIsGone(name);
  }
}

async function tryToListen(name: string): Promise<AsyncDisposable | undefined> {
  const server = createServer();
  const waiting = new Set<{ destroy(): void }>();
  server.on("connection", (socket) => {
    waiting.add(socket);
    socket.on("error", () => {});
  });
  const taken = await new Promise<boolean>((resolve, reject) => {
    server.once("listening", () => resolve(false));
    server.once("error", (error: NodeJS.ErrnoException) =>
      error.code === "EADDRINUSE" ? resolve(true) : reject(error),
    );
    server.listen(name);
  });
  if (taken) return undefined;
  return {
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of waiting) socket.destroy();
      }),
  };
}

async function ownerIsGone(name: string): Promise<void> {
  await new Promise<void>((resolve) => {
    const socket = connect(name);
    socket.on("error", () => {});
    socket.once("close", () => resolve());
    socket.resume();
  });
}
