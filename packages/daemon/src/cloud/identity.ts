import { createHash, randomUUID } from "node:crypto";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { decodeJwt } from "jose";
import type * as z from "zod";
import { writeFileAtomic } from "@hl/core/atomic-file.ts";
import type { Clock } from "@hl/core/clock.ts";
import { HlError, type ErrorType } from "@hl/protocol/errors.ts";
import type { ParamsOf } from "@hl/protocol/method.ts";
import { vmRegister, vmTokenRefresh } from "@hl/protocol/methods/vm.ts";
import { CloudUnreachable, type CloudHttp } from "./http.ts";
import { NotEnrolled } from "./retry.ts";

export type RegisterParams = ParamsOf<typeof vmRegister>;

export interface IdentityOptions {
  readonly http: CloudHttp;
  readonly clock: Pick<Clock, "wallMs">;
  readonly baseUrl: string;
  /** Those that the cloud does not name itself when it registers us, and the one for registering. */
  readonly paths: Readonly<Record<"register" | Endpoint, string>>;
  readonly accessTokenFile: string;
  readonly refreshTokenFile: string;
  readonly enrollmentTokenFile: string;
  /** From the environment; comes before the file. */
  readonly enrollmentToken: string | undefined;
  /** Beside the tokens: what registration answered, and a rotation that is under way. */
  readonly registrationFile: string;
  readonly rotationFile: string;
  readonly refreshThresholdMs: number;
  /** A client certificate is shown, and it alone proves who this is: enrolment needs no token. */
  readonly certificateAlone?: boolean | undefined;
  readonly describe: () => RegisterParams;
  /** Hears of each token that is known from now on, because it must be told nowhere (X4). */
  readonly onToken?: ((name: TokenName, token: string) => void) | undefined;
}

/** What the cloud answers, each at a path of its own. */
export type Endpoint = "commands" | "events" | "heartbeat" | "status" | "token";

export type TokenName = "access_token" | "refresh_token" | "enrollment_token";

const registrationSchema = vmRegister.result.omit({ access_token: true, refresh_token: true });
export type Registration = z.output<typeof registrationSchema>;

/**
 * Who this VM is to the cloud. States: unknown → registered (has tokens) → refused (the cloud no longer accepts them:
 * enrol again). Rotation is crash-safe (C4): its id is on disk before the request, so a lost answer is asked for again.
 */
export class Identity {
  readonly #options: IdentityOptions;
  #registration: Registration | undefined;
  #accessToken: string | undefined;
  #refreshing: Promise<string> | undefined;
  /** The cloud has said that our refresh token is worth nothing. */
  #refused = false;

  constructor(options: IdentityOptions) {
    this.#options = options;
    this.#registration = parseFile(options.registrationFile, registrationSchema);
    this.#accessToken = readToken(options.accessTokenFile);
    this.#tell("access_token", this.#accessToken);
    this.#tell("refresh_token", readToken(options.refreshTokenFile));
    this.#tell("enrollment_token", options.enrollmentToken ?? readToken(options.enrollmentTokenFile));
  }

  get registration(): Registration | undefined {
    return this.#registration;
  }

  /** The cloud accepts our credentials no more; a token in the enrolment file is the way back. */
  get refused(): boolean {
    return this.#refused;
  }

  /** The cloud has said, somewhere else than at a rotation, that it does not want us, or does again. */
  setRefused(refused: boolean): void {
    this.#refused = refused;
  }

