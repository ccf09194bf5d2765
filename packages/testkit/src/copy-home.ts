import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** Copies a daemon's home without the temporary files of commands: those run on, and take theirs away. */
export async function copyHome(from: string, to: string): Promise<void> {
  const script = `tar -C "$0" --exclude='./data/cache/tmp/*' -cf - . | tar -C "$1" -xf -`;
  await promisify(execFile)("sh", ["-c", script, from, to]);
}
