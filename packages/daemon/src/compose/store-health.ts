import { statfsSync } from "node:fs";
import type { Condition } from "../health/alert-book.ts";
import type { Database } from "../store/database.ts";
import type { StoreTrouble } from "../store/disk-space.ts";

/** What an operator is to know of the database (S4). */
export function storeConditions({
  trouble,
  setAside,
  isBeingSaved,
}: Pick<Database, "trouble" | "setAside" | "isBeingSaved">): Condition[] {
  const conditions: Condition[] = [];
  if (trouble?.kind === "disk_full") {
    conditions.push({ code: "disk_full", text: diskFullText(trouble) });
  } else if (trouble !== undefined) {
    const text = `${trouble.reason}; events and commands are refused until a write succeeds: look at the disk of the data folder`;
    conditions.push({ code: "disk_failing", text });
  }
  if (isBeingSaved) {
    const text =
      "it was corrupt, and what can be read of it is being saved: until then what needs it waits or is refused";
    conditions.push({ code: "database_being_saved", text });
  } else if (setAside !== undefined) {
    const text = `what could be read was saved, and an event of the type gap says what was not; remove ${setAside} when nobody needs it any more`;
    conditions.push({ code: "database_salvaged", text });
  }
  return conditions;
}

/** With fewer left a few commands more cannot have their logs and temporary folders. */
const inodesMin = 64;

interface Inodes {
  /** 0 where the file system counts none. */
  readonly files: number;
  readonly ffree: number;
}

/** Of the disk below a folder. One that cannot be asked must not take health along (S4). */
export function inodesOf(folder: string): Inodes {
  try {
    return statfsSync(folder);
  } catch {
    return { files: 0, ffree: 0 };
  }
}

/**
 * Files that can still be made on the disk of the data folder. The database has its files already and goes on without; commands need new ones.
 */
export function inodeConditions({ files, ffree }: Inodes): Condition[] {
  if (files === 0 || ffree >= inodesMin) return [];
  const text = `${ffree} of ${files} inodes are free: events are taken, commands and agents are refused for want of files; remove some on the disk of the data folder`;
  return [{ code: "no_inodes", text }];
}

export function diskFullText({ reason }: StoreTrouble): string {
  return `${reason}: only critical events are taken until the disk of the data folder has 5 % and 64 MiB free (of a small one a quarter); free some space`;
}
