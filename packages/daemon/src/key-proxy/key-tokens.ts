import { createHash, createHmac, timingSafeEqual } from "node:crypto";

const prefix = "hl_agent_";

/**
 * The tokens of agents: a name, and a code that only the holder of the secret can make. So a daemon that comes back knows them again
 * without a list of them (P3). Whether the agent lives is not in them.
 */
export class KeyTokens {
  readonly #secret: Buffer;

  /** @param secret 32 random bytes, kept over restarts */
  constructor(secret: Buffer) {
    this.#secret = secret;
  }

  tokenOf(processId: string): string {
    const code = createHmac("sha256", this.#secret).update(processId).digest("base64url");
    return `${prefix}${processId}.${code}`;
  }

  /** Whose token it is; undefined for one that is not ours. */
  ownerOf(token: string): string | undefined {
    const end = token.lastIndexOf(".");
    if (!token.startsWith(prefix) || end === -1) return undefined;
    const processId = token.slice(prefix.length, end);
    return timingSafeEqual(digest(token), digest(this.tokenOf(processId))) ? processId : undefined;
  }
}

/** Equal lengths for the constant-time comparison, whatever was sent. */
function digest(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
