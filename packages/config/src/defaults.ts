/** Puts the final trees together: what was set, else the default; paths hang from the home directory. */
import { isAbsolute, join } from "node:path";
import type { Key, Section, Shape } from "./declare.ts";
import type { Entry, Source } from "./layer.ts";
import { toPointer } from "./problem.ts";
import { keysBelow } from "./schema.ts";

export interface Home {
  readonly directory: string;
  /** False in the directory of an installation. */
  readonly elsewhere: boolean;
  readonly testMode: boolean;
}

export interface BuiltTree {
  /** Has the shape that the section declares. */
  readonly values: object;
  readonly sources: Record<string, Source>;
}

export const buildTree = (root: Section<Shape>, entries: ReadonlyMap<string, Entry>, home: Home): BuiltTree => {
  const values: Record<string, unknown> = {};
  const sources: Record<string, Source> = {};
  for (const { path, key } of keysBelow(root)) {
    const pointer = toPointer(path);
    const entry = entries.get(pointer);
    sources[pointer] = entry?.source ?? { kind: "default" };
    place(values, path, atHome(key, entry === undefined ? defaultOf(key, home) : entry.value, home.directory));
  }
  return { values, sources };
};

/** Away from an installation the defaults for development hold; test mode changes only those that are no place. */
const defaultOf = (key: Key<unknown>, home: Home): unknown => {
  const development = home.elsewhere || (home.testMode && key.location === undefined);
  return development && key.developmentDefault !== undefined ? key.developmentDefault.value : key.default;
};

const place = (values: Record<string, unknown>, path: readonly string[], value: unknown): void => {
  let parent = values;
  for (const name of path.slice(0, -1)) parent = (parent[name] ??= {}) as Record<string, unknown>;
  parent[path.at(-1) ?? ""] = value;
};

const atHome = (key: Key<unknown>, value: unknown, home: string): unknown => {
  if (key.location === undefined) return value;
  if (Array.isArray(value)) return value.map((item) => atHome(key, item, home));
  if (typeof value !== "string" || isAbsolute(value)) return value;
  return key.location === "executable" && !value.includes("/") ? value : join(home, value);
};

/** Freezes an object and everything in it. */
export const deepFreeze = <T>(value: T): T => {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
};
