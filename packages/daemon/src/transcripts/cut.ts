/** What stands in the place of what was cut; its length in characters is at most this. */
const markCharsMax = 40;
const shortestCharsMax = 64;
/** The rest of an event is small. */
const membersCutMax = 4;
/** From one attempt to the next. */
const shorter = 0.7;

export interface Cut {
  readonly data: unknown;
  /** Of `data` as JSON. */
  readonly omittedBytes: number;
}

/**
 * The data so that it has at most `bytesMax` as JSON: of long texts only the beginning is left, each with the number of characters that
 * are missing. Where that is not enough, the largest members, and only they, become the beginning of their JSON.
 */
export function cutToFit(data: unknown, bytesMax: number): Cut {
  const bytes = jsonBytes(data);
  if (bytes <= bytesMax) return { data, omittedBytes: 0 };
  const firstCharsMax = bytesMax - 2 * markCharsMax;
  for (let charsMax = firstCharsMax; charsMax >= shortestCharsMax; charsMax = Math.floor(charsMax * shorter)) {
    const cut = cutTexts(data, charsMax);
    const left = jsonBytes(cut);
    if (left <= bytesMax) return { data: cut, omittedBytes: bytes - left };
  }
  const cut = cutMembers(data, bytesMax) ?? { json: jsonHead(data, bytesMax) };
  return { data: cut, omittedBytes: Math.max(1, bytes - jsonBytes(cut)) };
}

/** Undefined where the small members alone, or their number, are too much. */
function cutMembers(data: unknown, bytesMax: number): object | undefined {
  if (typeof data !== "object" || data === null || Array.isArray(data)) return undefined;
  const sized = Object.entries(data).map(([key, value]) => ({ key, bytes: jsonBytes(value ?? null) }));
  const largest = sized.sort((a, b) => b.bytes - a.bytes).slice(0, membersCutMax);
  const cut: Record<string, unknown> = { ...data };
  for (const { key } of largest) {
    const left = bytesMax - jsonBytes({ ...cut, [key]: { json: "" } });
    if (left >= shortestCharsMax) return { ...cut, [key]: { json: jsonHead(cut[key], left) } };
    cut[key] = { json: "" };
  }
  return undefined;
}

/** As JSON at most `bytesMax` long. A character takes up to six bytes as JSON, twice escaped. */
function jsonHead(value: unknown, bytesMax: number): string {
  return headOf(JSON.stringify(value), Math.max(0, Math.floor((bytesMax - 2 * markCharsMax) / 12)));
}

function cutTexts(value: unknown, charsMax: number): unknown {
  if (typeof value === "string") return value.length > charsMax ? headOf(value, charsMax) : value;
  if (Array.isArray(value)) return value.map((item) => cutTexts(item, charsMax));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, cutTexts(item, charsMax)]));
}

/** Never half a surrogate pair. */
function headOf(text: string, charsMax: number): string {
  let end = charsMax;
  const code = text.charCodeAt(end - 1);
  if (code >= 0xd800 && code <= 0xdbff) end -= 1;
  return `${text.slice(0, end)}… [${text.length - end} more characters]`;
}

function jsonBytes(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}
