/** The frames of docs/runner-protocol.md: numbers, encoding and decoding. The C side is native/hl-runner/src. */
export const frameType = {
  start: 1,
  signal: 2,
  stop: 3,
  input: 4,
  inputEof: 5,
  resize: 6,
  release: 7,
  sweep: 8,
  remove: 9,
  go: 10,
  prepare: 11,
  probe: 12,
  started: 65,
  failed: 66,
  output: 67,
  inputTaken: 68,
  end: 69,
  empty: 70,
  probed: 71,
} as const;

export const tag = {
  id: 1,
  argv: 2,
  argv0: 3,
  env: 4,
  cwd: 5,
  stdin: 6,
  timeoutMs: 7,
  idleTimeoutMs: 8,
  graceMs: 9,
  drainMs: 10,
  openFilesMax: 11,
  logBytesMax: 12,
  segmentBytes: 13,
  noNewPrivs: 14,
  sandbox: 15,
  allowRead: 16,
  allowWrite: 17,
  rows: 18,
  columns: 19,
  memoryBytesMax: 20,
  cpuPercentMax: 21,
  processesMax: 22,
  temporary: 23,
  makeDirectory: 24,
  hold: 25,
  network: 26,
  proxySocket: 27,
  allowNamespaces: 28,
  signal: 32,
  scope: 33,
  reason: 34,
  data: 35,
  pid: 48,
  startTicks: 49,
  shimPid: 50,
  shimStartTicks: 51,
  bootId: 52,
  stage: 53,
  errno: 54,
  message: 55,
  position: 56,
  stdoutBytes: 57,
  stderrBytes: 58,
  total: 59,
  closed: 60,
  exitCode: 61,
  startedMs: 62,
  endedMs: 63,
  durationUs: 64,
  maxRssKb: 65,
  cpuUs: 66,
  pipesStillOpen: 67,
  droppedBytes: 68,
  received: 69,
  memoryPeakKb: 70,
  usageSource: 71,
  oomKills: 72,
  cgroup: 73,
  empty: 74,
} as const;

export const frameBytesMax = 4 * 1024 * 1024;
/** Unconfirmed standard input at most; more would make the shim buffer without bound. */
export const inputWindowBytes = 1024 * 1024;

export type Field = readonly [tag: number, value: number | string | Uint8Array];

export interface Frame {
  readonly type: number;
  readonly fields: Fields;
}

/** Fields of one frame; a missing number is undefined, so that absence is never mistaken for zero. */
export class Fields {
  readonly #values = new Map<number, Buffer>();

  set(fieldTag: number, value: Buffer): void {
    this.#values.set(fieldTag, value);
  }

  number(fieldTag: number): number | undefined {
    const value = this.#values.get(fieldTag);
    return value?.length === 8 ? Number(value.readBigUInt64LE(0)) : undefined;
  }

  text(fieldTag: number): string | undefined {
    return this.#values.get(fieldTag)?.toString("utf8");
  }
}

const fieldHeaderBytes = 6;
const frameHeaderBytes = 5;

export function encodeFrame(type: number, fields: readonly Field[]): Buffer {
  let bytes = frameHeaderBytes;
  for (const [, value] of fields) bytes += fieldHeaderBytes + valueBytes(value);
  if (bytes - 4 > frameBytesMax)
    throw new RangeError(`a frame of ${bytes} bytes is over the limit of ${frameBytesMax}`);
  const frame = Buffer.allocUnsafe(bytes);
  frame.writeUInt32LE(bytes - 4, 0);
  frame.writeUInt8(type, 4);
  let at = frameHeaderBytes;
  for (const [fieldTag, value] of fields) {
    const length = valueBytes(value);
    frame.writeUInt16LE(fieldTag, at);
    frame.writeUInt32LE(length, at + 2);
    at += fieldHeaderBytes;
    if (typeof value === "number") frame.writeBigUInt64LE(BigInt(Math.round(value)), at);
    else if (typeof value === "string") frame.write(value, at, "utf8");
    else frame.set(value, at);
    at += length;
  }
  return frame;
}

function valueBytes(value: Field[1]): number {
  if (typeof value === "number") return 8;
  return typeof value === "string" ? Buffer.byteLength(value) : value.length;
}

/** Reassembles frames from a byte stream; throws on input that no shim of ours can have sent. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): Frame[] {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames: Frame[] = [];
    while (bytes.length >= frameHeaderBytes) {
      const length = bytes.readUInt32LE(0);
      if (length < 1 || length > frameBytesMax) throw new RangeError(`a frame claims ${length} bytes`);
      if (bytes.length < 4 + length) break;
      frames.push({ type: bytes.readUInt8(4), fields: decodeFields(bytes.subarray(frameHeaderBytes, 4 + length)) });
      bytes = bytes.subarray(4 + length);
    }
    this.#rest = bytes;
    return frames;
  }
}

export function decodeFields(payload: Buffer): Fields {
  const fields = new Fields();
  let at = 0;
  while (at < payload.length) {
    if (at + fieldHeaderBytes > payload.length) throw new RangeError("a field is cut off");
    const fieldTag = payload.readUInt16LE(at);
    const length = payload.readUInt32LE(at + 2);
    at += fieldHeaderBytes;
    if (at + length > payload.length) throw new RangeError(`field ${fieldTag} is cut off`);
    fields.set(fieldTag, payload.subarray(at, at + length));
    at += length;
  }
  return fields;
}
