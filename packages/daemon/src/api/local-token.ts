import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { writeFileAtomic } from "@hl/core/atomic-file.ts";
import type { Caller } from "@hl/protocol/method.ts";

/** Decides who a token belongs to; undefined when nobody. Rejects with the refusal (`unauthenticated`) where more can be said. */
export type Authenticate = (token: string, via: Caller["via"]) => Caller | undefined | Promise<Caller | undefined>;

/** Reads the local admin token, or makes it at the first start. 0640: the daemon's group may use it, sandboxed processes cannot read it. */
export function loadLocalToken(path: string): string {
  if (existsSync(path)) {
    const token = readFileSync(path, "utf8").trim();
    if (token.length >= 32) return token;
  }
  const token = `hl_local_${randomBytes(32).toString("base64url")}`;
  writeFileAtomic(path, `${token}\n`, 0o640);
  return token;
}

/** Accepts the local token alone. */
export function localTokenAuthenticator(localToken: string): (token: string, via: Caller["via"]) => Caller | undefined {
  const expected = digest(localToken);
  return (token, via) =>
    timingSafeEqual(digest(token), expected) ? { role: "admin", subject: "local-token", via } : undefined;
}

/** Equal lengths for the constant-time comparison, whatever the caller sent. */
function digest(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
