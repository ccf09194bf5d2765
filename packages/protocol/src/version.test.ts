/** Goal: two programs agree on the newest version that both speak, or find out that there is none. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { commonVersion, protocolVersion, protocolVersionMin } from "./version.ts";

test("the newest version that both speak is chosen; without one, or with nonsense, there is none", () => {
  const cases: [string, string, string, string, string | undefined][] = [
    ["1.0", "1.0", "1.0", "1.0", "1.0"],
    ["1.3", "1.0", "1.1", "1.0", "1.1"],
    ["1.1", "1.0", "1.3", "1.1", "1.1"],
    ["1.3", "1.2", "1.1", "1.0", undefined],
    ["2.0", "2.0", "1.9", "1.0", undefined],
    ["2.1", "1.0", "2.0", "1.5", "2.0"],
    ["1", "1.0", "1.0", "1.0", undefined],
    ["1.0", "x", "1.0", "1.0", undefined],
  ];
  for (const [newest, oldest, otherNewest, otherOldest, common] of cases) {
    const left = { newest, oldest };
    const right = { newest: otherNewest, oldest: otherOldest };
    assert.equal(commonVersion(left, right), common, JSON.stringify([left, right]));
    assert.equal(commonVersion(right, left), common, JSON.stringify([right, left]));
  }
  assert.equal(
    commonVersion({ newest: protocolVersion, oldest: protocolVersionMin }, { newest: "1.0", oldest: "1.0" }),
    "1.0",
  );
});
