import { randomUUID } from "node:crypto";
import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { CredentialStore, EnrollmentRecord, FamilyRecord } from "../store/store.ts";
import type { AccessClaims, AccessTokens } from "./access-tokens.ts";
import { deriveRefreshToken, readRefreshToken } from "./refresh-token.ts";
import { hashToken, newToken, sameHash } from "./secrets.ts";

/**
 * The credentials of VMs (C4). An enrolment token is used up by the first family of tokens that it answered and that was used.
 * A family's refresh tokens count generations; two of them live at a time:
 *   current   the newest; presenting it makes the next generation and turns it into `previous`.
 *   previous  what the newest was exchanged for; it stays valid, because the answer may have been lost. The same rotation
 *             id answers the same tokens; another one (the VM forgot it) replaces the newest, which nobody has used.
 *   ahead     newer than the newest: only a store that was restored from a backup meets one; it counts as the newest.
 * Anything older was replaced by a token that somebody did use: two parties hold one identity, so the family is fenced
 * and only a new enrolment helps.
 */
export interface IssuedTokens {
  readonly access_token: string;
  readonly refresh_token: string;
}

export interface CredentialsOptions {
  readonly store: CredentialStore;
  readonly accessTokens: Pick<AccessTokens, "sign" | "verify">;
  readonly secret: Buffer;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told when a family is fenced, so that its connection ends too. */
  readonly onFenced: (instanceId: string) => void;
}

/** A VM that was off for longer enrols again; a token that leaked and was never used dies by itself. */
const refreshLifeMs = 30 * 24 * 3_600_000;

export class Credentials {
  readonly #options: CredentialsOptions;

  constructor(options: CredentialsOptions) {
    this.#options = options;
  }

  /** A one-time token for one instance; only its hash is kept. */
  async enroll(instanceId: string, ttlSeconds: number, workspaceId?: string): Promise<string> {
    const token = newToken("enrollment");
    const expiresAtMs = this.#options.clock.wallMs() + ttlSeconds * 1000;
    await this.#options.store.addEnrollment({ tokenHash: hashToken(token), instanceId, workspaceId, expiresAtMs });
    return token;
  }

  /** Judges a bearer token for registration: an enrolment token, or the access token of the same instance. */
  async admit(bearer: string, instanceId: string): Promise<EnrollmentRecord | undefined> {
    if (!bearer.startsWith("hle_")) {
      const caller = await this.authenticate(bearer);
      if (caller.instanceId === instanceId) return undefined;
      throw new HlError("permission_denied", `the token belongs to the instance ${JSON.stringify(caller.instanceId)}`);
    }
    const { store, clock } = this.#options;
    const enrollment = await store.enrollment(hashToken(bearer));
    if (enrollment === undefined) throw invalidEnrollment("it is unknown");
    if (enrollment.instanceId !== instanceId) throw invalidEnrollment("it was made for another instance");
    if (enrollment.expiresAtMs <= clock.wallMs()) throw invalidEnrollment("it has expired");
    const family = enrollment.familyId === undefined ? undefined : await store.family(enrollment.familyId);
    const usedUp = enrollment.familyId !== undefined && (family === undefined || family.used);
    if (usedUp) throw invalidEnrollment("it was used already");
    return enrollment;
  }

  /** Tokens for an instance that `admit` let in. Repeating a registration whose answer was lost answers it again. */
  async issue(instanceId: string, enrollment: EnrollmentRecord | undefined): Promise<IssuedTokens> {
    const { store, clock, secret } = this.#options;
    if (enrollment?.familyId !== undefined) {
      const earlier = await store.family(enrollment.familyId);
      if (earlier !== undefined) return this.#tokensOf(earlier);
    }
    const claims = { familyId: randomUUID(), generation: 0, rotationId: randomUUID() };
    const family: FamilyRecord = {
      id: claims.familyId,
      instanceId,
      generation: claims.generation,
      currentHash: hashToken(deriveRefreshToken(secret, claims)),
      currentRotation: claims.rotationId,
      previousHash: undefined,
      issuedAtMs: clock.wallMs(),
      used: false,
      fencedAtMs: undefined,
    };
    if (await store.addFamily(family, enrollment?.tokenHash)) return this.#tokensOf(family);
    // The same enrolment token twice at one moment: the other request won, and this one is its repetition.
    const again = enrollment === undefined ? undefined : await store.enrollment(enrollment.tokenHash);
    const winner = again?.familyId === undefined ? undefined : await store.family(again.familyId);
    if (winner === undefined || winner.used) throw invalidEnrollment("it was used already");
    return this.#tokensOf(winner);
  }

