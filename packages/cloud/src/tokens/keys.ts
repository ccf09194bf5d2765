import { createPrivateKey, createPublicKey, generateKeyPair, randomBytes, type KeyObject } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { writeFileAtomic } from "@hl/core/atomic-file.ts";
import { calculateJwkThumbprint, exportJWK, type JWK } from "jose";

/** What signs access tokens and derives refresh tokens; made at first use in HOME/keys, readable for its owner only. */
export interface Keys {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** RFC 7638 thumbprint of the public key. */
  readonly keyId: string;
  /** What `/.well-known/jwks.json` publishes. */
  readonly jwks: { readonly keys: readonly JWK[] };
  /** Derives refresh tokens, so that none needs to be stored in clear to be answered twice. */
  readonly secret: Buffer;
}

const modulusBits = 2048;
const secretBytes = 32;

export async function loadKeys(home: string): Promise<Keys> {
  const directory = join(home, "keys");
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const privateKey = createPrivateKey(await readOrMake(join(directory, "signing.pem"), newSigningKey));
  const secret = Buffer.from(
    await readOrMake(join(directory, "refresh.secret"), async () => randomBytes(secretBytes).toString("hex")),
    "hex",
  );
  if (secret.length !== secretBytes) throw new Error(`${join(directory, "refresh.secret")} is damaged`);
  const publicKey = createPublicKey(privateKey);
  const jwk = await exportJWK(publicKey);
  const keyId = await calculateJwkThumbprint(jwk);
  return {
    privateKey,
    publicKey,
    keyId,
    jwks: { keys: [{ ...jwk, kid: keyId, alg: "RS256", use: "sig" }] },
    secret,
  };
}

async function readOrMake(path: string, make: () => Promise<string>): Promise<string> {
  if (!existsSync(path)) writeFileAtomic(path, await make(), 0o600);
  return readFileSync(path, "utf8");
}

async function newSigningKey(): Promise<string> {
  const { privateKey } = await promisify(generateKeyPair)("rsa", { modulusLength: modulusBits });
  return privateKey.export({ type: "pkcs8", format: "pem" }) as string;
}
