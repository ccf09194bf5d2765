/** Goal: what is wrong with the link is told in figures, each at its limit. Method: links as numbers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ComposedCloud } from "./cloud.ts";
import { cloudConditions } from "./conditions.ts";

const cloudWith = (link: object, shut?: string): ComposedCloud =>
  ({ link: { disconnectedMs: 0, ...link }, shut: () => shut }) as unknown as ComposedCloud;

test("a clock that differs by more than the threshold, either way, is told with how far; no cloud, no clock", () => {
  const texts = (clockSkewMs: number | undefined): string[] =>
    cloudConditions(cloudWith({ clockSkewMs }), 0, 60_000).map(({ code, text }) => `${code}: ${text}`);
  assert.deepEqual([texts(undefined), texts(60_000), texts(-60_000)], [[], [], []]);
  assert.match(texts(60_001)[0] ?? "", /^clock_skewed: it is 60 s behind/);
  assert.match(texts(-90_000)[0] ?? "", /^clock_skewed: it is 90 s ahead of/);
  assert.deepEqual(cloudConditions(undefined, 0, 1), []);
});

test("a link that is away says since when; one that is refused says by what", () => {
  const [away] = cloudConditions(cloudWith({ disconnectedMs: 400, lastError: "refused" }), 1_000, 1);
  assert.deepEqual([away?.code, away?.sinceMs], ["cloud_disconnected", 600]);
  const [shut] = cloudConditions(cloudWith({}, "instance_revoked"), 1_000, 1);
  assert.equal(shut?.code, "cloud_instance_revoked");
});
