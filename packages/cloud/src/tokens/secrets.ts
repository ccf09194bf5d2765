import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

/** Opaque tokens carry a prefix so that scanners of repositories and logs recognise a leaked one. */
export type TokenKind = "enrollment" | "operator" | "refresh";

const prefixes: Readonly<Record<TokenKind, string>> = { enrollment: "hle_", operator: "hlo_", refresh: "hlr_" };

/** 256 random bits: guessing is hopeless, so a plain hash in the database is enough. */
export function newToken(kind: TokenKind): string {
  return prefixes[kind] + randomBytes(32).toString("base64url");
}

export function withPrefix(kind: TokenKind, bytes: Buffer): string {
  return prefixes[kind] + bytes.toString("base64url");
}

export function withoutPrefix(kind: TokenKind, token: string): Buffer | undefined {
  const prefix = prefixes[kind];
  return token.startsWith(prefix) ? Buffer.from(token.slice(prefix.length), "base64url") : undefined;
}

/** Only this form of a token is ever stored (X4). */
export function hashToken(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

export function sameHash(left: string, right: string): boolean {
  return left.length === right.length && timingSafeEqual(Buffer.from(left), Buffer.from(right));
}

/** The token of an `Authorization: Bearer …` header. */
export function bearerOf(header: string | undefined): string | undefined {
  const match = /^Bearer +([^\s]{1,16384})$/i.exec(header ?? "");
  return match?.[1];
}
