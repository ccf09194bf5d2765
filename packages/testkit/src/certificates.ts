/**
 * Certificates for tests, made on the spot: an authority and what it signs, P-256, valid from a day ago for a year.
 * Only as much of X.509 (RFC 5280) as TLS between our own programs looks at.
 */
import { createHash, generateKeyPairSync, randomBytes, sign, X509Certificate, type KeyObject } from "node:crypto";

export interface TestCertificate {
  /** PEM. */
  readonly cert: string;
  /** PEM, PKCS #8. */
  readonly key: string;
  /** "sha256:…" of the public key, as `pin_hashes` has it. */
  readonly pin: string;
}

export interface IssueOptions {
  /** In place of 127.0.0.1, ::1 and localhost. */
  readonly dnsNames?: readonly string[];
  /** In place of a day ago and a year ahead; milliseconds since 1970. */
  readonly fromMs?: number;
  readonly untilMs?: number;
  /** In place of one that is made. */
  readonly keys?: { readonly publicKey: KeyObject; readonly privateKey: KeyObject };
}

export interface TestAuthority extends TestCertificate {
  /** A certificate for 127.0.0.1, ::1 and localhost under that name, good for servers and clients. */
  issue(commonName: string, options?: IssueOptions): TestCertificate;
  /** An authority below this one. */
  intermediate(commonName: string): TestAuthority;
}

export function makeAuthority(commonName = "test authority"): TestAuthority {
  const keys = makeKeys();
  const own = certificate(commonName, keys.publicKey, commonName, keys.privateKey, [authorityExtension]);
  return authorityOf(commonName, keys.privateKey, own);
}

/** A key pair that several certificates can have. */
export function makeKeys(): NonNullable<IssueOptions["keys"]> {
  return generateKeyPairSync("ec", { namedCurve: "P-256" });
}

function authorityOf(commonName: string, privateKey: KeyObject, own: Buffer): TestAuthority {
  return {
    ...shown(own, privateKey),
    issue(name, options = {}) {
      const { dnsNames, keys: leaf = makeKeys(), ...validity } = options;
      const names = dnsNames === undefined ? namesExtension : extensionOfNames(dnsNames);
      return shown(certificate(name, leaf.publicKey, commonName, privateKey, [names], validity), leaf.privateKey);
    },
    intermediate(name) {
      const keys = makeKeys();
      const signed = certificate(name, keys.publicKey, commonName, privateKey, [authorityExtension]);
      return authorityOf(name, keys.privateKey, signed);
    },
  };
}

function shown(der: Buffer, key: KeyObject): TestCertificate {
  const { publicKey } = new X509Certificate(der);
  const spki = publicKey.export({ type: "spki", format: "der" });
  // No line may be empty, also where the last one is full.
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return {
    cert: ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n"),
    key: key.export({ type: "pkcs8", format: "pem" }).toString(),
    pin: `sha256:${createHash("sha256").update(spki).digest("base64")}`,
  };
}

const dayMs = 86_400_000;

function certificate(
  subject: string,
  subjectKey: KeyObject,
  issuer: string,
  issuerKey: KeyObject,
  extensions: readonly Buffer[],
  { fromMs = Date.now() - dayMs, untilMs = Date.now() + 365 * dayMs }: Pick<IssueOptions, "fromMs" | "untilMs"> = {},
): Buffer {
  const serial = Buffer.concat([Buffer.of(0x01), randomBytes(8)]);
  const validity = sequence(time(fromMs), time(untilMs));
  const spki = subjectKey.export({ type: "spki", format: "der" });
  const toBeSigned = sequence(
    element(0xa0, element(0x02, Buffer.of(2))), // Version 3.
    element(0x02, serial),
    ecdsaWithSha256,
    nameOf(issuer),
    validity,
    nameOf(subject),
    spki,
    element(0xa3, sequence(...extensions)),
  );
  const signature = sign("sha256", toBeSigned, issuerKey);
  return sequence(toBeSigned, ecdsaWithSha256, element(0x03, Buffer.of(0), signature));
}

function element(tag: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  if (body.length < 0x80) return Buffer.concat([Buffer.of(tag, body.length), body]);
  const length = Buffer.from(body.length.toString(16).padStart(body.length > 0xff ? 4 : 2, "0"), "hex");
  return Buffer.concat([Buffer.of(tag, 0x80 | length.length), length, body]);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return element(0x30, ...parts);
}

function objectId(hex: string): Buffer {
  return element(0x06, Buffer.from(hex, "hex"));
}

function nameOf(commonName: string): Buffer {
  return sequence(element(0x31, sequence(objectId("550403"), element(0x0c, Buffer.from(commonName)))));
}

/** UTCTime, which ends in 2049. */
function time(ms: number): Buffer {
  const text = new Date(ms).toISOString().replaceAll(/[-:T]|\.\d+/g, "");
  return element(0x17, Buffer.from(text.slice(2)));
}

function extension(id: string, value: Buffer): Buffer {
  return sequence(objectId(id), element(0x04, value));
}

const ecdsaWithSha256 = sequence(objectId("2a8648ce3d040302"));
const authorityExtension = extension("551d13", sequence(element(0x01, Buffer.of(0xff))));
function extensionOfNames(dnsNames: readonly string[]): Buffer {
  return extension("551d11", sequence(...dnsNames.map((name) => element(0x82, Buffer.from(name)))));
}

const namesExtension = extension(
  "551d11",
  sequence(
    element(0x82, Buffer.from("localhost")),
    element(0x87, Buffer.of(127, 0, 0, 1)),
    element(0x87, Buffer.concat([Buffer.alloc(15), Buffer.of(1)])),
  ),
);
