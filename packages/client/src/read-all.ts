import type { Readable } from "node:stream";
import { ClientFailure } from "./failure.ts";

/** As much as one message may have. */
export const inputBytesMax = 10 * 1024 * 1024;

/** Reads a whole input as text. */
export async function readAll(input: Readable, signal: AbortSignal): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  const stop = (): void => void input.destroy(signal.reason as Error);
  signal.addEventListener("abort", stop, { once: true });
  try {
    for await (const part of input as AsyncIterable<Buffer>) {
      length += part.length;
      if (length > inputBytesMax)
        throw new ClientFailure("usage", `standard input has more than ${inputBytesMax} bytes`);
      parts.push(part);
    }
  } finally {
    signal.removeEventListener("abort", stop);
  }
  return Buffer.concat(parts).toString("utf8");
}
