import { createHash, randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, realpathSync } from "node:fs";
import { arch, cpus, hostname, networkInterfaces, platform, release, totalmem, userInfo } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeFileAtomic } from "@hl/core/atomic-file.ts";

/** Facts about the machine that do not change while the daemon runs. */
export interface HostFacts {
  readonly bootId: string;
  readonly instanceId: string;
  readonly os: string;
  readonly kernel: string;
  readonly arch: string;
  readonly hostname: string;
  readonly cores: number;
  readonly memoryMb: number;
  readonly ipAddress: string;
  readonly user: string;
}

export function readHostFacts(home: string, configuredInstanceId: string | undefined): HostFacts {
  return {
    bootId: readOr("/proc/sys/kernel/random/boot_id", randomUUID()),
    instanceId: configuredInstanceId ?? derivedInstanceId(home),
    os: /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(readOr("/etc/os-release", ""))?.[1] ?? platform(),
    kernel: release(),
    arch: arch(),
    hostname: hostname(),
    cores: cpus().length,
    memoryMb: Math.floor(totalmem() / 1_048_576),
    ipAddress: firstAddress(),
    user: userName(),
  };
}

/**
 * Folders of the installation, with the specification's modes; the workspace too where it lies below the home, as it does
 * in a checkout.
 */
export function makeHomeFolders(home: string, workspace: string | undefined): void {
  const folders: [path: string, mode: number][] = [
    ["config", 0o750],
    ["data", 0o750],
    ["data/cache", 0o750],
    ["data/state", 0o750],
    ["data/auth", 0o700],
    ["data/metrics", 0o750],
    ["logs", 0o755],
  ];
  mkdirSync(home, { recursive: true, mode: 0o755 });
  for (const [path, mode] of folders) {
    if (!existsSync(join(home, path))) mkdirSync(join(home, path), { mode });
  }
  if (workspace?.startsWith(`${home}/`) === true) mkdirSync(workspace, { recursive: true });
}

/** In a checkout or an installation the C program lies at a fixed place beside us. */
export function findRunnerBinary(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const places = [join(here, "../../../native/hl-runner/build/hl-runner"), join(here, "../../native/hl-runner")];
  return places.find((path) => existsSync(path)) ?? (places[0] as string);
}

/** How hl-workspace is started: by the Node that we run in ourselves, from what lies beside ours: its bundle or its sources. */
export interface WorkspaceProgram {
  readonly argv: readonly string[];
  /** What the sandbox must let it read to run. */
  readonly read: readonly string[];
}

export function findWorkspaceProgram(): WorkspaceProgram {
  const here = dirname(fileURLToPath(import.meta.url));
  const root = join(here, "../../..");
  const node = realpathSync(process.execPath);
  const bundle = join(here, "../hl-workspace/main.mjs");
  const [main, sources] = existsSync(bundle)
    ? [bundle, [dirname(bundle)]]
    : [
        join(root, "packages/workspace/src/main.ts"),
        ["packages", "node_modules", "package.json"].map((name) => join(root, name)),
      ];
  return {
    // As in bin/: no debugger at SIGUSR1, and a small young generation, because chunks of files are collected at once or grow the process.
    argv: [node, "--disable-warning=ExperimentalWarning", "--disable-sigusr1", "--max-semi-space-size=2", main],
    read: [node, ...sources],
  };
}

/** Made from the machine's own id, so that a new home on the same machine is the same VM; kept, so that it never changes. */
function derivedInstanceId(home: string): string {
  const path = join(home, "data/state/instance_id");
  const saved = readOr(path, "");
  if (saved !== "") return saved;
  const machine = readOr("/etc/machine-id", randomUUID());
  const id = `vm-${createHash("sha256").update(`hl-daemon ${machine}`).digest("hex").slice(0, 16)}`;
  writeFileAtomic(path, `${id}\n`, 0o640);
  return id;
}

function firstAddress(): string {
  try {
    const all = Object.values(networkInterfaces()).flat();
    return all.find((address) => address !== undefined && !address.internal)?.address ?? "127.0.0.1";
  } catch {
    return "127.0.0.1"; // A unit without AF_NETLINK hides the interfaces.
  }
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? 0); // No entry in passwd.
  }
}

function readOr(path: string, fallback: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return fallback;
  }
}
