import { statSync, type Stats } from "node:fs";
import { resolve } from "node:path";
import { HlError } from "@hl/protocol/errors.ts";
import { isWithin, Places } from "@hl/core/places.ts";

export interface FileAccess {
  readonly allowedPaths: readonly string[];
  readonly blockedPaths: readonly string[];
}

/**
 * Resolves a working directory against the workspace and judges the place where it really is, so that neither `..` nor a
 * symbolic link leads out (DESIGN.md 6, Paths).
 */
export function judgeDirectory(
  access: FileAccess,
  workspace: string,
  wanted: string | undefined,
  places = new Places(),
): string {
  const path = resolve(workspace, wanted ?? ".");
  const real = places.real(path);
  const found = statOf(real);
  if (found === undefined)
    throw new HlError("cwd_invalid", `${JSON.stringify(path)} does not exist or cannot be entered`, { path });
  if (!found.isDirectory()) throw new HlError("cwd_invalid", `${JSON.stringify(path)} is not a directory`, { path });
  const within = (folder: string): boolean => isWithin(real, places.real(folder));
  if (access.blockedPaths.some(within)) {
    throw new HlError("path_denied", `${JSON.stringify(path)} is inside a blocked path`, { path });
  }
  if (!access.allowedPaths.some(within)) {
    const text = `${JSON.stringify(path)} is outside the allowed paths (${access.allowedPaths.join(", ")})`;
    throw new HlError("path_denied", text, { path, allowed_paths: access.allowedPaths });
  }
  return real;
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined; // In a folder that we may not look into, for example.
  }
}
