/** Goal: what a control plane may set of the link is bounded, and the page for operators says the same bounds. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { boundsOf, linkSettingNames, linkSettings, linkSettingsSchema, withinBounds } from "./link-settings.ts";

test("each number is kept within its bounds, and counts are whole", () => {
  for (const name of linkSettingNames) {
    const { min, max, unit } = linkSettings[name];
    assert.ok(min < max, name);
    assert.equal(withinBounds(name, min), min);
    assert.equal(withinBounds(name, max), max);
    assert.equal(withinBounds(name, -1), min);
    assert.equal(withinBounds(name, 1e12), max);
    assert.equal(withinBounds(name, min + 0.5), unit === "seconds" ? min + 0.5 : min);
  }
});

test("the schema reads what is out of bounds or unknown, and refuses what is no number", () => {
  assert.deepEqual(linkSettingsSchema.parse({ reconnect_spread: -5, of_tomorrow: 1 }), { reconnect_spread: -5 });
  for (const bad of ["30", null, Number.NaN]) {
    assert.equal(linkSettingsSchema.safeParse({ reconnect_spread: bad }).success, false);
  }
});

test("docs/reconnecting.md has a row with the bounds of each", () => {
  const rows = readFileSync(join(import.meta.dirname, "../../../docs/reconnecting.md"), "utf8").split("\n");
  for (const name of linkSettingNames) {
    const row = rows.find(
      (line) => line.startsWith("|") && line.includes(`${name}\``) && line.includes(boundsOf(name)),
    );
    assert.ok(row !== undefined, `no row has \`${name}\` and "${boundsOf(name)}"`);
  }
});
