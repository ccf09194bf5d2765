/** Goal: X4: the local token is made once, is hard to guess, readable by the group only, and nothing else is accepted for it. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { loadLocalToken, localTokenAuthenticator } from "./local-token.ts";

test("X4: the first start makes the token, 0640 and whole; the next start reads it", () => {
  using folder = temporaryFolder("hl-token");
  const path = join(folder.path, "local_token");
  const token = loadLocalToken(path);
  assert.match(token, /^hl_local_[A-Za-z0-9_-]{43}$/);
  assert.equal(readFileSync(path, "utf8"), `${token}\n`);
  assert.equal(statSync(path).mode & 0o777, 0o640);
  assert.equal(loadLocalToken(path), token);
  assert.deepEqual(readdirSync(folder.path), ["local_token"]);
  using other = temporaryFolder("hl-token");
  assert.notEqual(loadLocalToken(join(other.path, "local_token")), token);
});

test("X4: a file that is empty or cut off is no token: it is replaced", () => {
  using folder = temporaryFolder("hl-token");
  const path = join(folder.path, "local_token");
  for (const content of ["", "\n", "short", " ".repeat(100)]) {
    writeFileSync(path, content);
    const token = loadLocalToken(path);
    assert.ok(token.length >= 32, JSON.stringify(content));
    assert.equal(loadLocalToken(path), token);
  }
  const own = "a-token-that-an-operator-has-put-here";
  writeFileSync(path, `  ${own}\n`);
  assert.equal(loadLocalToken(path), own);
});

test("X3: the token itself is accepted and nothing near it", () => {
  const token = "hl_local_0123456789012345678901234567890";
  const authenticate = localTokenAuthenticator(token);
  assert.deepEqual(authenticate(token, "http"), { role: "admin", subject: "local-token", via: "http" });
  for (const near of [
    "",
    " ",
    `${token} `,
    `${token}\n`,
    token.slice(0, -1),
    `${token}0`,
    token.toUpperCase(),
    "x".repeat(1e6),
  ]) {
    assert.equal(authenticate(near, "socket"), undefined, near.slice(0, 60));
  }
});
