/** Takes out what must not be written (X4). */
export interface Redaction {
  redact(value: unknown): unknown;
}

/** Names that mean a secret wherever they stand (X4). */
const secretNames: ReadonlySet<string> = new Set([
  ...["token", "access_token", "refresh_token", "authorization", "password", "secret", "api_key", "key"],
]);
const censored = "********";
/** Deeper is no fact but a structure; a cycle is one too. */
const depthMax = 8;

/**
 * The fields of a line as plain JSON values, so that whoever looks through them sees all that is written: an error is its text, what a name
 * calls a secret is hidden, and what is nested too deeply is left out.
 */
export function loggable(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return plainObject(fields, 0);
}

function plainObject(value: object, depth: number): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      secretNames.has(key) && item !== undefined ? censored : plain(item, depth + 1),
    ]),
  );
}

function plain(value: unknown, depth: number): unknown {
  if (typeof value === "bigint") return String(value);
  if (typeof value === "function" || typeof value === "symbol") return undefined;
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Error) return value.stack ?? value.message;
  if (depth >= depthMax) return "…";
  if ("toJSON" in value && typeof value.toJSON === "function")
    return plain((value as { toJSON: () => unknown }).toJSON(), depth + 1);
  return Array.isArray(value) ? value.map((item) => plain(item, depth + 1)) : plainObject(value, depth);
}
