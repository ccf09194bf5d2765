import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";

/** Bytes as they travel: text where they are valid UTF-8 and nobody wants it otherwise (P6). */
export interface Content {
  readonly data: string;
  readonly encoding: "utf8" | "base64";
}

export function contentOf(bytes: Buffer, wanted: Content["encoding"] | undefined): Content {
  const encoding = wanted !== "base64" && isUtf8(bytes) ? "utf8" : "base64";
  return { data: bytes.toString(encoding), encoding };
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

const pieceBytes = 1_048_576;

/** Of all of a file, in one buffer whatever its size (P7). */
export async function sha256OfFile(file: FileHandle, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  const piece = Buffer.allocUnsafe(pieceBytes);
  for (let at = 0; ;) {
    signal.throwIfAborted();
    const { bytesRead } = await file.read(piece, 0, pieceBytes, at);
    if (bytesRead === 0) return hash.digest("hex");
    hash.update(piece.subarray(0, bytesRead));
    at += bytesRead;
  }
}

/** Reads until the buffer is full or the file ends; answers how much it was. */
export async function readFully(file: FileHandle, buffer: Buffer, from: number): Promise<number> {
  let done = 0;
  while (done < buffer.length) {
    const { bytesRead } = await file.read(buffer, done, buffer.length - done, from + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

export async function writeFully(file: FileHandle, bytes: Uint8Array, from: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, from + done);
    done += bytesWritten;
  }
}
