/** Loads a configuration from files in memory, for tests. */
import assert from "node:assert/strict";
import { loadConfig, type Config, type LoadOptions, type LoadResult } from "./load.ts";
import { formatProblems, type Problem } from "./problem.ts";

export const HOME = "/srv/hl";

/** Names without a slash are below `/srv/hl/config`; contents that are no text are written as JSON. */
export const load = (files: Record<string, unknown>, options: Partial<LoadOptions> = {}): LoadResult => {
  const contents = new Map<string, string>();
  for (const [name, content] of Object.entries(files))
    contents.set(
      name.includes("/") ? name : `${HOME}/config/${name}`,
      typeof content === "string" ? content : JSON.stringify(content),
    );
  const readFile = (path: string): string => {
    const content = contents.get(path);
    if (content === undefined) throw Object.assign(new Error(`no ${path}`), { code: "ENOENT" });
    return content;
  };
  return loadConfig({ home: HOME, env: {}, readFile, ...options });
};
export const accepted = (files: Record<string, unknown>, options: Partial<LoadOptions> = {}): Config => {
  const result = load(files, options);
  assert.ok(result.ok, result.ok ? "" : formatProblems(result.problems));
  return result.config;
};
export const refused = (files: Record<string, unknown>, options: Partial<LoadOptions> = {}): readonly Problem[] => {
  const result = load(files, options);
  assert.ok(!result.ok, "expected problems");
  return result.problems;
};
/** `pointer: message` of each, for comparing. */
export const short = (problems: readonly Problem[]): string[] =>
  problems.map(({ variable, pointer, message }) => `${variable ?? pointer}: ${message}`);
