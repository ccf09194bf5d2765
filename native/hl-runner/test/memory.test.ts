/** Goal: where no control group bounds it, memory_bytes_max holds by watching: the whole tree goes, says oom, and keeps its output; who is below it is
 * left alone. Method: python programs that allocate, with a resident that has no control group. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { frame, TYPE } from "./frames.ts";
import { readLog } from "./read-log.ts";
import { isAlive, newId, Runner } from "./runner.ts";
import { join } from "node:path";

let runner: Runner;
before(async () => {
  runner = await Runner.start(["--cgroup", "off"]);
});
after(async () => {
  await runner[Symbol.asyncDispose]();
});

const python = (script: string): string[] => ["/usr/bin/env", "python3", "-c", script];
const MB = 1 << 20;
/* Ends by itself far above every limit used here, so that a failure harms nobody. */
const hog = "x=[]\nfor i in range(600):\n  x.append(bytearray(b'x')*(1<<20))\n  time.sleep(0.002)";

test("P6: a program over its limit ends with reason oom and its output; another goes on", async () => {
  const other = runner.start({ argv: ["/bin/cat"], numbers: { stdin: 1, memory_bytes_max: 64 * MB } });
  await other.frame(TYPE.started);
  const { end, stdout } = await runner.run({
    argv: python(`import time\nprint("partial",flush=True)\n${hog}\nprint("never")`),
    numbers: { memory_bytes_max: 64 * MB },
  });
  assert.equal(end["reason"], "oom");
  assert.equal(end["signal"], 9);
  assert.equal(stdout.toString(), "partial\n");
  assert.equal(end["usage_source"], "watch");
  assert.equal(end["oom_kills"], 1);
  assert.ok(Number(end["memory_peak_kb"]) > 64 * 1024, JSON.stringify(end));
  other.send(frame(TYPE.inputEof));
  assert.equal((await other.frame(TYPE.end))["exit_code"], 0);
  other.send(frame(TYPE.release));
  await other.untilClosed();
});

test("P1: the limit is the whole tree's: of many small ones too, and of what has daemonised itself", async () => {
  const id = newId();
  const small = "import os,time\nprint(os.getpid(),flush=True)\nx=bytearray(b'x')*(30<<20)\ntime.sleep(1000)";
  const connection = runner.start({
    id,
    argv: ["/bin/sh", "-c", `for i in 1 2 3 4; do (setsid python3 -c "$0" &) ; done; sleep 1000`, small],
    numbers: { memory_bytes_max: 80 * MB },
  });
  const end = await connection.frame(TYPE.end);
  assert.equal(end["reason"], "oom");
  await connection.frame(TYPE.empty);
  const pids = readLog(join(runner.state, id), "growing").bytes(1).toString().split("\n").slice(0, -1).map(Number);
  assert.ok(pids.length >= 2);
  assert.deepEqual(pids.filter(isAlive), []);
  connection.send(frame(TYPE.release));
  await connection.untilClosed();
});

test("the limit holds for what outlives the main process; its end is not rewritten", async () => {
  const connection = runner.start({
    argv: ["/bin/sh", "-c", `setsid python3 -c "$0" >/dev/null 2>&1 & exit 3`, `import time\n${hog}\ntime.sleep(1000)`],
    numbers: { memory_bytes_max: 64 * MB },
  });
  const end = await connection.frame(TYPE.end);
  assert.equal(end["reason"], "exited");
  assert.equal(end["exit_code"], 3);
  await connection.frame(TYPE.empty);
  connection.send(frame(TYPE.release));
  await connection.untilClosed();
});

test("P2: pages that processes share since a fork count once", async () => {
  /* 60 MB shared by five: the plain sum is 300 MB. The children work long enough to be looked at many times. */
  const script =
    "import os,time\nx=bytearray(b'x')*(60<<20)\nfor i in range(4):\n  if os.fork()==0:\n    t=time.monotonic()+0.5\n    while time.monotonic()<t: pass\n    os._exit(0)\nfor i in range(4): os.wait()\nprint('whole')";
  const { end, stdout } = await runner.run({ argv: python(script), numbers: { memory_bytes_max: 150 * MB } });
  assert.equal(end["reason"], "exited", JSON.stringify(end));
  assert.equal(stdout.toString(), "whole\n");
  assert.ok(Number(end["memory_peak_kb"]) < 150 * 1024);
});

test("P2: what was never looked at has no peak of its tree, and says how it was measured", async () => {
  /* The first look comes after a tenth of a second, in which a slow machine may not have got through. */
  for (let attempt = 1; ; attempt += 1) {
    const { end } = await runner.run({ argv: ["/bin/true"], numbers: { memory_bytes_max: 64 * MB } });
    assert.ok(Number(end["max_rss_kb"]) > 0);
    assert.equal(end["usage_source"], end["memory_peak_kb"] === undefined ? "wait4" : "watch");
    assert.equal(end["oom_kills"], undefined);
    if (end["usage_source"] === "wait4") return;
    assert.ok(attempt < 10, "each of ten was looked at");
  }
});
