import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { renderCliDocs } from "./cli-docs.ts";

test("docs/cli.md is what the programs say about themselves", () => {
  const written = readFileSync(new URL("../../../docs/cli.md", import.meta.url), "utf8");
  assert.equal(written, renderCliDocs(), "run `npm run docs`");
});
