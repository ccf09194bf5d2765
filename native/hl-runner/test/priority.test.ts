/** Goal: P5: a command that floods its output leaves the daemon its turns of the processor, and no other is held back. Method: the kernel's own word on
 * the scheduling groups of programs and their shims. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { frame, TYPE } from "./frames.ts";
import { eventually, Runner } from "./runner.ts";

const autogroup = (pid: unknown): string => readFileSync(`/proc/${String(pid)}/autogroup`, "utf8");
const skip = existsSync("/proc/self/autogroup") ? false : "this kernel has no autogroup";

test(
  "P5: a flood and its shim yield, each in a scheduling group of its own; a quiet command keeps its weight",
  { skip },
  async () => {
    await using runner = await Runner.start();
    // Empty where whoever started this test is in the kernel's root group.
    const ours = autogroup("self");
    const quiet = runner.start({
      argv: ["/bin/sh", "-c", "head -c 3000000 /dev/zero; read wait"],
      numbers: { stdin: 1 },
    });
    const flood = runner.start({ argv: ["/bin/sh", "-c", "exec yes"], numbers: { log_bytes_max: 1 << 20 } });
    const noisy = await flood.frame(TYPE.started);
    const calm = await quiet.frame(TYPE.started);
    for (const pid of [noisy["pid"], noisy["shim_pid"]]) {
      await eventually(() => autogroup(pid).includes("nice 10"), `yielding, instead of ${autogroup(pid)}`);
    }
    for (const pid of [calm["pid"], calm["shim_pid"]]) assert.match(autogroup(pid), /nice 0/);
    assert.equal(autogroup("self"), ours);
    for (const connection of [quiet, flood]) {
      connection.send(frame(TYPE.stop, [["grace_ms", 0]]));
      await connection.frame(TYPE.end);
      connection.send(frame(TYPE.release));
      await connection.untilClosed();
    }
  },
);

test("P5: a program that answers much, and only what it is asked, keeps its weight", { skip }, async () => {
  await using runner = await Runner.start();
  const answerBytes = 3_000_000;
  const asked = runner.start({
    argv: ["/bin/sh", "-c", `while read line; do head -c ${answerBytes} /dev/zero; done`],
    numbers: { stdin: 1, log_bytes_max: 1 << 20 },
  });
  const { pid, shim_pid } = await asked.frame(TYPE.started);
  for (let answers = 1; answers <= 12; answers += 1) {
    asked.send(frame(TYPE.input, [["data", "\n"]]));
    await asked.frame(TYPE.output, (fields) => Number(fields["stdout_bytes"]) >= answers * answerBytes);
  }
  for (const each of [pid, shim_pid]) assert.match(autogroup(each), /nice 0/);
  asked.send(frame(TYPE.inputEof));
  await asked.frame(TYPE.end);
  asked.send(frame(TYPE.release));
  await asked.untilClosed();
});
