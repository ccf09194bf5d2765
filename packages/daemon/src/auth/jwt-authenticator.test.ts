/**
 * Goal: X3: only a token that the configured issuer has signed for this daemon, with the configured algorithm and for a short life, is
 * somebody; every other one is refused with 1001, and who has no valid signature learns nothing from the refusal.
 * Method: real keys and signatures, made with node:crypto and not with the library that checks them; time moved by hand.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { silentLogger } from "@hl/core/logger.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { JwtAuthenticator } from "./jwt-authenticator.ts";
import { PublicKeys } from "./public-keys.ts";
import { encoded, jwksOf, makeIssuer, signed, signedByPublicKey, type Claims } from "./signing.fixture.test.ts";
import { tokenBytesMax } from "./token-text.ts";

const issuer = makeIssuer("k1");
const stranger = makeIssuer("k1");
const clock = new ManualClock();
await clock.advance(1_000_000_000);
const now = clock.wallMs() / 1000;
let fetches = 0;
const keys = new PublicKeys({
  clock,
  logger: silentLogger,
  outageMs: 86_400_000,
  fetch: async () => {
    fetches += 1;
    return jwksOf(issuer);
  },
});
const rules = {
  algorithm: "RS256",
  issuer: "humanlayer.dev",
  audience: "hl-daemon",
  lifeSecondsMax: 3_600,
  skewSeconds: 60,
  defaultRole: "vm-instance",
} as const;
const authenticator = new JwtAuthenticator({ clock, keys, rules });

const claims = (more: Claims = {}): Claims => ({
  iss: "humanlayer.dev",
  aud: "hl-daemon",
  sub: "alice",
  iat: now - 10,
  exp: now + 600,
  ...more,
});
const authenticate = (token: string): ReturnType<JwtAuthenticator["authenticate"]> =>
  authenticator.authenticate(token, "socket");

/** What the refusal of a token says to its bearer, and what to the auditor. */
async function refusal(token: string): Promise<{ said: string; reason: string }> {
  try {
    const caller = await authenticate(token);
    return assert.fail(`it was accepted as ${caller.role}`);
  } catch (error) {
    assert.ok(error instanceof HlError, String(error));
    assert.equal(error.code, 1001);
    return { said: error.message, reason: (error.cause as Error).message };
  }
}

describe("accepted", () => {
  test("a token of the issuer: its subject, its role, and for how long", async () => {
    const caller = await authenticate(signed(issuer, claims({ role: "ci" })));
    assert.deepEqual(caller, {
      ...{ role: "ci", subject: "alice", via: "socket", credential: "jwt" },
      expiresAtMs: (now + 600 + 60) * 1000,
    });
  });

  test("without a role the configured one; an audience among several; no kid where one key fits; other spellings of the type", async () => {
    assert.equal((await authenticate(signed(issuer, claims()))).role, "vm-instance");
    assert.equal((await authenticate(signed(issuer, claims({ aud: ["x", "hl-daemon"] })))).subject, "alice");
    for (const header of [{ kid: undefined }, { typ: "at+jwt" }, { typ: "application/AT+JWT" }, { typ: undefined }])
      assert.equal((await authenticate(signed(issuer, claims(), header))).subject, "alice");
  });

  test("the clocks may differ by the configured skew, and the life may be exactly the longest", async () => {
    for (const more of [
      { iat: now - 3_600, exp: now - 59 },
      { nbf: now + 60 },
      { iat: now + 60, exp: now + 3_660 },
      { iat: now, exp: now + 3_600 },
      { iat: undefined, exp: now + 3_600 },
    ])
      assert.equal((await authenticate(signed(issuer, claims(more)))).subject, "alice", JSON.stringify(more));
  });

  test("addresses and keys that a token brings along are not looked at", async () => {
    const before = fetches;
    const own = stranger.publicKey.export({ format: "jwk" });
    for (const header of [
      { jwk: own },
      { jku: "http://127.0.0.1:1/" },
      { x5u: "http://127.0.0.1:1/" },
      { x5c: ["AA=="] },
    ]) {
      assert.equal((await authenticate(signed(issuer, claims(), header))).subject, "alice");
      assert.equal((await refusal(signed(stranger, claims(), header))).reason, "its signature is not valid");
    }
    assert.equal(fetches, before);
  });
});

