import type { Clock } from "@hl/core/clock.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { errors, jwtVerify, SignJWT } from "jose";
import * as z from "zod";
import type { Keys } from "./keys.ts";

const issuer = "humanlayer.dev";
const audience = "hl-daemon";

/** Claims besides the registered ones: the family ties an access token to the refresh tokens it came with. */
const claims = z.object({ sub: z.string().min(1), role: z.literal("vm-instance"), fam: z.string().min(1) });

export interface AccessClaims {
  readonly instanceId: string;
  readonly familyId: string;
}

/** Short-lived RS256 tokens that anybody can check with the published keys. */
export class AccessTokens {
  readonly #keys: Keys;
  readonly #clock: Clock;
  readonly #lifeSeconds: number;

  constructor(keys: Keys, clock: Clock, lifeSeconds: number) {
    this.#keys = keys;
    this.#clock = clock;
    this.#lifeSeconds = lifeSeconds;
  }

  /** The same arguments sign the same token (RS256 is deterministic), until that one would have expired; then a fresh one. */
  async sign(subject: AccessClaims, tokenId: string, issuedAtMs: number): Promise<string> {
    const nowSeconds = Math.floor(this.#clock.wallMs() / 1000);
    const askedSeconds = Math.floor(issuedAtMs / 1000);
    const issuedAt = askedSeconds + this.#lifeSeconds > nowSeconds ? askedSeconds : nowSeconds;
    return new SignJWT({ role: "vm-instance", fam: subject.familyId })
      .setProtectedHeader({ alg: "RS256", typ: "JWT", kid: this.#keys.keyId })
      .setIssuer(issuer)
      .setAudience(audience)
      .setSubject(subject.instanceId)
      .setJti(tokenId)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + this.#lifeSeconds)
      .sign(this.#keys.privateKey);
  }

  async verify(token: string): Promise<AccessClaims> {
    try {
      const { payload } = await jwtVerify(token, this.#keys.publicKey, {
        algorithms: ["RS256"],
        issuer,
        audience,
        currentDate: new Date(this.#clock.wallMs()),
      });
      const { sub, fam } = claims.parse(payload);
      return { instanceId: sub, familyId: fam };
    } catch (error) {
      const text =
        error instanceof errors.JWTExpired ? "the access token has expired" : "the access token is not valid";
      throw new HlError("unauthenticated", text, { help: "Refresh it with vm/token/refresh." }, { cause: error });
    }
  }
}
