/**
 * The overrides: what `system/config/update` has set, as a part of daemon.json with only those keys in it. Nothing here reads or writes
 * files, and values are not judged: whoever loads the result does that.
 */
import type { Key, Section, Shape } from "./declare.ts";
import { isComment } from "./json.ts";
import { didYouMean } from "./judge.ts";
import type { Config } from "./load.ts";
import { toPointer } from "./problem.ts";
import { daemonFile, securityFile } from "./schema.ts";

export type Overrides = Readonly<Record<string, unknown>>;

export interface OverridesChange {
  /** From the root of daemon.json; empty for the root itself. */
  readonly at: readonly string[];
  /** The value of a key, or keys of a section at any depth; those that are not named stay. Undefined sets nothing. */
  readonly data?: unknown;
  /** Keys and sections whose overrides are taken out, as paths from `at`. */
  readonly reset?: readonly (readonly string[])[] | undefined;
}

export type ChangeOutcome =
  | { readonly ok: true; readonly overrides: Overrides }
  /** `read_only`: closed to remote changes. `no_place`: no key or section is there. */
  | { readonly ok: false; readonly reason: "read_only" | "no_place"; readonly messages: readonly string[] };

export const changeOverrides = (before: Overrides, { at, data, reset = [] }: OverridesChange): ChangeOutcome => {
  const after = structuredClone(before) as Record<string, unknown>;
  const places: Place[] = [placeOf(at)];
  for (const path of reset.map((below) => [...at, ...below])) {
    places.push(placeOf(path));
    removeAt(after, path);
  }
  if (data !== undefined && places[0]?.kind === "open") put(after, at, data, places);
  const problems = (kind: Place["kind"]): string[] =>
    places.flatMap((place) => (place.kind === kind && place.kind !== "open" ? place.message : []));
  // First, because what cannot be changed is no question of its value.
  const [closed, missing] = [problems("closed"), problems("missing")];
  if (closed.length > 0) return { ok: false, reason: "read_only", messages: closed };
  if (missing.length > 0) return { ok: false, reason: "no_place", messages: missing };
  return { ok: true, overrides: after };
};

/** Pointers of the keys that are set and do not hold, because a variable of the environment is stronger. */
export const overruled = (config: Config, overrides: Overrides): { pointer: string; variable: string }[] =>
  keysSet(overrides).flatMap((pointer) => {
    const source = config.sources.daemon[pointer];
    return source?.kind === "environment" ? [{ pointer, variable: source.variable }] : [];
  });

/** Takes out a key or a section, and the sections around it that are empty then. */
export const removeAt = (tree: Record<string, unknown>, [name, ...rest]: readonly string[]): void => {
  if (name === undefined) {
    for (const key of Object.keys(tree)) Reflect.deleteProperty(tree, key);
    return;
  }
  const inner = Object.hasOwn(tree, name) ? tree[name] : undefined;
  if (rest.length > 0 && isObject(inner)) {
    removeAt(inner, rest);
    if (Object.keys(inner).length > 0) return;
  }
  Reflect.deleteProperty(tree, name);
};

/** The key or section around a place, since a part of a value cannot go alone. */
export const keyAround = (path: readonly string[]): readonly string[] => {
  let node: Node = daemonFile;
  for (const [depth, name] of path.entries()) {
    const inner = innerOf(node, name);
    if (inner === undefined) return path.slice(0, node.kind === "key" ? depth : depth + 1);
    node = inner;
  }
  return path;
};

type Node = Section<Shape> | Key<unknown>;
type Place = { readonly kind: "open" } | { readonly kind: "closed" | "missing"; readonly message: string };

const innerOf = (node: Node, name: string): Node | undefined =>
  node.kind === "section" && Object.hasOwn(node.keys, name) ? node.keys[name] : undefined;

const placeOf = (path: readonly string[]): Place => {
  const [first] = path;
  const named = path.join(".");
  if (first === "security_file" || (first !== undefined && Object.hasOwn(securityFile.keys, first)))
    return { kind: "closed", message: `${named} is set in security.json, of which nothing can be changed remotely` };
  let node: Node = daemonFile;
  for (const [depth, name] of path.entries()) {
    const inner = innerOf(node, name);
    const around = path.slice(0, depth).join(".");
    if (inner === undefined) {
      const hint = node.kind === "section" ? didYouMean(name, Object.keys(node.keys)) : undefined;
      const text =
        node.kind === "key"
          ? `${around} is one value, which is set as a whole: there is nothing to set at ${named}`
          : `there is no section or key ${named}${hint === undefined ? "" : `: ${hint}`}`;
      return { kind: "missing", message: text };
    }
    node = inner;
    if (!node.remote)
      return { kind: "closed", message: `${path.slice(0, depth + 1).join(".")} cannot be changed remotely` };
  }
  return { kind: "open" };
};

/** What is not known is put in as it is: the loader names it, with what was probably meant. */
const put = (tree: Record<string, unknown>, at: readonly string[], data: unknown, places: Place[]): void => {
  const node = at.reduce<Node | undefined>((outer, name) => outer && innerOf(outer, name), daemonFile);
  if (node?.kind === "section" && isObject(data)) {
    for (const [name, value] of Object.entries(data)) {
      if (isComment(name)) continue;
      const place = placeOf([...at, name]);
      if (place.kind === "closed") places.push(place);
      else put(tree, [...at, name], value, places);
    }
    return;
  }
  let parent = tree;
  for (const name of at.slice(0, -1)) {
    if (!Object.hasOwn(parent, name) || !isObject(parent[name])) set(parent, name, {});
    parent = parent[name] as Record<string, unknown>;
  }
  set(parent, at.at(-1) ?? "", data);
};

/** Also for a key that is called `__proto__`. */
const set = (parent: Record<string, unknown>, name: string, value: unknown): void => {
  Object.defineProperty(parent, name, { value, writable: true, enumerable: true, configurable: true });
};

const keysSet = (overrides: unknown, node: Node = daemonFile, path: readonly string[] = []): string[] => {
  if (node.kind === "key") return [toPointer(path)];
  if (!isObject(overrides)) return [];
  return Object.entries(overrides).flatMap(([name, value]) => {
    const inner = innerOf(node, name);
    return inner === undefined ? [] : keysSet(value, inner, [...path, name]);
  });
};

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