  /** Whose access token this is; an expired, fenced or retired one is refused. */
  async authenticate(accessToken: string): Promise<AccessClaims> {
    const { store, accessTokens } = this.#options;
    const claims = await accessTokens.verify(accessToken);
    const family = await store.family(claims.familyId);
    if (family?.instanceId !== claims.instanceId) {
      throw new HlError("unauthenticated", "the access token belongs to a registration that was replaced");
    }
    if (family.fencedAtMs !== undefined) throw superseded();
    if (!family.used) await store.markUsed(family);
    return claims;
  }

  async refresh(refreshToken: string, rotationId: string): Promise<IssuedTokens> {
    const { store, secret, clock } = this.#options;
    const presented = readRefreshToken(secret, refreshToken);
    const family = presented === undefined ? undefined : await store.family(presented.familyId);
    if (presented === undefined || family === undefined) {
      throw new HlError("unauthenticated", "the refresh token is unknown", { help: "Enrol the VM again." });
    }
    if (family.fencedAtMs !== undefined) throw superseded();
    if (family.issuedAtMs + refreshLifeMs <= clock.wallMs()) {
      throw new HlError("unauthenticated", "the refresh token has expired", { help: "Enrol the VM again." });
    }
    const presentedHash = hashToken(refreshToken);
    const isCurrent = sameHash(presentedHash, family.currentHash);
    const isPrevious = family.previousHash !== undefined && sameHash(presentedHash, family.previousHash);
    // Made by us and newer than all we know: our store was restored from a backup, and the VM is ahead of it.
    const isAhead = presented.generation > family.generation;
    if (!isCurrent && !isPrevious && !isAhead) return this.#fence(family, presented.generation);
    if (isPrevious && family.currentRotation === rotationId) return this.#tokensOf(family);

    const generation = isPrevious ? family.generation : presented.generation + 1;
    const next: FamilyRecord = {
      ...family,
      generation,
      currentHash: hashToken(deriveRefreshToken(secret, { familyId: family.id, generation, rotationId })),
      currentRotation: rotationId,
      previousHash: presentedHash,
      issuedAtMs: clock.wallMs(),
      used: true,
    };
    if (!family.used) await store.markUsed(family);
    // Somebody else rotated meanwhile: judge again by what holds now. The generation only grows, so this ends.
    if (!(await store.rotate(family, next))) return this.refresh(refreshToken, rotationId);
    return this.#tokensOf(next);
  }

  async #fence(family: FamilyRecord, presentedGeneration: number): Promise<never> {
    const { store, clock, logger, onFenced } = this.#options;
    await store.fence(family.id, clock.wallMs());
    logger.warn(
      { instance: family.instanceId, generation: family.generation, presented: presentedGeneration },
      "a replaced refresh token was presented: two parties hold this identity, it is fenced until it is enrolled again",
    );
    onFenced(family.instanceId);
    throw superseded();
  }

  async #tokensOf(family: FamilyRecord): Promise<IssuedTokens> {
    const { accessTokens, secret } = this.#options;
    const claims = { familyId: family.id, generation: family.generation, rotationId: family.currentRotation };
    return {
      access_token: await accessTokens.sign(
        { instanceId: family.instanceId, familyId: family.id },
        `${family.id}.${family.generation}.${family.currentRotation}`,
        family.issuedAtMs,
      ),
      refresh_token: deriveRefreshToken(secret, claims),
    };
  }
}

function invalidEnrollment(why: string): HlError {
  return new HlError("enrollment_invalid", `the enrolment token is not valid: ${why}`);
}

function superseded(): HlError {
  return new HlError("token_superseded", "these credentials are fenced: a replaced refresh token was presented");
}
