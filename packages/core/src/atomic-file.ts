import { randomBytes } from "node:crypto";
import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Replaces a file as a whole: after a crash or a power cut either the old or the new content is there, never a mixture.
 * @param mode permission bits of the new file whatever the umask, kept from its creation on so that a secret is never readable
 * for a moment.
 */
export function writeFileAtomic(path: string, data: string | Uint8Array, mode: number): void {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  const file = openSync(temporary, "wx", mode);
  try {
    try {
      fchmodSync(file, mode); // The umask may have taken bits away that a group needs.
      const bytes = typeof data === "string" ? Buffer.from(data) : data;
      for (let written = 0; written < bytes.length;) written += writeSync(file, bytes, written);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    try {
      rmSync(temporary, { force: true });
    } catch {
      // The first cause is the one that tells.
    }
    throw error;
  }
  const directory = openSync(dirname(path), "r");
  try {
    fsyncSync(directory); // The rename itself lives in the directory.
  } finally {
    closeSync(directory);
  }
}
