/** Which files and folders a tool call touches, as far as its input says it, and whether they lie where a rule says. */
import { realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { ToolCall } from "./tool-call.ts";

/** How the daemon sees files; may throw. */
export interface FileView {
  readonly realPath: (path: string) => string;
}

export const ownView: FileView = { realPath: (path) => realpathSync(path) };

/** Members of the inputs of Claude Code's tools that name a file or folder. */
const pathMembers = ["file_path", "notebook_path", "path", "directory"] as const;

/** These look below the folder they are given, and below the working directory where they are given none. */
const searchTools: ReadonlySet<string> = new Set(["Grep", "Glob", "LS"]);

/**
 * For `deny` and `ask`: whether the call names something at or below the path, as it is written or where links lead; of a search also
 * whether the path is below the folder that is searched.
 */
export function mayTouch(rulePath: string, call: ToolCall, view: FileView): boolean {
  const wanted = [resolve(rulePath), realPathOf(resolve(rulePath), view)];
  const isSearch = searchTools.has(call.toolName);
  const named = namedPaths(call);
  const searched = isSearch && named.length === 0 ? [call.cwd] : named;
  return [...searched, ...otherTexts(call.input)]
    .map((path) => resolve(call.cwd, path))
    .flatMap((path) => [path, realPathOf(path, view)])
    .some((path) => wanted.some((place) => isInside(path, place) || (isSearch && isInside(place, path))));
}

/**
 * For `allow`: whether everything that the call names is below the path, as it is written and where links lead. What the daemon
 * cannot see (its unit hides home folders, another user's are closed) it does not allow; a link that is swapped afterwards is the
 * sandbox's to stop (X1).
 */
export function isCertainlyInside(rulePath: string, call: ToolCall, view: FileView): boolean {
  const place = resolve(rulePath);
  let realPlace: string;
  try {
    realPlace = view.realPath(place);
  } catch {
    return false;
  }
  const named = namedPaths(call);
  // "~" is the agent's to expand, so where it leads is not known here.
  const all = [...named, ...otherTexts(call.input).filter(looksLikePath)];
  if (named.length === 0 || all.some((path) => path.startsWith("~"))) return false;
  return all
    .map((path) => resolve(call.cwd, path))
    .every((path) => {
      const real = realPathOf(path, view);
      return (isInside(path, place) || isInside(path, realPlace)) && isInside(real, realPlace);
    });
}

function namedPaths({ input, blockedPath }: ToolCall): string[] {
  const members = pathMembers.map((name) => input[name]);
  return [...members, blockedPath].filter((path): path is string => typeof path === "string" && path !== "");
}

const pathCharactersMax = 4_096;
const textsMax = 1_000;

/** Whatever else in the input could be a path: other tools than Claude Code's own name theirs as they like. */
function otherTexts(input: ToolCall["input"]): string[] {
  const found: string[] = [];
  const waiting: unknown[] = [input];
  for (let value = waiting.pop(); value !== undefined && found.length < textsMax; value = waiting.pop()) {
    if (typeof value === "object" && value !== null)
      waiting.push(...(Object.values(value) as unknown[]).slice(0, textsMax));
    else if (typeof value === "string" && value.length <= pathCharactersMax && !/[\n\0]/.test(value)) found.push(value);
  }
  return found;
}

const looksLikePath = (text: string): boolean => /^[/~]|(^|\/)\.\.(\/|$)/.test(text);

/** Of a path that does not exist (yet): the real path of the deepest folder above it that does, with the rest behind it. */
function realPathOf(path: string, view: FileView): string {
  try {
    return view.realPath(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(realPathOf(parent, view), basename(path));
  }
}

const isInside = (path: string, folder: string): boolean =>
  path === folder || path.startsWith(folder === "/" ? "/" : `${folder}/`);
