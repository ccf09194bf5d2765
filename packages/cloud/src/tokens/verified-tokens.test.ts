/**
 * Goal: remembering a signature saves the check and nothing else: an expired token is refused, a false one never remembered, and
 * the memory for it is bounded (P7).
 * Method: real keys and tokens, a clock moved by hand, and a count of the checks that were really made.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { AccessTokens, type AccessClaims } from "./access-tokens.ts";
import { loadKeys } from "./keys.ts";
import { VerifiedTokens } from "./verified-tokens.ts";

class CountedTokens extends AccessTokens {
  checks = 0;

  override verify(token: string): Promise<AccessClaims> {
    this.checks += 1;
    return super.verify(token);
  }
}

const lifeSeconds = 60;

async function setUp(t: TestContext, entriesMax: number) {
  const folder = temporaryFolder("hl-verified");
  t.after(() => folder[Symbol.dispose]());
  const clock = new ManualClock();
  await clock.advance(1_000_000);
  const counted = new CountedTokens(await loadKeys(folder.path), clock, lifeSeconds);
  const verified = new VerifiedTokens(counted, clock, entriesMax);
  const sign = (id: string): Promise<string> =>
    verified.sign({ instanceId: id, familyId: `family-${id}` }, `token-${id}`, clock.wallMs());
  return { clock, counted, verified, sign };
}

test("a token's signature is checked once, and again when the token has expired", async (t) => {
  const { clock, counted, verified, sign } = await setUp(t, 10);
  const token = await sign("vm-1");
  for (let time = 0; time < 3; time += 1) {
    assert.deepEqual(await verified.verify(token), { instanceId: "vm-1", familyId: "family-vm-1" });
  }
  assert.equal(counted.checks, 1);
  await clock.advance(lifeSeconds * 1000);
  await assert.rejects(verified.verify(token), /expired/);
  assert.equal(verified.size, 0);
});

test("a false token is refused each time and takes no place", async (t) => {
  const { verified, sign } = await setUp(t, 10);
  const token = await sign("vm-1");
  for (const forged of [`${token.slice(0, -4)}AAAA`, "nonsense"]) {
    await assert.rejects(verified.verify(forged), /not valid/);
    await assert.rejects(verified.verify(forged), /not valid/);
  }
  assert.equal(verified.size, 0);
});

test("P7: at its limit it forgets the oldest, which is then checked again", async (t) => {
  const { counted, verified, sign } = await setUp(t, 2);
  const tokens = await Promise.all(["vm-1", "vm-2", "vm-3"].map(sign));
  for (const token of tokens) await verified.verify(token);
  assert.deepEqual([verified.size, counted.checks], [2, 3]);
  await verified.verify(tokens[2]!);
  assert.equal(counted.checks, 3);
  assert.equal((await verified.verify(tokens[0]!)).instanceId, "vm-1");
  assert.deepEqual([verified.size, counted.checks], [2, 4]);
});
