import { createHash } from "node:crypto";
import type { Clock } from "@hl/core/clock.ts";
import { decodeJwt } from "jose";
import type { AccessClaims, AccessTokens } from "./access-tokens.ts";

/**
 * Access tokens whose signature was checked already: a VM shows the same one with every heartbeat for 15 minutes, and checking it
 * costs more than all else that a heartbeat needs. Only the signature is remembered, until the token expires; whether the
 * credentials still hold (fenced, replaced) is asked of the store each time. Keyed by hash, so that no token is kept (X4).
 */
export class VerifiedTokens implements Pick<AccessTokens, "sign" | "verify"> {
  readonly #tokens: AccessTokens;
  readonly #clock: Clock;
  readonly #entriesMax: number;
  readonly #verified = new Map<string, { readonly claims: AccessClaims; readonly expiresAtMs: number }>();

  /** @param entriesMax over which the oldest is forgotten, and checked again when it comes. */
  constructor(tokens: AccessTokens, clock: Clock, entriesMax: number) {
    this.#tokens = tokens;
    this.#clock = clock;
    this.#entriesMax = entriesMax;
  }

  get size(): number {
    return this.#verified.size;
  }

  sign(...args: Parameters<AccessTokens["sign"]>): Promise<string> {
    return this.#tokens.sign(...args);
  }

  async verify(token: string): Promise<AccessClaims> {
    const key = createHash("sha256").update(token).digest("base64");
    const known = this.#verified.get(key);
    if (known !== undefined && known.expiresAtMs > this.#clock.wallMs()) return known.claims;
    this.#verified.delete(key);
    const claims = await this.#tokens.verify(token);
    const { exp = 0 } = decodeJwt(token);
    this.#verified.set(key, { claims, expiresAtMs: exp * 1000 });
    for (const oldest of this.#verified.keys()) {
      if (this.#verified.size <= this.#entriesMax) break;
      this.#verified.delete(oldest);
    }
    return claims;
  }
}
