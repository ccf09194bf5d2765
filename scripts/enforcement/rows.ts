/**
 * What each key of daemon.json and security.json does: the module that obeys it, and the tests that fail if it did nothing. docs/enforcement.md is
 * rendered from here and the declarations; tests/tidy/enforcement.test.ts looks the modules and tests up.
 */
import { accessRows } from "./access.ts";
import { linkRows } from "./link.ts";
import { serviceRows } from "./service.ts";
import { workRows } from "./work.ts";
import type { Enforced } from "./proofs.ts";

export const enforcement: Readonly<Record<string, Enforced>> = {
  ...linkRows,
  ...workRows,
  ...serviceRows,
  ...accessRows,
};
