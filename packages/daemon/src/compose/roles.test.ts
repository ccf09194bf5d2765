import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultConfig } from "@hl/config/load.ts";
import { PERMISSIONS } from "@hl/config/sections/authorization.ts";
import { permissions, roleAllows, shippedRoles } from "@hl/protocol/permissions.ts";

// Goal: X3: what security.json may grant is what methods ask for. Configuration and contract do not know each other, so the
// two lists stand twice; here, where both are known, they are held together.
test("X3: configuration and contract name the same permissions, and the shipped roles grant the same", () => {
  assert.deepEqual([...PERMISSIONS], [...permissions]);
  const configured = defaultConfig().security.authorization.permissions;
  assert.deepEqual(Object.keys(configured).sort(), Object.keys(shippedRoles).sort());
  for (const role of Object.keys(shippedRoles)) {
    for (const permission of permissions) {
      assert.equal(
        roleAllows(configured, role, permission),
        roleAllows(shippedRoles, role, permission),
        `${role}: ${permission}`,
      );
    }
  }
});
