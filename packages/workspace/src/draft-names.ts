import { createHash } from "node:crypto";

/** Files of ours beside those that callers name: what is not finished yet. */
const writePrefix = ".hl-write-";
const uploadPrefix = ".hl-upload-";

/** The same for every write to a name: what a crash has left is taken away by the next one, and nothing gathers. */
export function writeDraftOf(name: string): string {
  return `${writePrefix}${createHash("sha256").update(name).digest("hex").slice(0, 24)}`;
}

export function uploadDraftOf(uploadId: string): string {
  return `${uploadPrefix}${uploadId}`;
}

export function isUploadDraft(name: string): boolean {
  return name.startsWith(uploadPrefix);
}

export function isDraft(name: string): boolean {
  return name.startsWith(writePrefix) || isUploadDraft(name);
}
