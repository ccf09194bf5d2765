/**
 * Goal: keys rotate without a restart, whoever sends tokens cannot make the daemon hammer the issuer, and an outage of the issuer is
 * bridged for the configured time and no longer (X2). Method: a fetch that the test answers, time moved by hand.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger, type Logger } from "@hl/core/logger.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { ManualClock, settled } from "@hl/testkit/manual-clock.ts";
import { freshMs, keysMax, PublicKeys, refetchMs, retryMs } from "./public-keys.ts";
import { jwksOf, makeIssuer, type Issuer } from "./signing.fixture.test.ts";

const outageMs = 3_600_000;
const [one, two] = [makeIssuer("one"), makeIssuer("two")];

interface World {
  readonly clock: ManualClock;
  readonly keys: PublicKeys;
  readonly warnings: string[];
  /** What the issuer answers; an Error is an outage. */
  answer: string | Error | Promise<string>;
  fetches: number;
  /** Resolves with true where a key for it was found. */
  knows(issuer: Issuer): Promise<boolean>;
}

function world(answer: World["answer"]): World {
  const clock = new ManualClock();
  const warnings: string[] = [];
  const logger: Logger = { ...silentLogger, warn: (_fields, message) => warnings.push(message) };
  const fetch = async (): Promise<string> => {
    made.fetches += 1;
    if (made.answer instanceof Error) throw made.answer;
    return made.answer;
  };
  const keys = new PublicKeys({ clock, logger, fetch, outageMs });
  const made: World = {
    ...{ clock, keys, warnings, answer, fetches: 0 },
    knows: async ({ kid }) => {
      try {
        await keys.find({ alg: "RS256", kid });
        return true;
      } catch (error) {
        assert.ok(error instanceof HlError && error.type === "unauthenticated", String(error));
        return false;
      }
    },
  };
  return made;
}

test("nothing is fetched before a token comes; requests that come together share one fetch", async () => {
  const arrived = Promise.withResolvers<string>();
  const w = world(arrived.promise);
  await settled();
  assert.equal(w.fetches, 0);
  const asked = Promise.all([one, one, two, one].map((issuer) => w.knows(issuer)));
  await settled();
  arrived.resolve(jwksOf(one));
  assert.deepEqual(await asked, [true, true, false, true]);
  assert.equal(w.fetches, 1);
});

test("an unknown key asks again, at most so often, whoever asks", async () => {
  const w = world(jwksOf(one));
  assert.equal(await w.knows(one), true);
  w.answer = jwksOf(one, two);
  for (let time = 0; time < 100; time += 1) assert.equal(await w.knows(two), false);
  assert.equal(w.fetches, 1);
  await w.clock.advance(refetchMs - 1);
  assert.equal(await w.knows(two), false);
  await w.clock.advance(1);
  assert.deepEqual(await Promise.all([w.knows(two), w.knows(two), w.knows(one)]), [true, true, true]);
  assert.equal(w.fetches, 2);
});

test("a key that was withdrawn is refused once what is held is not fresh any more", async () => {
  const w = world(jwksOf(one, two));
  assert.equal(await w.knows(one), true);
  w.answer = jwksOf(two);
  await w.clock.advance(freshMs - 1);
  assert.equal(await w.knows(one), true);
  await w.clock.advance(1);
  assert.equal(await w.knows(one), false);
  assert.equal(await w.knows(two), true);
  assert.equal(w.fetches, 2);
});

test("X2: an outage is bridged by the keys of before, up to the limit; nobody waits for it; it is told once", async () => {
  const w = world(jwksOf(one));
  assert.equal(await w.knows(one), true);
  w.answer = new Error("no route");
  await w.clock.advance(freshMs);
  assert.equal(await w.knows(one), true);
  assert.equal(w.fetches, 2);
  // From here on a fetch that hangs holds nobody up.
  await w.clock.advance(retryMs);
  const hanging = Promise.withResolvers<string>();
  w.answer = hanging.promise;
  assert.equal(await w.knows(one), true);
  assert.equal(w.fetches, 3);
  hanging.reject(new Error("too late"));
  await settled();
  w.answer = new Error("no route");
  await w.clock.advance(outageMs - w.clock.now());
  assert.equal(await w.knows(one), true);
  await w.clock.advance(1);
  await assert.rejects(w.keys.find({ alg: "RS256", kid: "one" }), (error) => {
    assert.ok(error instanceof HlError);
    assert.match(error.message, /cannot be checked at this moment/);
    assert.deepEqual(error.facts, { retry: "backoff", retry_after_ms: retryMs });
    return true;
  });
  assert.deepEqual(w.warnings, ["the public keys of JWTs could not be fetched"]);
  w.answer = jwksOf(one);
  await w.clock.advance(retryMs);
  assert.equal(await w.knows(one), true);
});

test("X3: after a failure and a long silence newer keys are waited for: the old ones may have been withdrawn meanwhile", async () => {
  const w = world(jwksOf(one));
  assert.equal(await w.knows(one), true);
  w.answer = new Error("no route");
  await w.clock.advance(freshMs);
  assert.equal(await w.knows(one), true);
  w.answer = jwksOf(two);
  await w.clock.advance(retryMs + freshMs);
  assert.equal(await w.knows(one), false);
  assert.equal(await w.knows(two), true);
});

test("without keys a failure is tried again soon, not with each token", async () => {
  const w = world(new Error("not up yet"));
  for (let time = 0; time < 10; time += 1) assert.equal(await w.knows(one), false);
  assert.equal(w.fetches, 1);
  w.answer = jwksOf(one);
  await w.clock.advance(retryMs);
  assert.equal(await w.knows(one), true);
});

test("an answer that is no list of keys, or has too many, is a failure and replaces nothing", async () => {
  const many = Array.from({ length: keysMax + 1 }, (_, index) => ({ ...one.jwk, kid: `k${index}` }));
  for (const bad of ["<html>", "[]", '{"keys":{}}', '{"keys":[1]}', '{"keys":[{}]}', JSON.stringify({ keys: many })]) {
    const w = world(jwksOf(one));
    assert.equal(await w.knows(one), true);
    w.answer = bad;
    await w.clock.advance(freshMs);
    assert.equal(await w.knows(one), true, bad.slice(0, 40));
    assert.equal(w.warnings.length, 1, bad.slice(0, 40));
  }
  const most = world(JSON.stringify({ keys: [...many.slice(2), one.jwk] }));
  assert.equal(await most.knows(one), true);
});

test("X3: keys that are private, shared, for encryption or another algorithm open nothing; nor does one name for two keys", async () => {
  const secret = { kty: "oct", kid: "one", k: Buffer.from("secret").toString("base64url") };
  const whole = { ...one.privateKey.export({ format: "jwk" }), kid: "one" };
  for (const key of [secret, whole, { ...one.jwk, use: "enc" }, { ...one.jwk, alg: "RS512" }])
    assert.equal(await world(JSON.stringify({ keys: [key] })).knows(one), false);
  const same = world(JSON.stringify({ keys: [one.jwk, { ...two.jwk, kid: "one" }] }));
  assert.equal(await same.knows(one), false);
});
