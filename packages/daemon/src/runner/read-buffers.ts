/**
 * Buffers for reading logs, shared by all who read. One is held from a read until its bytes are copied or encoded, never while somebody
 * waits for a slow caller, so a few serve any number of readers (P7).
 */
export interface ReadBuffer {
  readonly bytes: Buffer;
  /** Idempotent. */
  release(): void;
}

/** Of a segment's file in one read: a message then stays below the size from which V8 collects strings only now and then. */
export const readBytesMax = 64 * 1024;
/** More are made where more are in use at once; only so many are kept. */
const freeBuffersMax = 4;
const free: Buffer[] = [];

export function takeReadBuffer(): ReadBuffer {
  const bytes = free.pop() ?? Buffer.allocUnsafeSlow(readBytesMax);
  let held = true;
  const release = (): void => {
    if (held && free.length < freeBuffersMax) free.push(bytes);
    held = false;
  };
  return { bytes, release };
}
