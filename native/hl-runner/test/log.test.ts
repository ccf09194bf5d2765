/** Goal: the log is bounded, keeps its head, and shows its gaps (P5, P7); a full disk stops nobody (S4). Method: small bounds, large output; a tiny file system as the full disk. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { readLog } from "./read-log.ts";
import { Runner } from "./runner.ts";

let runner: Runner;
before(async () => {
  runner = await Runner.start();
});
after(async () => {
  await runner[Symbol.asyncDispose]();
});

test("P5: the log stays below its bound, keeps the head, and the reader sees the gap", async () => {
  const script = 'i=0; while [ $i -lt 20000 ]; do echo "line $i of the output"; i=$((i+1)); done';
  const { end, id } = await runner.run({
    argv: ["/bin/sh", "-c", script],
    numbers: { log_bytes_max: 128 * 1024, segment_bytes: 16 * 1024 },
  });
  const log = readLog(join(runner.state, id));
  assert.ok(log.fileBytes <= 128 * 1024, `${String(log.fileBytes)} bytes`);
  assert.equal(log.segments[0], "log.000000");
  assert.ok(!log.segments.includes("log.000001"));
  assert.equal(log.records[0]?.offset, 0);
  assert.match(log.records[0]?.payload.toString() ?? "", /^line 0 of/);
  const last = log.records.at(-1);
  assert.equal((last?.offset ?? 0) + (last?.payload.length ?? 0), end["stdout_bytes"]);
  assert.match(log.bytes(1).toString(), /line 19999 of the output\n$/);
  let gap = 0;
  let next = 0;
  for (const record of log.records) {
    gap += record.offset - next;
    next = record.offset + record.payload.length;
  }
  assert.ok(gap > 0);
  assert.equal(gap, end["dropped_bytes"]);
});

test("P7: absurd bounds are brought into reason", async () => {
  for (const numbers of [
    { log_bytes_max: 0, segment_bytes: 0 },
    { log_bytes_max: 1, segment_bytes: Number.MAX_SAFE_INTEGER },
    { log_bytes_max: 2 ** 52, segment_bytes: 1 },
  ]) {
    const { end, id } = await runner.run({ argv: ["/usr/bin/head", "-c", "100000", "/dev/zero"], numbers });
    const log = readLog(join(runner.state, id));
    assert.equal(end["stdout_bytes"], 100000);
    assert.equal(log.bytes(1).length + Number(end["dropped_bytes"]), 100000);
    if (numbers.log_bytes_max < 2) assert.ok(log.fileBytes <= 16 * 1024);
  }
});

test(
  "S4: a full disk neither kills nor blocks the program, and the drop is counted",
  { skip: process.getuid?.() !== 0 },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "hl-full-"));
    mkdirSync(join(folder, "state"));
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", join(folder, "state")]);
    const own = await Runner.start([], folder);
    try {
      const { end, id } = await own.run({ argv: ["/bin/sh", "-c", "head -c 1000000 /dev/zero; exit 5"] });
      assert.equal(end["exit_code"], 5);
      assert.equal(end["stdout_bytes"], 1_000_000);
      const log = readLog(join(own.state, id));
      assert.ok(Number(end["dropped_bytes"]) > 0);
      assert.equal(log.bytes(1).length + Number(end["dropped_bytes"]), 1_000_000);
    } finally {
      own.process.kill("SIGTERM");
      await new Promise((resolve) => own.process.once("exit", resolve));
      execFileSync("umount", ["-l", join(folder, "state")]);
      rmSync(folder, { recursive: true, force: true });
    }
  },
);

test("S4: a state folder that was taken away costs the log, not the program", async () => {
  const marker = join(runner.folder, "go");
  const id = "taken-away";
  const connection = runner.start({
    id,
    argv: ["/bin/sh", "-c", `read go; echo text; : > ${marker}; exit 6`],
    numbers: { stdin: 1 },
  });
  const { frame, TYPE } = await import("./frames.ts");
  await connection.frame(TYPE.started);
  rmSync(join(runner.state, id), { recursive: true });
  writeFileSync(marker, "");
  connection.send(frame(TYPE.input, [["data", "go\n"]]));
  const end = await connection.frame(TYPE.end);
  assert.equal(end["exit_code"], 6);
  assert.equal(end["dropped_bytes"], 5);
  await connection.frame(TYPE.empty);
  connection.send(frame(TYPE.release));
  await connection.untilClosed();
});
