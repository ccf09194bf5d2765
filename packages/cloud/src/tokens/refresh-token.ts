import { createHmac, timingSafeEqual } from "node:crypto";
import { withoutPrefix, withPrefix } from "./secrets.ts";

/**
 * A refresh token is opaque to its holder and derived for us: family, generation and rotation id, with a MAC behind them.
 * So the answer to a repeated rotation can be computed again instead of being stored in clear, and a token that was
 * replaced long ago is still recognised as one of ours (that is what fences a stolen identity, C4).
 */
export interface RefreshClaims {
  readonly familyId: string;
  readonly generation: number;
  readonly rotationId: string;
}

const idBytes = 16;
const headBytes = idBytes + 4 + idBytes;

export function deriveRefreshToken(secret: Buffer, claims: RefreshClaims): string {
  const head = Buffer.alloc(headBytes);
  uuidBytes(claims.familyId).copy(head, 0);
  head.writeUInt32BE(claims.generation, idBytes);
  uuidBytes(claims.rotationId).copy(head, idBytes + 4);
  return withPrefix("refresh", Buffer.concat([head, mac(secret, head)]));
}

/** Undefined unless this server made the token. */
export function readRefreshToken(secret: Buffer, token: string): RefreshClaims | undefined {
  const bytes = withoutPrefix("refresh", token);
  if (bytes?.length !== headBytes + 32) return undefined;
  const head = bytes.subarray(0, headBytes);
  if (!timingSafeEqual(mac(secret, head), bytes.subarray(headBytes))) return undefined;
  // Another spelling of the same bytes would miss the stored hash and look like a token that was replaced.
  if (withPrefix("refresh", bytes) !== token) return undefined;
  return {
    familyId: uuidText(head.subarray(0, idBytes)),
    generation: head.readUInt32BE(idBytes),
    rotationId: uuidText(head.subarray(idBytes + 4)),
  };
}

function mac(secret: Buffer, head: Buffer): Buffer {
  return createHmac("sha256", secret).update("refresh\0").update(head).digest();
}

function uuidBytes(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll("-", ""), "hex");
}

function uuidText(bytes: Buffer): string {
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
