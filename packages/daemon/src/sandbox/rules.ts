import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Places } from "@hl/core/places.ts";
import { isWithin } from "@hl/core/places.ts";
import { placesNow, systemRead, systemWrite, type PlacesNow } from "./system-paths.ts";

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

/** The part of the rules that is the same for every process, as long as its basis is. */
export interface SystemRules extends ComputedRules {
  /** All that these rules were computed from: the places of the lists and of what is allowed and blocked. */
  readonly basis: string;
}

/**
 * @param given rules that the process has already; undefined is answered when they are no longer right.
 * @param now what has been looked up in this turn already.
 */
export function sandboxRules(
  policy: SandboxPolicy,
  extras: SandboxExtras,
  given: SystemRules,
  now?: PlacesNow,
): ComputedRules | undefined;
export function sandboxRules(policy: SandboxPolicy, extras?: SandboxExtras): ComputedRules;
export function sandboxRules(
  policy: SandboxPolicy,
  extras: SandboxExtras = {},
  given?: SystemRules,
  now?: PlacesNow,
): unknown {
  const ground = groundOf(policy, now);
  if (given !== undefined && given.basis !== basisOf(ground)) return undefined;
  const { places, write, around } = ground;
  const read = new Rules(places);
  if (given === undefined) for (const path of systemWrite) for (const rule of around(path)) write.add(rule);
  for (const path of extras.write ?? []) if (!write.covers(path)) write.add(places.real(path));
  for (const path of [...(given === undefined ? systemRead : []), ...(extras.read ?? [])]) {
    if (!write.covers(path)) for (const rule of around(path)) read.add(rule);
  }
  return { read: read.paths, write: write.paths };
}

/** What may be told to a process before it is known what it will be; undefined where that depends on what lies in folders. */
export function systemRules(policy: SandboxPolicy): SystemRules | undefined {
  const ground = groundOf(policy);
  const { places, write, around } = ground;
  const basis = basisOf(ground);
  if (basis === undefined) return undefined;
  if (latest?.basis === basis) return latest;
  const own = new Set(write.paths);
  for (const path of systemWrite) for (const rule of around(path)) write.add(rule);
  const read = new Rules(places);
  for (const path of systemRead) if (!write.covers(path)) for (const rule of around(path)) read.add(rule);
  latest = { basis, read: read.paths, write: write.paths.filter((path) => !own.has(path)) };
  return latest;
}

let latest: SystemRules | undefined;

interface Ground {
  readonly state: string;
  readonly places: Places;
  readonly blocked: readonly string[];
  /** Of the allowed paths; more are added to it. */
  readonly write: Rules;
  readonly around: (path: string) => string[];
}

function groundOf(policy: SandboxPolicy, now: PlacesNow = placesNow()): Ground {
  const { state, places } = now;
  const blocked = [...new Set(policy.blockedPaths.flatMap((path) => [path, places.real(path)]))];
  const around = (path: string): string[] => withoutBlocked(places.real(path), blocked);
  const write = new Rules(places);
  // The outer one of two nested paths first: it covers the inner one.
  for (const path of [...policy.allowedPaths].sort((a, b) => a.length - b.length)) {
    if (!write.covers(dirname(path))) for (const rule of around(path)) write.add(rule);
  }
  return { state, places, blocked, write, around };
}

let judged: Readonly<{ basis: string; isNoted: boolean }> | undefined;

/** Undefined where a blocked path lies in one of the system's: then what else lies there decides, and that is nowhere noted. */
function basisOf({ state, places, blocked, write }: Ground): string | undefined {
  const basis = [state, ...blocked, "", ...write.paths].join("\n");
  if (judged?.basis !== basis) {
    const folders = [...systemRead, ...systemWrite].map((path) => places.real(path));
    const isInside = (path: string): boolean => folders.some((folder) => path !== folder && isWithin(path, folder));
    judged = { basis, isNoted: !blocked.some(isInside) };
  }
  return judged.isNoted ? basis : undefined;
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
