import { HlError } from "./errors.ts";

/**
 * The bytes that a caller means by `data`. Node skips what is no base64, and has a replacement for half a surrogate pair: other bytes than were
 * meant would be written (P6). Throws invalid_params.
 */
export function bytesOf(data: string, encoding: "utf8" | "base64"): Buffer {
  if (encoding === "utf8") refuseHalfPairs(data);
  else refuseOther(data);
  return Buffer.from(data, encoding);
}

function refuseHalfPairs(text: string): void {
  if (text.isWellFormed()) return;
  const at = text.search(/\p{Surrogate}/u);
  const what = `half a surrogate pair (${JSON.stringify(text[at])}) at ${at}`;
  throw new HlError(
    "invalid_params",
    `data: ${what} has no bytes: send whole characters, or bytes with encoding base64`,
  );
}

function refuseOther(text: string): void {
  if (text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text)) return;
  const what = `${JSON.stringify(text.slice(0, 40))} is not base64 (with its padding)`;
  throw new HlError("invalid_params", `data: ${what}: encode the bytes so, or send text with encoding utf8`);
}
