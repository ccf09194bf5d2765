/** What an issuer of tokens has, for the tests of those who check them. */
import { createHmac, generateKeyPairSync, sign, type KeyObject } from "node:crypto";

export interface Issuer {
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly jwk: object;
}

export type Claims = Readonly<Record<string, unknown>>;

export function makeIssuer(kid: string, modulusLength = 2048): Issuer {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength });
  return { kid, privateKey, publicKey, jwk: { ...publicKey.export({ format: "jwk" }), kid, alg: "RS256", use: "sig" } };
}

export const jwksOf = (...issuers: readonly Issuer[]): string =>
  JSON.stringify({ keys: issuers.map(({ jwk }) => jwk) });

export const encoded = (value: unknown): string =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

/** An RS256 token with any header and any claims; texts go in as they are. */
export function signed(issuer: Issuer, payload: Claims | string, header: Claims | string = {}): string {
  const head = typeof header === "string" ? header : { alg: "RS256", typ: "JWT", kid: issuer.kid, ...header };
  const text = `${encoded(head)}.${encoded(payload)}`;
  return `${text}.${sign("sha256", Buffer.from(text), issuer.privateKey).toString("base64url")}`;
}

/** The attack of HS256: the public key, which everybody has, taken for a shared secret. */
export function signedByPublicKey(issuer: Issuer, payload: Claims, alg = "HS256"): string {
  const text = `${encoded({ alg, typ: "JWT", kid: issuer.kid })}.${encoded(payload)}`;
  const secret = issuer.publicKey.export({ type: "spki", format: "pem" });
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}
