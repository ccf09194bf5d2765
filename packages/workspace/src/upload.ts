import { constants, type Stats } from "node:fs";
import { lstat, unlink } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { Clock } from "@hl/core/clock.ts";
import { bytesOf } from "@hl/protocol/data-bytes.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { Access } from "./access.ts";
import { sha256OfFile, writeFully } from "./content.ts";
import { isUploadDraft, uploadDraftOf } from "./draft-names.ts";
import type { Folder } from "./folder.ts";
import { isCode } from "./file-error.ts";
import { modeOf, openTarget, refuseFolder, replace, type WriteParams, type WriteResult } from "./write-file.ts";

const { O_RDONLY, O_RDWR, O_CREAT } = constants;

export interface Part extends WriteParams {
  readonly upload_id: string;
  readonly offset: number;
}

/** An upload that nobody has gone on with for so long is given up; it goes when another begins beside it. */
const abandonedMs = 7 * 86_400_000;

/**
 * file/write of a part. The parts gather in a hidden file beside the target, whose size is all that there is to know of the upload: so it
 * survives a crash of anybody. The last part makes it the file, once its content is what the caller has sent.
 */
export async function writePart(access: Access, part: Part, clock: Clock, signal: AbortSignal): Promise<WriteResult> {
  const { path, upload_id, offset, create_parents, final } = part;
  const place = access.follow(path);
  const name = basename(place);
  const bytes = bytesOf(part.data, part.encoding);
  await using folder = await openTarget(access, dirname(place), create_parents);
  const draft = uploadDraftOf(name, upload_id);
  // What will never be the file is refused before a byte of it is kept.
  await refuseFolder(folder, name);
  if (!(await exists(folder, draft))) {
    if (final && (await isDone(folder, name, part, signal))) {
      return { path: place, size: offset + bytes.length, sha256: part.sha256 };
    }
    if (offset > 0) throw holeBefore(part, 0);
    await removeAbandoned(folder, clock);
  }
  // Nobody else reads what is not finished and may be secret.
  const mode = await modeOf(folder, name, part.mode);
  await using file = await folder.openFile(draft, O_RDWR | O_CREAT, mode === undefined ? 0o666 : 0o600);
  const { size: received } = await file.stat();
  if (offset > received) throw holeBefore(part, received);
  await writeFully(file, bytes, offset);
  const end = offset + bytes.length;
  if (!final) {
    const size = Math.max(received, end);
    return { path: place, size, received_bytes: size };
  }
  await file.truncate(end);
  const sha256 = await sha256OfFile(file, signal);
  if (sha256 !== part.sha256) {
    await unlink(folder.at(draft));
    throw new HlError("checksum_mismatch", `what has arrived of ${JSON.stringify(path)} has another checksum`, {
      path,
      sha256,
    });
  }
  if (mode !== undefined) await file.chmod(mode);
  await replace({ folder, name, draft, file, sha256, expected: part.expected_sha256 }, signal);
  return { path: place, size: end, sha256 };
}

function holeBefore({ path, upload_id, offset }: Part, received: number): HlError {
  const text = `${received} bytes of the upload have arrived; a part at ${offset} leaves a hole`;
  return new HlError("upload_offset", text, { path, upload_id, received_bytes: received });
}

/** The answer to the last part may have been lost: then the parts are gone, and the file is there. */
async function isDone(folder: Folder, name: string, part: Part, signal: AbortSignal): Promise<boolean> {
  if (part.offset === 0) return false;
  try {
    await using file = await folder.openFile(name, O_RDONLY);
    return (await sha256OfFile(file, signal)) === part.sha256;
  } catch (error) {
    if (isCode(error, "ENOENT")) return false;
    throw error;
  }
}

async function removeAbandoned(folder: Folder, clock: Clock): Promise<void> {
  for await (const entry of await folder.entries()) {
    const name = entry.name.toString("utf8");
    if (!isUploadDraft(name)) continue;
    const found = await find(folder, name);
    if (found?.isFile() === true && clock.wallMs() - found.mtimeMs > abandonedMs)
      await unlink(folder.at(name)).catch(() => {});
  }
}

async function exists(folder: Folder, name: string): Promise<boolean> {
  return (await find(folder, name)) !== undefined;
}

function find(folder: Folder, name: string): Promise<Stats | undefined> {
  return lstat(folder.at(name)).catch(() => undefined);
}
