import { createHash } from "node:crypto";

/** Files of ours beside those that callers name: what is not finished yet. */
const writePrefix = ".hl-write-";
const uploadPrefix = ".hl-upload-";

/** The same for every write to a name: what a crash has left is taken away by the next one, and nothing gathers. */
export function writeDraftOf(name: string): string {
  return `${writePrefix}${hashOf(name)}`;
}

/** For each target: callers may use one id for several. */
export function uploadDraftOf(name: string, uploadId: string): string {
  return `${uploadPrefix}${uploadId}-${hashOf(name)}`;
}

export function isUploadDraft(name: string): boolean {
  return name.startsWith(uploadPrefix);
}

export function isDraft(name: string): boolean {
  return name.startsWith(writePrefix) || isUploadDraft(name);
}

function hashOf(name: string): string {
  return createHash("sha256").update(name).digest("hex").slice(0, 24);
}
