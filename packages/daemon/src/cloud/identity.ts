import { createHash, randomUUID } from "node:crypto";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { decodeJwt } from "jose";
import type { z } from "zod";
import { writeFileAtomic } from "@hl/core/atomic-file.ts";
import type { Clock } from "@hl/core/clock.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { ParamsOf } from "@hl/protocol/method.ts";
import { vmRegister, vmTokenRefresh } from "@hl/protocol/methods/vm.ts";
import type { CloudHttp } from "./http.ts";

export type RegisterParams = ParamsOf<typeof vmRegister>;

export interface IdentityOptions {
  readonly http: CloudHttp;
  readonly clock: Clock;
  readonly baseUrl: string;
  readonly registerPath: string;
  readonly accessTokenFile: string;
  readonly refreshTokenFile: string;
  readonly enrollmentTokenFile: string;
  /** From the environment; comes before the file. */
  readonly enrollmentToken: string | undefined;
  /** Beside the tokens: what registration answered, and a rotation that is under way. */
  readonly registrationFile: string;
  readonly rotationFile: string;
  readonly refreshThresholdMs: number;
  readonly describe: () => RegisterParams;
}

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

  constructor(options: IdentityOptions) {
    this.#options = options;
    this.#registration = parseFile(options.registrationFile, registrationSchema);
    this.#accessToken = readToken(options.accessTokenFile);
  }

  get registration(): Registration | undefined {
    return this.#registration;
  }

  /** Enrols where that has not been done. Rejects when there is no way to. */
  async ensureRegistered(signal: AbortSignal): Promise<Registration> {
    if (this.#registration !== undefined && readToken(this.#options.refreshTokenFile) !== undefined)
      return this.#registration;
    const { http, baseUrl, registerPath, enrollmentTokenFile, registrationFile, describe } = this.#options;
    const token = this.#options.enrollmentToken ?? readToken(enrollmentTokenFile);
    if (token === undefined) {
      throw new HlError(
        "unauthenticated",
        `this VM is not enrolled: put a token from \`hl-cloud enroll\` into ${enrollmentTokenFile}`,
      );
    }
    const answer = await http.call(`${baseUrl}${registerPath}`, "vm/register", describe(), token, signal);
    const { access_token: access, refresh_token: refresh, ...registration } = vmRegister.result.parse(answer);
    this.#store(access, refresh);
    writeFileAtomic(registrationFile, `${JSON.stringify(registration)}\n`, 0o600);
    rmSync(enrollmentTokenFile, { force: true }); // Used up.
    this.#registration = registration;
    return registration;
  }

  /** A token that is valid for a while yet. */
  async accessToken(signal: AbortSignal): Promise<string> {
    const token = this.#accessToken;
    if (token !== undefined && this.#validMs(token) > 0) return token;
    return this.refresh(signal);
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
    const { http, baseUrl, refreshTokenFile } = this.#options;
    const refresh = readToken(refreshTokenFile);
    if (refresh === undefined) throw new HlError("unauthenticated", "there is no refresh token: enrol again");
    const rotationId = this.#rotationIdFor(refresh);
    const path = this.#registration?.api_endpoints.token ?? "/v1/vm/token";
    const params = { refresh_token: refresh, rotation_id: rotationId };
    const answer = vmTokenRefresh.result.parse(
      await http.call(resolveUrl(baseUrl, path), "vm/token/refresh", params, undefined, signal),
    );
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
    writeFileAtomic(this.#options.refreshTokenFile, `${refresh}\n`, 0o600);
    writeFileAtomic(this.#options.accessTokenFile, `${access}\n`, 0o600);
    this.#accessToken = access;
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

export function resolveUrl(baseUrl: string, endpoint: string): string {
  return new URL(endpoint, baseUrl.endsWith("/") ? baseUrl : `${baseUrl}/`).href;
}

function readToken(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  const token = readFileSync(path, "utf8").trim();
  return token === "" ? undefined : token;
}

function parseFile<T>(path: string, schema: z.ZodType<T>): T | undefined {
  if (!existsSync(path)) return undefined;
  try {
    return schema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return undefined; // Cut off or from another version: registering again writes it anew.
  }
}
