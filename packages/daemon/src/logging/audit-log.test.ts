/**
 * Goal: what `logging.audit` says of size, number, packing, time and age of the audit log holds.
 * Method: the real files; only time is set.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { until } from "@hl/testkit/waiting.ts";
import { Redactor } from "../redaction/redactor.ts";
import { Secrets } from "../redaction/secrets.ts";
import { openAuditLog, type AuditLog, type AuditLogSettings } from "./audit-log.ts";

interface World extends Disposable {
  readonly folder: string;
  readonly clock: ManualClock;
  readonly log: AuditLog;
  readonly names: () => string[];
}

function world(settings: Partial<AuditLogSettings>): World {
  const temporary = temporaryFolder("hl-audit-log");
  const folder = temporary.path;
  const clock = new ManualClock();
  const file = join(folder, "audit.log");
  const defaults = { enabled: true, file, max_size: 1_000_000, backup_count: 5, compression: false } as const;
  const log = openAuditLog(
    { ...defaults, frequency: "weekly", retention_days: 7, ...settings },
    { clock, redactor: new Redactor(new Secrets(clock)) },
  );
  assert.ok(log !== undefined);
  const names = (): string[] => readdirSync(folder).sort();
  const disposing = {
    [Symbol.dispose]: () => {
      log[Symbol.dispose]();
      temporary[Symbol.dispose]();
    },
  };
  return { folder, clock, log, names, ...disposing };
}

test("max_size, backup_count and compression: rotated, packed, and so many kept", async () => {
  using packed = world({ max_size: 4_096, backup_count: 2, compression: true });
  for (let at = 0; at < 100; at += 1) packed.log.append({ at, filling: "x".repeat(200) });
  const wanted = (): boolean => packed.names().filter((name) => /\.\d+\.gz$/.test(name)).length === 2;
  await until("two packed files and the present one", () => wanted() && packed.names().length === 3);
  using plain = world({ max_size: 4_096 });
  for (let at = 0; at < 30; at += 1) plain.log.append({ at, filling: "x".repeat(200) });
  await until("a file that is not packed", () => existsSync(join(plain.folder, "audit.log.1")));
});

test("frequency and retention_days: a new file in time, and the old ones go", async () => {
  for (const [frequency, count] of [
    ["hourly", 2],
    ["daily", 1],
  ] as const) {
    using w = world({ frequency });
    const holds = (text: string): boolean =>
      existsSync(join(w.folder, "audit.log")) && readFileSync(join(w.folder, "audit.log"), "utf8").includes(text);
    w.log.append({ text: "one" });
    await until("the first", () => holds("one"));
    await w.clock.advance(3_600_000);
    w.log.append({ text: "two" });
    await until("the second", () => holds("two"));
    assert.equal(w.names().length, count, frequency);
  }
  const dayMs = 86_400_000;
  for (const [retention_days, stays] of [
    [2, false],
    [30, true],
  ] as const) {
    using w = world({ frequency: "hourly", retention_days });
    const old = join(w.folder, "audit.log.1");
    writeFileSync(old, "of before\n");
    utimesSync(old, 0, 0);
    await w.clock.advance(10 * dayMs);
    w.log.append({ text: "one" });
    await until("the line", () => existsSync(join(w.folder, "audit.log")));
    assert.equal(existsSync(old), stays, `${retention_days} days`);
  }
});
