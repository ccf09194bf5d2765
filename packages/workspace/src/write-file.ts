import { constants } from "node:fs";
import { link, lstat, rename, unlink, type FileHandle } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { bytesOf } from "@hl/protocol/data-bytes.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { ParamsOf, ResultOf } from "@hl/protocol/method.ts";
import type { fileWrite } from "@hl/protocol/methods/file-write.ts";
import type { Access } from "./access.ts";
import { sha256Of, sha256OfFile, writeFully } from "./content.ts";
import { writeDraftOf } from "./draft-names.ts";
import { isCode } from "./file-error.ts";
import { Folder } from "./folder.ts";

export type WriteParams = ParamsOf<typeof fileWrite>;
export type WriteResult = ResultOf<typeof fileWrite>;

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL } = constants;

/** Somebody who keeps putting things in the way of our own file is not waited for. */
const createTriesMax = 3;

/**
 * file/write of a whole file: a new file beside the old one takes its name when it is all on the disk, so that at every moment, and after
 * every crash, the old or the new content is there.
 */
export async function writeFile(access: Access, params: WriteParams, signal: AbortSignal): Promise<WriteResult> {
  const { path, mode, create_parents, expected_sha256 } = params;
  const place = access.follow(path);
  const bytes = bytesOf(params.data, params.encoding);
  const sha256 = sha256Of(bytes);
  await using folder = await openTarget(access, dirname(place), create_parents);
  const name = basename(place);
  const draft = writeDraftOf(name);
  try {
    await using file = await createDraft(folder, draft, await modeOf(folder, name, mode));
    await writeFully(file, bytes, 0);
    await replace({ folder, name, draft, file, sha256, expected: expected_sha256 }, signal);
  } catch (error) {
    await unlink(folder.at(draft)).catch(() => {}); // The first cause is the one that tells.
    throw error;
  }
  return { path: place, size: bytes.length, sha256 };
}

export async function openTarget(access: Access, place: string, create: boolean): Promise<Folder> {
  return create ? (await Folder.make(access, place)).folder : Folder.open(access, place);
}

export interface Replacement {
  readonly folder: Folder;
  readonly name: string;
  /** The file beside it that takes its place. */
  readonly draft: string;
  readonly file: FileHandle;
  readonly sha256: string;
  readonly expected: string | undefined;
}

/** Puts the draft in place, if what is there is what the caller expects, and makes that last. */
export async function replace(replacement: Replacement, signal: AbortSignal): Promise<void> {
  const { folder, name, draft, file, sha256, expected } = replacement;
  await file.sync();
  const isFree = await mayReplace(replacement, signal);
  if (isFree === "done") {
    await unlink(folder.at(draft));
    return;
  }
  if (expected === "") {
    await linkNew(folder, name, draft, sha256, signal);
  } else {
    await rename(folder.at(draft), folder.at(name));
  }
  await folder.sync();
}

/** A folder is never replaced by a file. */
export async function refuseFolder(folder: Folder, name: string): Promise<void> {
  const found = await lstat(folder.at(name)).catch(() => undefined);
  if (found?.isDirectory() === true) throw new HlError("not_a_file", `${JSON.stringify(name)} is a folder`);
}

/** The permission bits of a new file, kept from the one it replaces; undefined leaves them to the umask. */
export async function modeOf(folder: Folder, name: string, wanted: number | undefined): Promise<number | undefined> {
  if (wanted !== undefined) return wanted;
  const found = await lstat(folder.at(name)).catch(() => undefined);
  return found?.isFile() === true ? found.mode & 0o7777 : undefined;
}

async function createDraft(folder: Folder, draft: string, mode: number | undefined): Promise<FileHandle> {
  for (let tries = 1; ; tries += 1) {
    try {
      // Nobody else reads what is not finished and may be secret.
      const file = await folder.openFile(draft, O_WRONLY | O_CREAT | O_EXCL, mode === undefined ? 0o666 : 0o600);
      if (mode !== undefined) await file.chmod(mode);
      return file;
    } catch (error) {
      if (!isCode(error, "EEXIST") || tries === createTriesMax) throw error;
      await unlink(folder.at(draft));
    }
  }
}

/**
 * Whether what is there is what the caller expects. "done" where it has the new content already: then this call was made before, and its
 * answer was lost. Writes through us wait for each other; against others it is a look just before the deed.
 */
async function mayReplace(
  { folder, name, sha256, expected }: Replacement,
  signal: AbortSignal,
): Promise<"free" | "done"> {
  if (expected === undefined || expected === "") {
    await refuseFolder(folder, name);
    return "free";
  }
  const now = await currentHash(folder, name, signal);
  if (now === expected) return "free";
  if (now === sha256) return "done";
  const text = now === undefined ? "does not exist any more" : "has another content";
  throw new HlError("file_changed", `${JSON.stringify(name)} ${text} than the caller expects`, {
    expected_sha256: expected,
    ...(now === undefined ? {} : { sha256: now }),
  });
}

/** A link takes a name only where there is none, whoever else is at it. */
async function linkNew(
  folder: Folder,
  name: string,
  draft: string,
  sha256: string,
  signal: AbortSignal,
): Promise<void> {
  try {
    await link(folder.at(draft), folder.at(name));
  } catch (error) {
    if (!isCode(error, "EEXIST") || (await currentHash(folder, name, signal)) !== sha256) throw error;
  }
  await unlink(folder.at(draft));
}

async function currentHash(folder: Folder, name: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    await using file = await folder.openFile(name, O_RDONLY);
    return await sha256OfFile(file, signal);
  } catch (error) {
    if (isCode(error, "ENOENT")) return undefined;
    throw error;
  }
}
