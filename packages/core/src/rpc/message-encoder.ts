import type { EncodedMessage } from "./encoded-message.ts";

/**
 * Turns messages into bytes in buffers that are used again. Node would allocate outside its heap for every string that is
 * written; with a stream of output the process then grows by what the allocator keeps (P7), and writes at half the speed.
 */
export interface EncodedBytes {
  readonly bytes: Buffer;
  /** To be called when the bytes have been written; the buffer is then used for another message. */
  readonly release: () => void;
}

/** Larger messages are rare and get a buffer of their own. */
const pooledBytesMax = 128 * 1024;
/**
 * For all connections together, and more than one whose reader is slow has in its queue: what is given up instead of kept is
 * collected so late that the process would grow by tens of megabytes whenever a reader catches up.
 */
const freeBuffersMax = 32;
const free: Buffer[] = [];

export class MessageEncoder {
  readonly #ending: "\n" | "";

  /** @param ending what follows each message */
  constructor(ending: "\n" | "") {
    this.#ending = ending;
  }

  encode(message: string | EncodedMessage): EncodedBytes {
    const length = typeof message === "string" ? Buffer.byteLength(message) : message.byteLength;
    const wanted = length + this.#ending.length;
    const pooled = wanted >= 1024 && wanted <= pooledBytesMax;
    const buffer = pooled ? (free.pop() ?? Buffer.allocUnsafeSlow(pooledBytesMax)) : Buffer.allocUnsafe(wanted);
    if (typeof message === "string") buffer.write(message, 0, "utf8");
    else writeParts(buffer, message.parts);
    if (this.#ending === "\n") buffer[length] = 0x0a;
    const release = (): void => {
      if (pooled && free.length < freeBuffersMax) free.push(buffer);
    };
    return { bytes: buffer.subarray(0, wanted), release };
  }
}

function writeParts(buffer: Buffer, parts: readonly string[]): void {
  let at = 0;
  for (const part of parts) at += buffer.write(part, at, "latin1");
}
