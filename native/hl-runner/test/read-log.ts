/** The log of a run as it lies on disk, read the strict way (docs/runner-protocol.md, "Files"). */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export type LogRecord = { stream: number; offset: number; payload: Buffer };

/**
 * Reads the segments of a state folder, in order, and checks what a reader relies on. Of a log that is `growing`, and read without having been
 * told how far, a header or a record that is just being written is left out.
 */
export function readLog(
  folder: string,
  state: "whole" | "growing" = "whole",
): {
  records: LogRecord[];
  segments: string[];
  fileBytes: number;
  bytes: (stream: number) => Buffer;
} {
  const segments = existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => name.startsWith("log."))
        .sort()
    : [];
  const records: LogRecord[] = [];
  let fileBytes = 0;
  for (const name of segments) {
    const file = readFileSync(join(folder, name));
    fileBytes += file.length;
    if (state === "growing" && file.length < 32) break;
    if (file.subarray(0, 8).toString("latin1") !== "HLLOG1\n\0") throw new Error(`${name} has no header`);
    if (file.readBigUInt64LE(8) !== file.readBigUInt64LE(16) + file.readBigUInt64LE(24))
      throw new Error(`${name}: position is not the sum of the streams`);
    let at = 32;
    while (at < file.length) {
      if (state === "growing" && (file.length < at + 16 || file.length < at + 16 + file.readUInt32LE(at + 4))) break;
      const stream = file.readUInt8(at);
      const length = file.readUInt32LE(at + 4);
      const payload = file.subarray(at + 16, at + 16 + length);
      if (payload.length !== length || (stream !== 1 && stream !== 2))
        throw new Error(`${name}: a broken record at ${String(at)}`);
      records.push({ stream, offset: Number(file.readBigUInt64LE(at + 8)), payload });
      at += 16 + length;
    }
  }
  return {
    records,
    segments,
    fileBytes,
    bytes: (stream) =>
      Buffer.concat(records.filter((record) => record.stream === stream).map((record) => record.payload)),
  };
}
