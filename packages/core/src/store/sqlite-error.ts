import { constants } from "node:os";

/** What SQLite's result codes say about the file and its disk; https://www.sqlite.org/rescode.html */
const generic = 1;
const readOnly = 8;
const inputOutput = 10;
const corrupt = 11;
const full = 13;
const cannotOpen = 14;
const notADatabase = 26;

/** The file is not what was written to it: nothing in it can be relied on without looking at every row. */
export function isCorrupt(error: unknown): boolean {
  const code = primaryCode(error);
  return code === corrupt || code === notADatabase;
}

/** Its schema is not what it should be after migration, or its header says that it must not be written. */
export function isOddSchema(error: unknown): boolean {
  const code = primaryCode(error);
  return code === generic || code === readOnly;
}

/**
 * There is no room for what is to be written: in SQLite's words, or in the kernel's when the log is synced. A quota that is used up is
 * one of these in the kernel's words only: to SQLite it is a disk failure.
 */
export function isNoSpace(error: unknown): boolean {
  return primaryCode(error) === full || kernelCode(error) === "ENOSPC" || isQuota(error);
}

/** Node has no name for it. */
function isQuota(error: unknown): boolean {
  return (error as { errno?: unknown } | null)?.errno === -constants.errno.EDQUOT;
}

/** The disk refuses, for another reason than want of room. */
export function isDiskFailure(error: unknown): boolean {
  const code = primaryCode(error);
  return (
    code === inputOutput || code === readOnly || code === cannotOpen || /^E(IO|ROFS)$/.test(kernelCode(error) ?? "")
  );
}

/** The lowest byte; the others tell where it happened. */
function primaryCode(error: unknown): number | undefined {
  const code = (error as { errcode?: unknown } | null)?.errcode;
  return typeof code === "number" ? code & 0xff : undefined;
}

function kernelCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : undefined;
}
