/** Goal: logs that grow are cut back by what nobody needs, the oldest first; never the file being written, the audit's, or a stranger's. Method: real files. */
import assert from "node:assert/strict";
import { readdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { logBytes, trimLogs, type OwnLog } from "./log-files.ts";

test("the oldest rotated files go until the logs are small enough; what is not ours to remove stays", () => {
  using folder = temporaryFolder("hl-logs");
  const strangers = ["other.log.1", "daemon.log.old", "daemon.log.1.tmp"];
  const own = ["daemon.log.2.gz", "daemon.log.10", "daemon.log.11", "daemon.log", "audit.log", "audit.log.1"];
  [...strangers, ...own].forEach((name, age) => {
    writeFileSync(join(folder.path, name), "x".repeat(100));
    utimesSync(join(folder.path, name), 1_000 + age, 1_000 + age);
  });
  const logs: OwnLog[] = [
    { path: join(folder.path, "daemon.log"), isSpare: true },
    { path: join(folder.path, "audit.log"), isSpare: false },
  ];
  const left = (): string[] =>
    readdirSync(folder.path)
      .filter((name) => !strangers.includes(name))
      .sort();
  assert.equal(logBytes(logs), 600);
  assert.equal(trimLogs(logs, 600), 0);
  assert.equal(trimLogs(logs, 401), 200);
  assert.deepEqual(left(), ["audit.log", "audit.log.1", "daemon.log", "daemon.log.11"]);
  assert.equal(trimLogs(logs, 0), 100);
  assert.deepEqual(left(), ["audit.log", "audit.log.1", "daemon.log"]);
  assert.equal(readdirSync(folder.path).length, 3 + strangers.length);
});

test("S4: a folder that cannot be read has no bytes and loses none", () => {
  const logs = [{ path: "/does/not/exist/daemon.log", isSpare: true }];
  assert.deepEqual([logBytes(logs), trimLogs(logs, 0)], [0, 0]);
});
