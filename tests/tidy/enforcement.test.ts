import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { repositoryRoot } from "@hl/testkit/programs.ts";
import { readByAll } from "../../scripts/enforcement/proofs.ts";
import { declaredSections } from "../../scripts/enforcement/render.ts";
import { enforcement, withoutEffect } from "../../scripts/enforcement/rows.ts";

// Goal: X2: no setting is one in name only. docs/enforcement.md says of each who obeys it and which test would fail if it did nothing.
// Method: the table is held against the declared keys, the modules and the tests that there are.
const declared = declaredSections().flatMap(({ keys }) => keys.map(({ pointer }) => pointer));
const textOf = (path: string): string =>
  existsSync(join(repositoryRoot, path)) ? readFileSync(join(repositoryRoot, path), "utf8") : "";

test("every key has one row, and every row has its key", () => {
  const rows = [...Object.keys(enforcement), ...Object.keys(withoutEffect)];
  assert.deepEqual([...rows].sort(), [...declared].sort());
  assert.deepEqual(
    Object.entries(enforcement).flatMap(([pointer, { proofs }]) => (proofs.length === 0 ? [pointer] : [])),
    [],
  );
});

test("who obeys it is there", () => {
  const absent = Object.entries(enforcement).filter(([, { by }]) => !existsSync(join(repositoryRoot, by)));
  assert.deepEqual(
    absent.map(([pointer, { by }]) => `${pointer}: ${by}`),
    [],
  );
});

test("every test that is named is the title, or its beginning or end, of one in that file", () => {
  const proofs = [...Object.values(enforcement).flatMap((row) => row.proofs), ...Object.values(readByAll)];
  const absent = proofs.filter(({ file, title }) => {
    const lines = textOf(file).split("\n");
    return !lines.some((line) => new RegExp(`["\`](?:[^"\`]*)${RegExp.escape(title)}`).test(line));
  });
  assert.deepEqual(
    absent.map(({ file, title }) => `${file}: ${title}`),
    [],
  );
});

/** Never longer: a key that is new has an effect. */
const waiting = [
  "daemon.json:/cloud_api/endpoints/token",
  "daemon.json:/cloud_api/endpoints/heartbeat",
  "daemon.json:/cloud_api/endpoints/commands",
  "daemon.json:/cloud_api/endpoints/events",
  "daemon.json:/cloud_api/endpoints/status",
  "daemon.json:/cloud_api/connection/retry_attempts",
  "daemon.json:/cloud_api/connection/keepalive",
  "daemon.json:/claude_integration/communication/buffer_size",
  "daemon.json:/claude_integration/communication/message_delimiter",
  "daemon.json:/event_streaming/encryption",
];

test("no key has lost its effect", () => {
  assert.deepEqual(
    Object.keys(withoutEffect).filter((pointer) => !waiting.includes(pointer)),
    [],
  );
});
