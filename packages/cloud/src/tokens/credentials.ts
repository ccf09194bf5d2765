import { randomUUID } from "node:crypto";
import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { SecurityEvents } from "../fleet/security-events.ts";
import type { CredentialStore, EnrollmentRecord, FamilyRecord, InstanceRecord } from "../store/store.ts";
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
  /** How long a refresh token holds after it was made. */
  readonly refreshLifeMs: number;
  /** Told when credentials hold no longer, so that the connection ends too. */
  readonly onFenced: (instanceId: string, why: string) => void;
  /** What an operator has to know of an identity. */
  readonly security: Pick<SecurityEvents, "credentialsFenced" | "revoked">;
  /** Throws where too many ask: for a renewal with a token that holds. */
  readonly admitRenewal: (instanceId: string) => void;
  /** Throws where the one who asks must not have new tokens, because another daemon is connected under the identity. */
  readonly requireSole: (instanceId: string, runId: string | undefined) => Promise<void>;
}

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

  /** Whether a bearer token for registration is one of ours at all; what it is good for is judged by `admit`. */
  async requireKnown(bearer: string): Promise<void> {
    if (!bearer.startsWith("hle_")) await this.authenticate(bearer);
    else if ((await this.#options.store.enrollment(hashToken(bearer))) === undefined) {
      throw invalidEnrollment("it is unknown");
    }
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

  /**
   * A client certificate with the name of the instance is enough to register, but no way back in: what was fenced or
   * revoked needs an enrolment token, because whoever copied the tokens has the certificate's key as well.
   */
  async admitCertified(
    instanceId: string,
    known: Pick<InstanceRecord, "fencedAtMs" | "revokedAtMs"> | undefined,
    runId: string | undefined,
  ): Promise<undefined> {
    if (known?.revokedAtMs !== undefined) throw new HlError("instance_revoked", revokedText);
    if (known?.fencedAtMs !== undefined) throw superseded();
    await this.#options.requireSole(instanceId, runId);
    return undefined;
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
      revokedAtMs: undefined,
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
    this.#requireStanding(family);
    if (!family.used) await store.markUsed(family);
    return claims;
  }

  /** Nothing lets the instance in any more, until somebody enrols it again. Answers whether there is such an instance. */
  async revoke(instanceId: string): Promise<boolean> {
    const { store, clock, logger, onFenced, security } = this.#options;
    const known = await store.revoke(instanceId, clock.wallMs());
    if (known) {
      logger.warn({ instance: instanceId }, "a VM was revoked");
      await security.revoked(instanceId);
    }
    onFenced(instanceId, revokedText);
    return known;
  }

  /** The store may have been changed from outside: ends the connections of those whose credentials hold no longer. */
  recheck(instances: readonly InstanceRecord[]): void {
    for (const { id, revokedAtMs, fencedAtMs } of instances) {
      if (revokedAtMs !== undefined) this.#options.onFenced(id, revokedText);
      else if (fencedAtMs !== undefined) this.#options.onFenced(id, fencedText);
    }
  }

  /** @param runId the process of the daemon that asks, where it says so */
  async refresh(refreshToken: string, rotationId: string, runId?: string): Promise<IssuedTokens> {
    const { store, secret, clock, requireSole, admitRenewal } = this.#options;
    const presented = readRefreshToken(secret, refreshToken);
    const family = presented === undefined ? undefined : await store.family(presented.familyId);
    if (presented === undefined || family === undefined) {
      throw new HlError("unauthenticated", "the refresh token is unknown", { help: "Enrol the VM again." });
    }
    this.#requireStanding(family);
    if (family.issuedAtMs + this.#options.refreshLifeMs <= clock.wallMs()) {
      throw new HlError("unauthenticated", "the refresh token has expired", { help: "Enrol the VM again." });
    }
    const presentedHash = hashToken(refreshToken);
    const isCurrent = sameHash(presentedHash, family.currentHash);
    const isPrevious = family.previousHash !== undefined && sameHash(presentedHash, family.previousHash);
    // Made by us and newer than all we know: our store was restored from a backup, and the VM is ahead of it.
    const isAhead = presented.generation > family.generation;
    if (!isCurrent && !isPrevious && !isAhead) return this.#fence(family, presented.generation);
    admitRenewal(family.instanceId);
    await requireSole(family.instanceId, runId);
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
    if (!(await store.rotate(family, next))) return this.refresh(refreshToken, rotationId, runId);
    return this.#tokensOf(next);
  }

  async #fence(family: FamilyRecord, presentedGeneration: number): Promise<never> {
    const { store, clock, logger, onFenced, security } = this.#options;
    await store.fence(family.id, clock.wallMs());
    const facts = { generation: family.generation, presented: presentedGeneration };
    await security.credentialsFenced(family.instanceId, facts);
    logger.warn(
      { instance: family.instanceId, ...facts },
      "a replaced refresh token was presented: two parties hold this identity, it is fenced until it is enrolled again",
    );
    onFenced(family.instanceId, fencedText);
    throw superseded();
  }

  /** Also what was done to the store from outside ends the connection here, at the next thing that the VM asks. */
  #requireStanding(family: FamilyRecord): void {
    if (family.revokedAtMs !== undefined) {
      this.#options.onFenced(family.instanceId, revokedText);
      throw new HlError("instance_revoked", revokedText);
    }
    if (family.fencedAtMs !== undefined) throw superseded();
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

const revokedText = "this instance was revoked";
const fencedText = "these credentials are fenced";

function superseded(): HlError {
  return new HlError("token_superseded", "these credentials are fenced: a replaced refresh token was presented");
}
