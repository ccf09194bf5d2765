import { readdirSync } from "node:fs";
import { join } from "node:path";

/**
 * Computes what a process may touch (X1). Landlock only knows "allowed beneath", so a blocked path inside an allowed one
 * is expressed by allowing its siblings, level by level, and not the folder itself.
 */
export interface SandboxPolicy {
  /** `security.file_access.allowed_paths`: read and write. */
  readonly allowedPaths: readonly string[];
  /** `security.file_access.blocked_paths`, and the daemon's own folders. */
  readonly blockedPaths: readonly string[];
}

export interface SandboxExtras {
  readonly read?: readonly string[] | undefined;
  readonly write?: readonly string[] | undefined;
}

export interface ComputedRules {
  readonly read: readonly string[];
  readonly write: readonly string[];
}

/** What ordinary programs need to start: code, libraries, name resolution, time, certificates; no secrets, no homes. */
const systemRead = [
  "/usr",
  "/bin",
  "/sbin",
  "/lib",
  "/lib32",
  "/lib64",
  "/libx32",
  "/proc",
  "/sys/devices/system/cpu",
  "/sys/fs/cgroup",
  "/etc/alternatives",
  "/etc/bash.bashrc",
  "/etc/ca-certificates",
  "/etc/debian_version",
  "/etc/environment",
  "/etc/gai.conf",
  "/etc/gitconfig",
  "/etc/group",
  "/etc/host.conf",
  "/etc/hostname",
  "/etc/hosts",
  "/etc/inputrc",
  "/etc/ld.so.cache",
  "/etc/ld.so.conf",
  "/etc/ld.so.conf.d",
  "/etc/ld.so.preload",
  "/etc/locale.alias",
  "/etc/locale.conf",
  "/etc/localtime",
  "/etc/lsb-release",
  "/etc/machine-id",
  "/etc/magic",
  "/etc/mime.types",
  "/etc/nsswitch.conf",
  "/etc/os-release",
  "/etc/passwd",
  "/etc/pip.conf",
  "/etc/profile",
  "/etc/profile.d",
  "/etc/protocols",
  "/etc/python3",
  "/etc/resolv.conf",
  "/etc/services",
  "/etc/shells",
  "/etc/ssl",
  "/etc/terminfo",
  "/etc/timezone",
  "/etc/vim",
  "/run/systemd/resolve",
] as const;

/** Devices without a memory of their own, and terminals. */
const systemWrite = [
  "/dev/null",
  "/dev/zero",
  "/dev/full",
  "/dev/random",
  "/dev/urandom",
  "/dev/tty",
  "/dev/ptmx",
  "/dev/pts",
] as const;

export function sandboxRules(policy: SandboxPolicy, extras: SandboxExtras = {}): ComputedRules {
  const { blockedPaths } = policy;
  const around = (path: string): string[] => withoutBlocked(path, blockedPaths);
  return {
    read: [...systemRead.flatMap(around), ...(extras.read ?? []).flatMap(around)],
    write: [...systemWrite, ...policy.allowedPaths.flatMap(around), ...(extras.write ?? [])],
  };
}

export function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith("/") ? folder : `${folder}/`);
}

/** The path itself, or what is left of it when something beneath it is blocked; empty when it is blocked as a whole. */
function withoutBlocked(path: string, blocked: readonly string[]): string[] {
  if (blocked.some((entry) => isWithin(path, entry))) return [];
  if (!blocked.some((entry) => isWithin(entry, path))) return [path];
  let names: string[];
  try {
    names = readdirSync(path);
  } catch {
    return []; // Not there, or not ours to read: nothing of it is allowed.
  }
  return names.flatMap((name) => withoutBlocked(join(path, name), blocked));
}
