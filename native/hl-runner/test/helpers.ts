/** Small C programs that tests need, because nothing else makes any system call with any arguments. They are compiled anew for each test file. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const sources = {
  attempts: ["attempts.c", "../src/seccomp.c"],
  withhold: ["withhold.c"],
} as const;

export type Helper = keyof typeof sources;

export class Helpers implements Disposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), "hl-helpers-"));

  constructor(...names: readonly Helper[]) {
    chmodSync(this.folder, 0o755);
    for (const name of names) {
      const files = sources[name].map((file) => join(import.meta.dirname, file));
      const flags = ["-std=gnu11", "-D_GNU_SOURCE", `-I${join(import.meta.dirname, "../src")}`];
      execFileSync(process.env["CC"] ?? "cc", [...flags, ...files, "-o", this.path(name)]);
    }
  }

  path(name: Helper): string {
    return join(this.folder, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export const errno = { EPERM: 1, ENOSPC: 28, ENOSYS: 38 } as const;
