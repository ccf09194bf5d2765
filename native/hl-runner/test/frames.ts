/** A second, independent implementation of docs/runner-protocol.md for the tests: frames to and from bytes. It shares nothing with the C side or the daemon's. */

export const TYPE = {
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

export const TAG = {
  id: 1,
  argv: 2,
  argv0: 3,
  env: 4,
  cwd: 5,
  stdin: 6,
  timeout_ms: 7,
  idle_timeout_ms: 8,
  grace_ms: 9,
  drain_ms: 10,
  open_files_max: 11,
  log_bytes_max: 12,
  segment_bytes: 13,
  no_new_privs: 14,
  sandbox: 15,
  allow_read: 16,
  allow_write: 17,
  rows: 18,
  columns: 19,
  memory_bytes_max: 20,
  cpu_percent_max: 21,
  processes_max: 22,
  temporary: 23,
  make_directory: 24,
  hold: 25,
  network: 26,
  proxy_socket: 27,
  allow_namespaces: 28,
  signal: 32,
  scope: 33,
  reason: 34,
  data: 35,
  pid: 48,
  start_ticks: 49,
  shim_pid: 50,
  shim_start_ticks: 51,
  boot_id: 52,
  stage: 53,
  errno: 54,
  message: 55,
  position: 56,
  stdout_bytes: 57,
  stderr_bytes: 58,
  total: 59,
  closed: 60,
  exit_code: 61,
  started_ms: 62,
  ended_ms: 63,
  duration_us: 64,
  max_rss_kb: 65,
  cpu_us: 66,
  pipes_still_open: 67,
  dropped_bytes: 68,
  received: 69,
  memory_peak_kb: 70,
  usage_source: 71,
  oom_kills: 72,
  cgroup: 73,
  empty: 74,
} as const;

const NAME = new Map<number, string>(Object.entries(TAG).map(([name, tag]) => [tag, name]));
const TEXT: ReadonlySet<string> = new Set([
  "reason",
  "stage",
  "message",
  "boot_id",
  "id",
  "cwd",
  "argv0",
  "usage_source",
  "cgroup",
]);

export type FieldName = keyof typeof TAG;
export type FieldValue = string | number | Uint8Array;
/** Decoded fields: numbers as numbers, texts as strings. */
export type Fields = Readonly<Record<string, string | number>>;
export type Frame = { type: number; fields: Fields };

export function field(tag: number, value: FieldValue): Buffer {
  let bytes: Buffer;
  if (typeof value === "number") {
    bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
  } else {
    bytes = typeof value === "string" ? Buffer.from(value) : Buffer.from(value);
  }
  const header = Buffer.alloc(6);
  header.writeUInt16LE(tag, 0);
  header.writeUInt32LE(bytes.length, 2);
  return Buffer.concat([header, bytes]);
}

export function frame(type: number, fields: readonly (readonly [FieldName, FieldValue])[] = []): Buffer {
  return rawFrame(type, Buffer.concat(fields.map(([name, value]) => field(TAG[name], value))));
}

export function rawFrame(type: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt32LE(payload.length + 1, 0);
  header[4] = type;
  return Buffer.concat([header, payload]);
}

/** Takes the whole frames off the front; what is left is the start of the next. */
export function parseFrames(bytes: Buffer): { frames: Frame[]; rest: Buffer } {
  const frames: Frame[] = [];
  let at = 0;
  while (bytes.length - at >= 4) {
    const length = bytes.readUInt32LE(at);
    if (bytes.length - at - 4 < length) break;
    frames.push({ type: bytes.readUInt8(at + 4), fields: parseFields(bytes.subarray(at + 5, at + 4 + length)) });
    at += 4 + length;
  }
  return { frames, rest: bytes.subarray(at) };
}

function parseFields(payload: Buffer): Fields {
  const fields: Record<string, string | number> = {};
  let at = 0;
  while (at < payload.length) {
    const tag = payload.readUInt16LE(at);
    const length = payload.readUInt32LE(at + 2);
    const bytes = payload.subarray(at + 6, at + 6 + length);
    if (bytes.length !== length) throw new Error("the runner sent a field longer than its frame");
    const name = NAME.get(tag) ?? `tag${String(tag)}`;
    fields[name] = TEXT.has(name) ? bytes.toString() : Number(bytes.readBigUInt64LE(0));
    at += 6 + length;
  }
  return fields;
}
