import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { repositoryRoot } from "@hl/testkit/programs.ts";

// Goal: X4: what the daemon says leaves it by the places that redact, and no other. Method: read its sources.
const folder = join(repositoryRoot, "packages/daemon/src");
const sources = readdirSync(folder, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts"))
  .map((path) => ({ path, text: readFileSync(join(folder, path), "utf8") }));
const uses = (pattern: RegExp): string[] =>
  sources.flatMap(({ path, text }) => Array.from(text.matchAll(pattern), () => path)).sort();

test("X4: standard error is written in one place, which redacts; nothing aborts or has a title of its own", () => {
  assert.deepEqual(uses(/process\.stderr\b/g), ["main.ts"]);
  assert.match(readFileSync(join(folder, "main.ts"), "utf8"), /process\.stderr\.write\(redactor\.redactText\(text\)\)/);
  assert.deepEqual(uses(/\bconsole\.|process\.abort\(|process\.title|emitWarning\(|process\.report\b/g), []);
});

test("X4: one module makes lines of the log, one the records of the audit, and both are given the redactor", () => {
  assert.deepEqual(uses(/from "pino"/g), ["logging/pino-logger.ts"]);
  assert.deepEqual(uses(/new RotatingFile\(/g), ["logging/audit-log.ts", "logging/pino-logger.ts"]);
  assert.deepEqual(uses(/new Redactor\(|new Secrets\(/g), ["main.ts", "main.ts"]);
});

test("X4: one module makes error objects for callers, and its options redact", () => {
  assert.deepEqual(uses(/\btoWireError\(/g), ["api/session.ts"]);
  assert.deepEqual(uses(/\bonInternal:/g), ["compose/api.ts"]);
  assert.deepEqual(uses(/\bredact: \(error\) => redactor\.redact\(error\)/g), ["compose/api.ts"]);
});
