import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { createLocalJWKSet, errors, type CryptoKey, type JWK, type JWTHeaderParameters } from "jose";
import * as z from "zod";
import { tokenRefused } from "./refused.ts";

export type JwtAlgorithm = "RS256" | "PS256" | "ES256" | "EdDSA";

export interface PublicKeysOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** The text of the JWKS; bounded in bytes and time by whoever gives it. */
  readonly fetch: () => Promise<string>;
  /** So long keys are used where newer ones cannot be had (`authentication.jwt.public_key_outage`). */
  readonly outageMs: number;
}

/** Keys of one JWKS; one with more is not taken. */
export const keysMax = 64;
/** Keys younger than this are used without asking again: so long at most one that was withdrawn is still accepted. */
export const freshMs = 300_000;
/** An unknown `kid` asks for newer keys no sooner than this after the last answer, whoever sends it. */
export const refetchMs = 30_000;
/** After a failure it is tried again sooner. */
export const retryMs = 5_000;

const jwks = z.object({ keys: z.array(z.looseObject({ kty: z.string() })).max(keysMax) });

/**
 * The public keys that JWTs are checked with. Nothing is fetched before the first JWT comes; requests that need keys at the same moment
 * share one fetch.
 * States: none → fresh → old (asked for again, and waited for) → failing (the old keys serve, newer ones are asked for beside that) →
 * too old (nothing is accepted) → fresh.
 */
export class PublicKeys {
  readonly #options: PublicKeysOptions;
  #held: { readonly select: ReturnType<typeof createLocalJWKSet>; readonly atMs: number } | undefined;
  #fetching: Promise<void> | undefined;
  /** From when on it may be fetched again. */
  #dueMs = -Infinity;
  #isFailing = false;

  constructor(options: PublicKeysOptions) {
    this.#options = options;
  }

  /** The key that the header names. Throws the refusal. */
  async find(header: JWTHeaderParameters): Promise<CryptoKey> {
    const before = this.#held;
    await this.#freshen();
    let found = await this.#select(header);
    if (found === undefined && this.#held === before) {
      await this.#fetchIfDue(); // A key that was made a moment ago.
      found = await this.#select(header);
    }
    if (found === undefined) throw tokenRefused("no public key fits it");
    return found;
  }

  async #freshen(): Promise<void> {
    const ageMs = this.#ageMs();
    if (ageMs < freshMs) return;
    // In an outage nobody waits for what has just failed. What failed long ago may be well again, and a key be withdrawn meanwhile.
    const isOutage = this.#isFailing && this.#options.clock.now() - this.#dueMs < freshMs;
    const asked = this.#fetchIfDue();
    if (!isOutage || ageMs > this.#options.outageMs) await asked;
    if (this.#ageMs() <= this.#options.outageMs) return;
    const said = "JWTs cannot be checked at this moment: their public keys could not be fetched";
    throw tokenRefused("the public keys could not be fetched", said, { retry: "backoff", retry_after_ms: retryMs });
  }

  #ageMs(): number {
    return this.#held === undefined ? Infinity : this.#options.clock.now() - this.#held.atMs;
  }

  /** Never rejects: what came of it is seen in what is held. */
  #fetchIfDue(): Promise<void> {
    if (this.#fetching !== undefined) return this.#fetching;
    if (this.#options.clock.now() < this.#dueMs) return Promise.resolve();
    this.#fetching = this.#fetch().finally(() => (this.#fetching = undefined));
    return this.#fetching;
  }

  async #fetch(): Promise<void> {
    const { clock, logger } = this.#options;
    try {
      const { keys } = jwks.parse(JSON.parse(await this.#options.fetch()));
      // A private or a shared key in a public list is somebody's mistake; it must not become a way in.
      const usable = keys.filter((key) => !("d" in key) && key.kty !== "oct") as JWK[];
      this.#held = { select: createLocalJWKSet({ keys: usable }), atMs: clock.now() };
      this.#dueMs = clock.now() + refetchMs;
      if (this.#isFailing) logger.info({ keys: usable.length }, "the public keys of JWTs could be fetched again");
      this.#isFailing = false;
    } catch (error) {
      this.#dueMs = clock.now() + retryMs;
      // Once for each outage: whoever sends tokens decides how often it is tried.
      if (!this.#isFailing) logger.warn({ error: errorText(error) }, "the public keys of JWTs could not be fetched");
      this.#isFailing = true;
    }
  }

  /** Undefined where no key fits, also where several do and the token does not say which. */
  async #select(header: JWTHeaderParameters): Promise<CryptoKey | undefined> {
    try {
      return await this.#held?.select(header);
    } catch (error) {
      if (error instanceof errors.JOSEError) return undefined;
      throw error;
    }
  }
}