  /** Enrols where that has not been done. Rejects when there is no way to. */
  async ensureRegistered(signal: AbortSignal): Promise<Registration> {
    const { http, baseUrl, paths, enrollmentTokenFile, registrationFile, describe } = this.#options;
    const { certificateAlone = false } = this.#options;
    // After a refusal a token that somebody has put there is a new beginning; the one in the environment may be the old one.
    const renewed = this.#refused ? readToken(enrollmentTokenFile) : undefined;
    // A copied VM that was given an id of its own: what it has belongs to the one it was copied from.
    const owner = subjectOf(this.#accessToken) ?? describe().instance_id;
    const isOurs = readToken(this.#options.refreshTokenFile) !== undefined && owner === describe().instance_id;
    const isRegistered = isOurs && renewed === undefined && !(this.#refused && certificateAlone);
    if (this.#registration !== undefined && isRegistered) return this.#registration;
    const token = renewed ?? this.#options.enrollmentToken ?? readToken(enrollmentTokenFile);
    if (token === undefined && !certificateAlone) {
      throw new NotEnrolled(
        "unauthenticated",
        `this VM is not enrolled: put a token from \`hl-cloud enroll\` into ${enrollmentTokenFile}`,
      );
    }
    this.#tell("enrollment_token", token);
    const answer = await http.call(`${baseUrl}${paths.register}`, "vm/register", describe(), token, signal);
    const { access_token: access, refresh_token: refresh, ...registration } = vmRegister.result.parse(answer);
    this.#store(access, refresh);
    writeFileAtomic(registrationFile, `${JSON.stringify(registration)}\n`, 0o600);
    rmSync(enrollmentTokenFile, { force: true }); // Used up.
    this.#registration = registration;
    this.#refused = false;
    return registration;
  }

  /** Where the cloud answers: where it has said, else at the configured path below its address. Throws as `resolveUrl` does. */
  url(endpoint: Endpoint): string {
    const { baseUrl, paths } = this.#options;
    return resolveUrl(baseUrl, this.#registration?.api_endpoints[endpoint] ?? `${baseUrl}${paths[endpoint]}`);
  }

  /** A token that is valid for a while yet; while the cloud cannot renew it, one that is valid at all. */
  async accessToken(signal: AbortSignal): Promise<string> {
    const token = this.#accessToken;
    if (token !== undefined && this.#validMs(token) > 0) return token;
    try {
      return await this.refresh(signal);
    } catch (error) {
      const mayStillServe = token !== undefined && error instanceof CloudUnreachable && !signal.aborted;
      if (mayStillServe && this.#expiresInMs(token) > 0) return token;
      throw error;
    }
  }

  /** Rotates both tokens; callers at the same time share one rotation. */
  refresh(signal: AbortSignal): Promise<string> {
    this.#refreshing ??= this.#rotate(signal).finally(() => (this.#refreshing = undefined));
    return this.#refreshing;
  }

  /** Milliseconds until the refresh is due; at most 0 when it is. */
  get refreshInMs(): number {
    return this.#accessToken === undefined ? 0 : this.#validMs(this.#accessToken);
  }

  async #rotate(signal: AbortSignal): Promise<string> {
    const { http, refreshTokenFile } = this.#options;
    const refresh = readToken(refreshTokenFile);
    if (refresh === undefined) throw new HlError("unauthenticated", "there is no refresh token: enrol again");
    const rotationId = this.#rotationIdFor(refresh);
    const params = { refresh_token: refresh, rotation_id: rotationId };
    const url = this.url("token");
    const answered = await http.call(url, "vm/token/refresh", params, undefined, signal).catch((error: unknown) => {
      this.#refused = error instanceof HlError && refusals.has(error.type);
      throw error;
    });
    const answer = vmTokenRefresh.result.parse(answered);
    this.#store(answer.access_token, answer.refresh_token);
    return answer.access_token;
  }

  /**
   * On disk before the request, so that the same rotation is asked for after a crash. It belongs to one refresh token:
   * with the next token it is a new rotation, even if nobody got to tidy the file away.
   */
  #rotationIdFor(refreshToken: string): string {
    const { rotationFile } = this.#options;
    const owner = createHash("sha256").update(refreshToken).digest("base64url");
    const [savedId, savedOwner] = readToken(rotationFile)?.split(" ") ?? [];
    if (savedId !== undefined && savedOwner === owner) return savedId;
    const rotationId = randomUUID();
    writeFileAtomic(rotationFile, `${rotationId} ${owner}\n`, 0o600);
    return rotationId;
  }

  /** The refresh token first: with it alone a crash between the two files costs one more refresh and nothing else. */
  #store(access: string, refresh: string): void {
    this.#tell("refresh_token", refresh);
    this.#tell("access_token", access);
    writeFileAtomic(this.#options.refreshTokenFile, `${refresh}\n`, 0o600);
    writeFileAtomic(this.#options.accessTokenFile, `${access}\n`, 0o600);
    this.#accessToken = access;
  }

  #tell(name: TokenName, token: string | undefined): void {
    if (token !== undefined) this.#options.onToken?.(name, token);
  }

  #expiresInMs(token: string): number {
    try {
      return (decodeJwt(token).exp ?? 0) * 1000 - this.#options.clock.wallMs();
    } catch {
      return 0;
    }
  }

  /** Until the refresh is due: the threshold before expiry, or half the life of a token that lives shorter than that. */
  #validMs(token: string): number {
    try {
      const { exp = 0, iat = 0 } = decodeJwt(token);
      const lifeMs = (exp - iat) * 1000;
      const marginMs = Math.min(this.#options.refreshThresholdMs, lifeMs / 2);
      return exp * 1000 - marginMs - this.#options.clock.wallMs();
    } catch {
      return 0;
    }
  }
}

const refusals = new Set<ErrorType>(["unauthenticated", "token_superseded", "instance_revoked", "identity_in_use"]);

/** Throws where the cloud names an endpoint without TLS although it has TLS itself: tokens would go there for everybody to read. */
export function resolveUrl(baseUrl: string, endpoint: string): string {
  const base = new URL(baseUrl.endsWith("/") ? baseUrl : `${baseUrl}/`);
  const url = new URL(endpoint, base);
  if (base.protocol === "https:" && url.protocol !== "https:")
    throw new Error(
      `the cloud at ${base.origin} names ${url.origin} as an endpoint, which has no TLS: it is not asked`,
    );
  return url.href;
}

function readToken(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  const token = readFileSync(path, "utf8").trim();
  return token === "" ? undefined : token;
}

function subjectOf(token: string | undefined): string | undefined {
  try {
    return token === undefined ? undefined : decodeJwt(token).sub;
  } catch {
    return undefined; // Cut off; it is renewed before it is used.
  }
}

function parseFile<T>(path: string, schema: z.ZodType<T>): T | undefined {
  if (!existsSync(path)) return undefined;
  try {
    return schema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return undefined; // Cut off or from another version: registering again writes it anew.
  }
}