describe("refused, and a stranger learns nothing", () => {
  const text = JSON.stringify(claims({ role: "ci" }));
  const twice = (name: string, value: string): string => text.replace("{", `{"${name}":${value},`);
  const [head = "", body = "", signature = ""] = signed(issuer, claims()).split(".");
  const otherCases: readonly (readonly [string, string, RegExp])[] = [
    ["HS256 with the public key", signedByPublicKey(issuer, claims()), /algorithm/],
    ["none", `${encoded({ alg: "none" })}.${body}.`, /three parts/],
    ["none with a signature", `${encoded({ alg: "none", kid: "k1" })}.${body}.${signature}`, /algorithm/],
    ["None", `${encoded({ alg: "NoNe", kid: "k1" })}.${body}.${signature}`, /algorithm/],
    ["PS256, which is not the configured one", signed(issuer, claims(), { alg: "PS256" }), /algorithm/],
    ["RS512", signed(issuer, claims(), { alg: "RS512" }), /algorithm/],
    ["no algorithm", signed(issuer, claims(), { alg: undefined }), /algorithm/],
    ["an HMAC that says RS256", signedByPublicKey(issuer, claims(), "RS256"), /signature/],
    ["another key under the same kid", signed(stranger, claims()), /signature/],
    ["other claims under the signature", `${head}.${encoded(claims({ role: "admin" }))}.${signature}`, /signature/],
    ["no signature", `${head}.${body}.`, /three parts/],
    ["a cut signature", `${head}.${body}.${signature.slice(0, -4)}`, /signature/],
    ["an unknown kid", signed(stranger, claims(), { kid: "../../k1" }), /no public key/],
    ["a kid that is no text", signed(stranger, claims(), { kid: 1 }), /no public key|signature/],
    ["crit", signed(issuer, claims(), { crit: ["exp"] }), /crit/],
    ["crit and b64", signed(issuer, claims(), { crit: ["b64"], b64: false }), /crit/],
    ["another type of statement", signed(issuer, claims(), { typ: "logout+jwt" }), /type/],
    ["a claim twice", signed(issuer, twice("role", '"viewer"')), /twice/],
    ["a claim twice, escaped", signed(issuer, text.replace("{", '{"su\\u0062":"bob",')), /twice/],
    ["a header twice", signed(issuer, claims(), '{"alg":"none","alg":"RS256","kid":"k1"}'), /twice/],
    ["claims that are a list", signed(issuer, "[]"), /object/],
    ["a header that is null", signed(issuer, claims(), "null"), /object/],
    ["claims that are no JSON", signed(issuer, "nonsense"), /not JSON/],
    ["deep claims", signed(issuer, `${"[".repeat(200)}${"]".repeat(200)}`), /not JSON/],
    ["four parts", `${signed(issuer, claims())}.x`, /three parts/],
    ["an encrypted one", "a.b.c.d.e", /three parts/],
    ["padding", `${head}=.${body}.${signature}`, /three parts/],
    ["two dots", "..", /three parts/],
  ];
  for (const [name, token, reason] of otherCases) {
    test(`X3: ${name}`, async () => {
      const refused = await refusal(token);
      assert.match(refused.reason, reason);
      assert.equal(refused.said, "this token is not valid here");
    });
  }

  test("X3: a weak key is not used, whoever published it", async () => {
    const weak = makeIssuer("weak", 1024);
    const of = new PublicKeys({ clock, logger: silentLogger, outageMs: 1e6, fetch: async () => jwksOf(weak) });
    const asked = new JwtAuthenticator({ clock, keys: of, rules }).authenticate(signed(weak, claims()), "http");
    await assert.rejects(asked, { message: "this token is not valid here" });
  });
});

describe("refused, and told why, because it is signed", () => {
  const cases: readonly (readonly [string, Claims, RegExp])[] = [
    ["another issuer", { iss: "evil.example" }, /"iss" is not the one/],
    ["no issuer", { iss: undefined }, /no "iss"/],
    ["another audience", { aud: "other" }, /"aud" is not the one/],
    ["an audience that begins like it", { aud: ["hl-daemon2", "hl"] }, /"aud" is not the one/],
    ["no audience", { aud: undefined }, /no "aud"/],
    ["expired", { exp: now - 60 }, /has expired/],
    ["long expired", { iat: 1, exp: 2 }, /has expired/],
    ["not yet valid", { nbf: now + 61 }, /not valid yet/],
    ["made in the future", { iat: now + 61, exp: now + 600 }, /from the future/],
    ["no end", { exp: undefined }, /no "exp"/],
    ["an end that is a text", { exp: String(now + 600) }, /"exp" is not valid/],
    ["a life over the longest", { iat: now, exp: now + 3_601 }, /lives longer/],
    ["a life over the longest, begun long ago", { iat: now - 3_500, exp: now + 101 }, /lives longer/],
    ["an end far away without a beginning", { iat: undefined, exp: now + 3_661 }, /lives longer/],
    ["no subject", { sub: undefined }, /no "sub"/],
    ["an empty subject", { sub: "" }, /"sub" is not a name/],
    ["a subject that breaks lines", { sub: "a\nb" }, /"sub" is not a name/],
    ["a subject of 257 characters", { sub: "a".repeat(257) }, /"sub" is not a name/],
    ["the local token's name", { sub: "local-token" }, /name of the daemon/],
    ["the cloud's name", { sub: "cloud" }, /name of the daemon/],
    ["a role that is a list", { role: ["admin"] }, /"role" is not a name/],
    ["a role that is null", { role: null }, /"role" is not a name/],
    ["the access token of a VM", { fam: "f", role: "vm-instance" }, /for the cloud only/],
  ];
  for (const [name, more, said] of cases) {
    test(`X3: ${name}`, async () => {
      assert.match((await refusal(signed(issuer, claims(more)))).said, said);
      // The same claims signed by somebody else say nothing.
      assert.equal((await refusal(signed(stranger, claims(more)))).said, "this token is not valid here");
    });
  }

  test("X3: an end without end", async () => {
    const payload = JSON.stringify(claims()).replace(/"exp":[^,}]+/, '"exp":1e999');
    assert.match((await refusal(signed(issuer, payload))).said, /lives longer/);
  });
});

test("X3: a token is looked at up to its longest size, and not further", async () => {
  const padded = (bytes: number): string => signed(issuer, claims({ pad: "x".repeat(bytes) }));
  let bytes = 5_000;
  while (padded(bytes + 1).length <= tokenBytesMax) bytes += 1;
  assert.equal((await authenticate(padded(bytes))).subject, "alice");
  for (const token of [padded(bytes + 1), `a.${"b".repeat(1_000_000)}.c`])
    assert.match((await refusal(token)).said, /may have 8192 bytes/);
});
