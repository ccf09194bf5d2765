/**
 * The last act of a run, behind the drain, where nothing is under way that damage could take: the daemon is killed, its database is
 * damaged, and it has to come up by itself, send nothing twice and lose nothing that comes after (S4, S3).
 */
import { existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "@hl/testkit/programs.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

const pageBytes = 4096;

type Damage = (path: string, random: Random) => void;

export const damages: Readonly<Record<string, Damage>> = {
  "bits flipped": (path, random) => {
    const bytes = readFileSync(path);
    for (let flips = 0; flips < 64; flips += 1) {
      const at = random.between(pageBytes, bytes.length - 1);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << random.between(0, 7));
    }
    writeFileSync(path, bytes);
  },
  "cut in a page": (path, random) => {
    const { length } = readFileSync(path);
    truncateSync(path, random.between(length / 2, length - pageBytes) | 1);
  },
};

/** Why it cannot be tried; undefined where it can. As soon as the daemon salvages, this act is part of every run. */
export function whyNoDamage(): string | undefined {
  const salvages = existsSync(join(repositoryRoot, "packages/daemon/src/store/salvage.ts"));
  return salvages ? undefined : "this version does not salvage a corrupt database";
}

/** Kills, damages and starts again. Rejects when the daemon does not come up. */
export async function damageDatabase({ daemon }: World, damage: Damage, random: Random): Promise<void> {
  await daemon.kill();
  damage(join(daemon.home, "data/state/daemon.db"), random);
  await daemon.restart();
}
