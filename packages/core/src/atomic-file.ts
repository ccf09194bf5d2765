import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, openSync, renameSync, unlinkSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Replaces a file as a whole: after a crash or a power cut either the old or the new content is there, never a mixture.
 * @param mode permission bits of the new file, applied at creation so that a secret is never readable for a moment.
 */
export function writeFileAtomic(path: string, data: string | Uint8Array, mode: number): void {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  const file = openSync(temporary, "wx", mode);
  try {
    try {
      const bytes = typeof data === "string" ? Buffer.from(data) : data;
      for (let written = 0; written < bytes.length;) written += writeSync(file, bytes, written);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    unlinkSync(temporary);
    throw error;
  }
  const directory = openSync(dirname(path), "r");
  try {
    fsyncSync(directory); // The rename itself lives in the directory.
  } finally {
    closeSync(directory);
  }
}
