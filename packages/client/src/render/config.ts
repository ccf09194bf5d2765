import type { ConfigChange } from "@hl/protocol/config-change.ts";

/** Keys and values of a part of the configuration, one below the other. */
export function flatKeys(value: unknown, path: readonly string[]): [key: string, value: unknown][] {
  if (typeof value !== "object" || value === null || Array.isArray(value) || Object.keys(value).length === 0)
    return [[path.join("."), value]];
  return Object.entries(value).flatMap(([name, inner]) => flatKeys(inner, [...path, name]));
}

/** `logging.level` of `/logging/level`. */
export function keyOf(pointer: string): string {
  return pointer.split("/").slice(1).join(".");
}

export function valueText(value: unknown): string {
  return value === undefined ? "none" : JSON.stringify(value);
}

/** Key, what it was, what it is. Keys of security.json are named with it. */
export function changeRow({ file, pointer, before, after }: ConfigChange): [string, string, string, string] {
  const key = file === "security.json" ? `security.json ${keyOf(pointer)}` : keyOf(pointer);
  return [key, valueText(before), "→", valueText(after)];
}
