import type { Clock } from "@hl/core/clock.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { Caller } from "@hl/protocol/method.ts";
import { errors, jwtVerify, type JWTPayload } from "jose";
import type { JwtAlgorithm, PublicKeys } from "./public-keys.ts";
import { tokenRefused } from "./refused.ts";
import { judgeTokenText } from "./token-text.ts";

/** As security.json has it. */
export interface JwtRules {
  readonly algorithm: JwtAlgorithm;
  readonly issuer: string;
  readonly audience: string;
  /** Longest life of a token, from `iat` (without it, from now) to `exp`. */
  readonly lifeSecondsMax: number;
  readonly skewSeconds: number;
  /** Of tokens whose `role` says nothing. */
  readonly defaultRole: string;
}

export interface JwtAuthenticatorOptions {
  readonly clock: Pick<Clock, "wallMs">;
  readonly keys: Pick<PublicKeys, "find">;
  readonly rules: JwtRules;
}

/** Names of the daemon's own callers: a token under one of them would be somebody else in the audit, and exempt from limits. */
const ownSubjects: ReadonlySet<string> = new Set(["local-token", "cloud", "anonymous"]);

/** Whom a JWT belongs to: its subject, with the role of its claim `role`. */
export class JwtAuthenticator {
  readonly #options: JwtAuthenticatorOptions;

  constructor(options: JwtAuthenticatorOptions) {
    this.#options = options;
  }

  /** Rejects with the refusal, an `HlError` of the type `unauthenticated`. */
  async authenticate(token: string, via: Caller["via"]): Promise<Caller> {
    const { rules, clock } = this.#options;
    judgeTokenText(token, rules.algorithm);
    const nowSeconds = clock.wallMs() / 1000;
    const payload = await this.#verified(token);
    const { exp = 0, iat = nowSeconds } = payload;
    const isLong = exp - iat > rules.lifeSecondsMax || exp - nowSeconds > rules.lifeSecondsMax + rules.skewSeconds;
    if (isLong) throw refusedAfterSignature("it lives longer than authentication.jwt.expiry allows");
    if (iat - nowSeconds > rules.skewSeconds) throw refusedAfterSignature("it is from the future (iat)");
    // hl-cloud signs what its VMs log in to it with by the same keys: who has the token of one VM must not get into the others.
    if ("fam" in payload) throw refusedAfterSignature("it is a VM's own access token, which is for the cloud only");
    const subject = nameIn(payload, "sub", 256);
    if (ownSubjects.has(subject)) throw refusedAfterSignature('its "sub" is a name of the daemon\'s own');
    const role = payload["role"] === undefined ? rules.defaultRole : nameIn(payload, "role", 64);
    return { role, subject, via, credential: "jwt", expiresAtMs: (exp + rules.skewSeconds) * 1000 };
  }

  async #verified(token: string): Promise<JWTPayload> {
    const { rules, clock, keys } = this.#options;
    try {
      const { payload } = await jwtVerify(token, (header) => keys.find(header), {
        algorithms: [rules.algorithm],
        issuer: rules.issuer,
        audience: rules.audience,
        clockTolerance: rules.skewSeconds,
        currentDate: new Date(clock.wallMs()),
        requiredClaims: ["exp", "sub"],
      });
      return payload;
    } catch (error) {
      if (error instanceof HlError) throw error;
      // The library looks at claims only after the signature.
      if (error instanceof errors.JWTExpired) throw refusedAfterSignature("it has expired");
      if (error instanceof errors.JWTClaimValidationFailed) throw refusedAfterSignature(claimText(error));
      throw tokenRefused("its signature is not valid");
    }
  }
}

const refusedAfterSignature = (reason: string): HlError =>
  tokenRefused(reason, `this token is not valid here: ${reason}`);

function claimText({ claim, reason }: errors.JWTClaimValidationFailed): string {
  if (reason === "missing") return `it has no "${claim}"`;
  if (claim === "nbf" && reason === "check_failed") return "it is not valid yet (nbf)";
  return reason === "check_failed"
    ? `its "${claim}" is not the one that security.json expects`
    : `its "${claim}" is not valid`;
}

function nameIn(payload: JWTPayload, claim: string, charactersMax: number): string {
  const value = payload[claim];
  const isName = typeof value === "string" && value.length <= charactersMax && /^[^\u0000-\u001f\u007f]+$/.test(value);
  if (isName) return value;
  throw refusedAfterSignature(`its "${claim}" is not a name of 1 to ${charactersMax} characters`);
}
