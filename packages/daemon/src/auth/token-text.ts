import { parseJson } from "@hl/config/json.ts";
import type { JwtAlgorithm } from "./public-keys.ts";
import { tokenRefused } from "./refused.ts";

/** A longer one is not looked at. Real ones have some hundred bytes. */
export const tokenBytesMax = 8_192;

const part = "[A-Za-z0-9_-]+";
const jwtForm = new RegExp(`^${part}\\.${part}\\.${part}$`);
/** Of other kinds of signed statements (a logout, a proof of possession), which no one may pass off as a login. */
const types = /^(?:application\/)?(?:at\+)?jwt$/i;

/** Whether it could be a JWT at all; the local token has no dot. */
export function looksLikeJwt(token: string): boolean {
  return token.includes(".");
}

/**
 * Judges a token as far as that goes without a key and before anything is fetched for it. `jwk`, `jku`, `x5u` and `x5c` in its header are not
 * looked at: keys come from the configured address only. Throws the refusal.
 */
export function judgeTokenText(token: string, algorithm: JwtAlgorithm): void {
  if (token.length > tokenBytesMax) throw tokenRefused("it is longer than a JWT may be", tooLong);
  if (!jwtForm.test(token)) throw tokenRefused("it is not three parts in base64url");
  const [header = "", payload = ""] = token.split(".", 2);
  const { alg, typ, crit } = objectIn(header);
  objectIn(payload);
  if (alg !== algorithm) throw tokenRefused("its algorithm is not the configured one");
  if (crit !== undefined) throw tokenRefused("its header asks for an extension (crit)");
  if (typ !== undefined && (typeof typ !== "string" || !types.test(typ))) throw tokenRefused("its type is not a JWT");
}

const tooLong = `this token is not valid here: a JWT may have ${tokenBytesMax} bytes`;

/** Parsers differ in which of two members of one name they take: none is taken. */
function objectIn(encoded: string): Readonly<Record<string, unknown>> {
  const { value, problems } = parseJson(Buffer.from(encoded, "base64url").toString("utf8"));
  if (problems.length > 0) throw tokenRefused("a part of it is not JSON, or names a member twice");
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw tokenRefused("a part of it is not a JSON object");
  return value as Record<string, unknown>;
}
