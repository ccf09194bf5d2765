/**
 * Goal: S1: no acceptance leaves before the sync that covers it. Method: the daemon under strace; of every answer that says `accepted`
 * it is looked up where its event was written to the log of the database, and that a sync of this file lies between the two.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

interface SystemCall {
  readonly name: string;
  readonly text: string;
  /** Line at which it began, and at which it returned. */
  readonly began: number;
  readonly ended: number;
}

/** Calls of all threads in the order in which they began; one that another thread's line cuts in two is put together again. */
function callsIn(trace: string): SystemCall[] {
  const calls: SystemCall[] = [];
  const open = new Map<string, { name: string; text: string; began: number }>();
  for (const [at, line] of trace.split("\n").entries()) {
    const [, thread, rest] = /^(\d+)\s+(.*)$/.exec(line) ?? [];
    if (thread === undefined || rest === undefined) continue;
    const [, name = ""] = /^(?:<\.\.\. )?(\w+)/.exec(rest) ?? [];
    const begun = open.get(thread);
    if (rest.startsWith("<...") && begun !== undefined) {
      open.delete(thread);
      calls.push({ ...begun, text: begun.text + rest, ended: at });
    } else if (rest.endsWith("<unfinished ...>")) open.set(thread, { name, text: rest, began: at });
    else if (rest.includes("(")) calls.push({ name, text: rest, began: at, ended: at });
  }
  return calls.sort((a, b) => a.began - b.began);
}

test("S1: between an event in the log of the database and its `accepted` lies a sync of that log", async (t) => {
  const tried = spawnSync("strace", ["-f", "-e", "trace=none", "true"], { encoding: "utf8" });
  if (tried.status !== 0) {
    t.skip(`strace is missing or not permitted: ${tried.stderr || String(tried.error)}`);
    return;
  }
  using folder = temporaryFolder("hl-trace");
  const file = join(folder.path, "trace");
  const traced = "trace=write,writev,pwrite64,sendto,sendmsg,fsync,fdatasync";
  // -D: the daemon keeps its own place as our child, so that a stop reaches it.
  const through = ["strace", "-D", "-f", "-y", "-q", "-s", "2000000", "-e", traced, "-e", "signal=none", "-o", file];
  const ids: string[] = [];
  let pid: number;
  {
    await using daemon = await TestDaemon.start({ through });
    pid = daemon.program.ready.pid;
    const clients = await Promise.all(Array.from({ length: 4 }, () => daemon.connect()));
    for (let round = 0; round < 25; round += 1) {
      await Promise.all(
        clients.map(async (client, at) => {
          const event_id = `traced-${round}-${at}-end`;
          const params = { event_id, event_type: "test.note", timestamp: Date.now() / 1000, data: {} };
          assert.equal((await client.call("event/stream", params)).status, "accepted");
          ids.push(event_id);
        }),
      );
    }
    for (const client of clients) client[Symbol.dispose]();
  }
  // Under a heavy load the daemon may be killed in its stop: the trace of what was answered is whole then too.
  const ended = new RegExp(String.raw`^${pid}\s+\+\+\+ (exited|killed)`, "m");
  const whole = await until("the trace to be whole", () => {
    const text = readFileSync(file, "utf8");
    return ended.test(text) ? text : undefined;
  });
  const calls = callsIn(whole);
  const isLog = ({ text }: SystemCall): boolean => /^\w+\(\d+<[^>]*daemon\.db-wal>/.test(text);
  const syncs = calls.filter((call) => (call.name === "fdatasync" || call.name === "fsync") && isLog(call));
  const writes = calls.filter((call) => call.name === "pwrite64" && isLog(call));
  const answers = calls.filter(({ name, text }) => name !== "pwrite64" && text.includes("accepted"));
  const covering = new Set<SystemCall>();
  for (const id of ids) {
    const written = writes.find(({ text }) => text.includes(id));
    const answered = answers.find(({ text }) => text.includes(id));
    assert.ok(written !== undefined && answered !== undefined, `${id} was not found in the trace`);
    const covers = syncs.find(({ began, ended }) => began > written.ended && ended < answered.began);
    assert.ok(
      covers !== undefined,
      `${id} was answered at line ${answered.began}, written at ${written.ended}, with no sync between`,
    );
    covering.add(covers);
  }
  assert.ok(covering.size < ids.length, "no group shared a sync: the test did not see what it is about");
});
