import { realpathSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { HlError } from "@hl/protocol/errors.ts";

export interface FileAccess {
  readonly allowedPaths: readonly string[];
  readonly blockedPaths: readonly string[];
}

/**
 * Resolves a working directory against the workspace and judges the place where it really is, so that neither `..` nor a
 * symbolic link leads out (DESIGN.md 6, Paths).
 */
export function judgeDirectory(access: FileAccess, workspace: string, wanted: string | undefined): string {
  const path = resolve(workspace, wanted ?? ".");
  let real: string;
  try {
    real = realpathSync.native(path);
    if (!statSync(real).isDirectory())
      throw new HlError("cwd_invalid", `${JSON.stringify(path)} is not a directory`, { path });
  } catch (error) {
    if (error instanceof HlError) throw error;
    throw new HlError("cwd_invalid", `${JSON.stringify(path)} does not exist or cannot be entered`, { path });
  }
  const within = (folder: string): boolean => {
    const base = realOrSelf(folder);
    return real === base || real.startsWith(base.endsWith("/") ? base : `${base}/`);
  };
  if (access.blockedPaths.some(within)) {
    throw new HlError("path_denied", `${JSON.stringify(path)} is inside a blocked path`, { path });
  }
  if (!access.allowedPaths.some(within)) {
    const text = `${JSON.stringify(path)} is outside the allowed paths (${access.allowedPaths.join(", ")})`;
    throw new HlError("path_denied", text, { path, allowed_paths: access.allowedPaths });
  }
  return real;
}

function realOrSelf(path: string): string {
  try {
    return realpathSync.native(path);
  } catch {
    return path;
  }
}
