/** What stands in the place of what was cut; its length in characters is at most this. */
const markCharsMax = 40;
const shortestCharsMax = 64;
/** From one attempt to the next. */
const shorter = 0.7;

export interface Cut {
  readonly data: unknown;
  /** Of `data` as JSON. */
  readonly omittedBytes: number;
}

/**
 * The data so that it has at most `bytesMax` as JSON: of long texts only the beginning is left, each with the number of characters that
 * are missing. What is large without long texts becomes the beginning of its JSON.
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
  // A character takes up to six bytes as JSON, twice escaped.
  const json = headOf(JSON.stringify(data), Math.max(0, Math.floor((bytesMax - 2 * markCharsMax) / 12)));
  return { data: { json }, omittedBytes: Math.max(1, bytes - jsonBytes(json)) };
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
