/**
 * Goal: S4: a quota that is used up is a full disk and not a failing one: it degrades, says so, and recovers. Method: the real daemon under
 * strace, which answers a stretch of the writes to its database's log and to its ballast with EDQUOT.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { calm } from "@hl/testkit/calm.ts";
import type { Message } from "@hl/testkit/message-client.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

test("S4: a used-up quota is told as disk_full, and events are taken again when it is lifted", async (t) => {
  const tried = spawnSync("strace", ["-f", "-e", "trace=none", "true"], { encoding: "utf8" });
  if (tried.status !== 0) {
    t.skip(`strace is missing or not permitted: ${tried.stderr || String(tried.error)}`);
    return;
  }
  using folder = temporaryFolder("hl-quota");
  const script = join(folder.path, "traced");
  // Counted in each thread; SQLite and the look whether there is room are in one.
  const inject = "-e trace=pwrite64 -e inject=pwrite64:error=EDQUOT:when=300..330 -e signal=none";
  const prepare = (home: string): Disposable => {
    const files = ["daemon.db-wal", "daemon.db.ballast"].map((name) => `-P ${join(home, "data/state", name)}`);
    writeFileSync(script, `exec strace -D -f -q -o ${join(folder.path, "trace")} ${files.join(" ")} ${inject} "$@"\n`);
    return { [Symbol.dispose]: () => {} };
  };
  // A round makes the ballast anew, and then the alert is over: it is to be there for longer than a busy machine keeps a test waiting.
  const config = { health_monitoring: { check_interval: 5, alerts: { ...calm, disk_threshold: 100 } } };
  await using daemon = await TestDaemon.start({ config, through: ["sh", script], prepare });
  using client = await daemon.connect();
  const alerts = async (): Promise<string[]> => {
    const { alerts: all } = await client.call("system/health", {});
    return (all as { code: string }[]).map(({ code }) => code);
  };
  const emit = (number: number): Promise<Message> =>
    client.call("event/stream", {
      event_id: `e${number}`,
      event_type: "test.note",
      timestamp: 1,
      data: "x".repeat(5_000),
    });
  let number = 0;
  const untilRefused = async (): Promise<void> => {
    for (; number < 1_000; number += 1) await emit(number);
  };
  await assert.rejects(untilRefused);
  assert.ok(number > 0 && number < 1_000, String(number));
  await until("health to say so", async () => (await alerts()).includes("disk_full"));
  const told = new Set<string>();
  await until("events to be taken again", async () => {
    for (const code of await alerts()) told.add(code);
    number += 1;
    return emit(number).then(
      () => true,
      () => false,
    );
  });
  await until("health to be well again", async () => !(await alerts()).includes("disk_full"));
  assert.ok(!told.has("disk_failing"), [...told].join());
});
