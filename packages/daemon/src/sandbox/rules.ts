import { lstatSync, readdirSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/**
 * Computes what a process may touch (X1). Landlock only knows "allowed beneath", so a blocked path inside an allowed one
 * is expressed by allowing its siblings, level by level, and not the folder itself.
 *
 * Rules name the real place of things, because the kernel follows links when a rule is made: a link that leads to a blocked
 * path would open it. For the same reason nothing inside a writable folder gets a rule of its own: whoever may write there
 * could put a link to anywhere in its place, for the next process. Links inside a folder that is allowed as a whole need no
 * care: Landlock judges the file they lead to.
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

/**
 * Devices without a memory of their own, and the process's own terminal. Not /dev/pts, where everybody's terminals are: the shim
 * opens the one that is the process's own (X1). Who runs tmux or script inside the sandbox adds /dev/pts to allowed_paths.
 */
const systemWrite = [
  "/dev/null",
  "/dev/zero",
  "/dev/full",
  "/dev/random",
  "/dev/urandom",
  "/dev/tty",
  "/dev/ptmx",
] as const;

export function sandboxRules(policy: SandboxPolicy, extras: SandboxExtras = {}): ComputedRules {
  const places = new Places(systemPlaces());
  const blocked = [...new Set(policy.blockedPaths.flatMap((path) => [path, places.real(path)]))];
  const around = (path: string): string[] => withoutBlocked(places.real(path), blocked);
  const write = new Rules(places);
  // The outer one of two nested paths first: it covers the inner one.
  for (const path of [...policy.allowedPaths].sort((a, b) => a.length - b.length)) {
    if (!write.covers(dirname(path))) for (const rule of around(path)) write.add(rule);
  }
  for (const path of systemWrite) for (const rule of around(path)) write.add(rule);
  for (const path of extras.write ?? []) if (!write.covers(path)) write.add(places.real(path));
  const read = new Rules(places);
  for (const path of [...systemRead, ...(extras.read ?? [])]) {
    if (!write.covers(path)) for (const rule of around(path)) read.add(rule);
  }
  return { read: read.paths, write: write.paths };
}

/** The folders that the system's lists lie in, and those above. */
const systemFolders = [...new Set([...systemRead, ...systemWrite].flatMap(foldersAbove))];
let lookedUp: Readonly<{ state: string; places: ReadonlyMap<string, string> }> | undefined;

/**
 * Where the system's lists lead. A link or a folder can only come, go or change in the folder that holds it, and that shows there,
 * so all is looked up again as soon as one of the few folders has changed. Nothing of what callers or policies name is kept: a
 * process may have put something else in its place since.
 */
function systemPlaces(): ReadonlyMap<string, string> {
  const state = systemFolders.map(stateOf).join(); // Before the look-ups, so that a change between the two shows.
  if (lookedUp?.state !== state) {
    const places = new Places();
    for (const path of [...systemRead, ...systemWrite]) places.real(path);
    for (const path of systemFolders) places.real(path);
    lookedUp = { state, places: places.known };
  }
  return lookedUp.places;
}

function stateOf(folder: string): string {
  const found = statSync(folder, { bigint: true, throwIfNoEntry: false });
  return found === undefined ? "" : `${found.dev} ${found.ino} ${found.ctimeNs}`;
}

function foldersAbove(path: string): string[] {
  const parent = dirname(path);
  return parent === path ? [] : [parent, ...foldersAbove(parent)];
}

export function isWithin(path: string, folder: string): boolean {
  if (!path.startsWith(folder)) return false;
  return path.length === folder.length || folder.endsWith("/") || path[folder.length] === "/";
}

/** Rules of one kind, none of them inside another. */
class Rules {
  readonly #places: Places;
  readonly #paths = new Set<string>();

  constructor(places: Places) {
    this.#places = places;
  }

  get paths(): string[] {
    return [...this.#paths];
  }

  add(path: string): void {
    if (!this.#holds(path)) this.#paths.add(path);
  }

  /** Whether the way to `path` leads through a rule: from there on it could be anything's name. */
  covers(path: string): boolean {
    const parent = dirname(path);
    return (parent !== path && this.covers(parent)) || this.#holds(this.#places.real(path));
  }

  #holds(path: string): boolean {
    if (this.#paths.has(path)) return true;
    const parent = dirname(path);
    return parent !== path && this.#holds(parent);
  }
}

/** Where paths really lie, each looked up once; for what does not exist (yet) its nearest parent that does decides. */
class Places {
  readonly #known: Map<string, string>;

  /** @param known places that need not be looked up. */
  constructor(known: ReadonlyMap<string, string> = new Map()) {
    this.#known = new Map(known);
  }

  get known(): ReadonlyMap<string, string> {
    return this.#known;
  }

  real(path: string): string {
    const known = this.#known.get(path);
    if (known !== undefined) return known;
    const real = this.#lookUp(path) ?? join(this.real(dirname(path)), basename(path));
    this.#known.set(path, real);
    return real;
  }

  #lookUp(path: string): string | undefined {
    try {
      // Asked first because an exception costs more than all else here, and much of the system's list is missing anywhere.
      return lstatSync(path, { throwIfNoEntry: false }) === undefined ? undefined : realpathSync.native(path);
    } catch {
      return undefined;
    }
  }
}

/** The path itself, or what is left of it when something beneath it is blocked; empty when it is blocked as a whole. */
function withoutBlocked(path: string, blocked: readonly string[]): string[] {
  if (blocked.some((entry) => isWithin(path, entry))) return [];
  if (!blocked.some((entry) => isWithin(entry, path))) return [path];
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => !entry.isSymbolicLink())
      .flatMap(({ name }) => withoutBlocked(join(path, name), blocked));
  } catch {
    return []; // Not there, or not ours to read: nothing of it is allowed.
  }
}
