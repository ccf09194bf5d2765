/** Walks one source of configuration along the declared keys: values that hold go to the collection, everything else is a problem. */
import type { Key, Section, Shape } from "./declare.ts";
import { describeKey } from "./describe.ts";
import { interpolate, type Environment } from "./interpolate.ts";
import { isComment, lineAndColumn, type JsonDocument } from "./json.ts";
import { didYouMean, judge, judgeText, type Fault, type Judgement } from "./judge.ts";
import { MASK, toPointer, type Problem } from "./problem.ts";
import { daemonFile, keysBelow, securityFile } from "./schema.ts";

export type TreeName = "daemon" | "security";

/** Where a value came from. */
export type Source =
  | { readonly kind: "default" }
  | { readonly kind: "file"; readonly file: string; readonly pointer: string }
  | { readonly kind: "override"; readonly file: string; readonly pointer: string }
  | { readonly kind: "environment"; readonly variable: string };

export interface Entry {
  readonly value: unknown;
  readonly source: Source;
}

/** Values and problems of all sources; a later value replaces an earlier one of the same place. */
export class Collection {
  readonly entries: Readonly<Record<TreeName, Map<string, Entry>>> = { daemon: new Map(), security: new Map() };
  readonly problems: Problem[] = [];
  readonly warnings: Problem[] = [];
}

export interface FileLayer {
  readonly kind: "file" | "override";
  readonly file: string;
  readonly text: string;
  readonly document: JsonDocument;
  /** Absent where placeholders are not replaced: what came over the network must not read the environment. */
  readonly environment?: Environment | undefined;
  readonly tree: TreeName;
  /** Path of the file's root inside its tree: `["logging"]` for logging.json. */
  readonly at: readonly string[];
  readonly section: Section<Shape>;
  /** Its name among the files, for hints. */
  readonly role: string;
}

export const collectFile = (layer: FileLayer, into: Collection): void => {
  collectSection(layer, layer.section, layer.document.value, [], into);
};

/** A problem of a file, with its line. */
export const fileProblem = (
  layer: FileLayer,
  path: readonly PropertyKey[],
  fault: Omit<Problem, "file" | "pointer">,
): Problem => ({
  file: layer.file,
  pointer: toPointer(path),
  ...fault,
  ...lineAndColumn(layer.text, layer.document.locate(path)),
});

type Path = readonly string[];

const collectSection = (layer: FileLayer, node: Section<Shape>, raw: unknown, path: Path, into: Collection): void => {
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) {
    const allowed = `an object with ${Object.keys(node.keys).join(", ")}`;
    into.problems.push(fileProblem(layer, path, { value: raw, message: "must be an object", allowed }));
    return;
  }
  if (isClosed(layer, node, path, into)) return;
  for (const [name, value] of Object.entries(raw)) {
    if (isComment(name)) continue;
    const here = [...path, name];
    const inner = Object.hasOwn(node.keys, name) ? node.keys[name] : undefined;
    if (inner === undefined) {
      const suggestion = didYouMean(name, Object.keys(node.keys)) ?? misplaced(name, layer, path);
      into.problems.push(fileProblem(layer, here, { message: "is not a known key", suggestion }));
    } else if (inner.kind === "section") collectSection(layer, inner, value, here, into);
    else collectValue(layer, inner, value, here, into);
  }
};

/** Of an override; then its problem is noted. */
const isClosed = (
  layer: FileLayer,
  { remote }: Key<unknown> | Section<Shape>,
  path: Path,
  { problems }: Collection,
): boolean => {
  if (layer.kind !== "override" || remote) return false;
  const suggestion = `remove it and set it in ${layer.role}`;
  problems.push(fileProblem(layer, path, { message: "cannot be changed by overrides", suggestion }));
  return true;
};

const collectValue = (layer: FileLayer, key: Key<unknown>, raw: unknown, path: Path, into: Collection): void => {
  if (isClosed(layer, key, path, into)) return;
  const judgement = judgeWritten(layer, key, raw);
  if (!judgement.ok) {
    for (const fault of judgement.faults)
      into.problems.push(fileProblem(layer, [...path, ...fault.path], faultWithValue(fault, raw, key)));
    return;
  }
  const place = toPointer([...layer.at, ...path]);
  const entries = into.entries[layer.tree];
  const before = entries.get(place);
  if (
    layer.kind === "file" &&
    before?.source.kind === "file" &&
    JSON.stringify(before.value) !== JSON.stringify(judgement.value)
  )
    into.warnings.push(
      fileProblem(layer, path, {
        message: `replaces the value that ${before.source.file} has at ${before.source.pointer}`,
      }),
    );
  entries.set(place, {
    value: judgement.value,
    source: { kind: layer.kind, file: layer.file, pointer: toPointer(path) },
  });
};

/** Replaces placeholders, then judges; a text that came from a placeholder is read as the key's type says. */
const judgeWritten = (layer: FileLayer, key: Key<unknown>, raw: unknown): Judgement => {
  if (layer.environment === undefined) return judge(key, raw);
  const faults: Fault[] = [];
  const state = { replaced: false };
  const value = replaceDeep(raw, [], layer.environment, faults, state);
  if (faults.length > 0) return { ok: false, faults };
  const text = typeof value === "string" && state.replaced && describeKey(key).type !== "string";
  return text ? judgeText(key, value) : judge(key, value);
};

const replaceDeep = (
  raw: unknown,
  path: Path,
  environment: Environment,
  faults: Fault[],
  state: { replaced: boolean },
): unknown => {
  if (typeof raw === "string") {
    const { text, replaced, problems } = interpolate(raw, environment);
    for (const problem of problems) faults.push({ path, ...problem });
    state.replaced ||= replaced;
    return text;
  }
  if (Array.isArray(raw))
    return raw.map((item, index) => replaceDeep(item, [...path, String(index)], environment, faults, state));
  if (typeof raw !== "object" || raw === null) return raw;
  const entries = Object.entries(raw).filter(([name]) => !isComment(name));
  return Object.fromEntries(
    entries.map(([name, inner]) => [name, replaceDeep(inner, [...path, name], environment, faults, state)]),
  );
};

/** The fault with the value as it was written, which for a placeholder is not the value of the variable. */
export const faultWithValue = (fault: Fault, raw: unknown, key: Key<unknown>): Omit<Problem, "file" | "pointer"> => {
  const { path, ...words } = fault;
  let value = raw;
  for (const part of path)
    value = typeof value === "object" && value !== null ? (value as Record<PropertyKey, unknown>)[part] : undefined;
  if (value === undefined) return words;
  return { ...words, value: key.secret ? MASK : value };
};

/** Where a key or section of that name belongs, if it belongs anywhere else. */
const misplaced = (name: string, layer: FileLayer, path: Path): string | undefined => {
  const wanted = name.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
  const same = (other: string | undefined): boolean => other?.replaceAll("_", "") === wanted;
  for (const [tree, root] of [
    ["daemon.json", daemonFile],
    ["security.json", securityFile],
  ] as const)
    for (const placed of keysBelow(root)) {
      const depth = placed.path.findIndex((part) => same(part));
      if (depth < 0) continue;
      const place = toPointer(placed.path.slice(0, depth + 1));
      if (tree === layer.role && place === toPointer([...layer.at, ...path, name])) continue;
      return `did you mean ${place}${tree === layer.role ? "" : ` in ${tree}`}?`;
    }
  return undefined;
};
