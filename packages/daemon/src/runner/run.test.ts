/**
 * Goal: P2, P3, P5: a broken connection ends nothing, the end is what the shim recorded or said to be unknown, and what is in the log
 * can be read from anywhere. Method: the real hl-runner; a connection is broken by another one that takes its place.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { appears } from "../commands/commands.fixture.test.ts";
import { followRun } from "./follow.ts";
import { shimPidOf, textOf, world } from "./runner.fixture.test.ts";

describe("run", () => {
  test("P3: when its connection is taken it attaches again, and sees output, end and the emptied tree", async () => {
    await using w = await world();
    const run = await w.start("a", "echo before; read line; echo after $line; exit 4");
    await appears(join(run.directory, "identity"));
    const thief = connect(join(run.directory, "attach.sock")); // A new connection replaces the old one; then it leaves.
    const [greeting] = (await once(thief, "data")) as [Buffer];
    assert.equal(greeting[4], 65); // STARTED
    thief.destroy();
    while (!(await run.input(Buffer.from("word\n")))) await new Promise(setImmediate); // Until it has attached.
    const end = await run.ended;
    assert.deepEqual([end.reason, end.exitCode], ["exited", 4]);
    await run.empty;
    assert.equal(await textOf(run), "before\nafter word\n");
  });

  test("P2: when the shim is gone without a word the end is unknown, with the output that was announced", async () => {
    await using w = await world();
    const run = await w.start("b", "echo heard; read line");
    while (run.output.position === 0) await new Promise<void>((resolve) => run.onOutput(resolve));
    await appears(join(run.directory, "identity"));
    process.kill(shimPidOf(run), "SIGKILL");
    const end = await run.ended;
    assert.deepEqual([end.reason, end.exitCode, end.signal, end.stdoutBytes], ["unknown", undefined, undefined, 6]);
    await run.empty;
    assert.equal(await textOf(run), "heard\n");
    const again = (await w.runner.find("b"))!; // As a later daemon finds it: nobody saw it end, and what it wrote is there.
    assert.deepEqual([again.end?.reason, again.output.position, again.isEmpty], ["unknown", 6, true]);
    assert.equal(await textOf(again), "heard\n");
    assert.equal(await w.runner.find("never"), undefined);
    assert.equal(await run.input(Buffer.from("x")), 0);
  });

  test("P1: the folder of a run may be removed as soon as its shim has left, and not before", async () => {
    await using w = await world();
    const run = await w.start("kept", "echo kept; sleep 0.1");
    await run.empty;
    const shim = shimPidOf(run);
    process.kill(shim, "SIGSTOP");
    run.release();
    await assert.rejects(w.runner.remove("kept"), { stage: "alive" });
    process.kill(shim, "SIGCONT");
    await run.left;
    await w.runner.remove("kept");
    assert.deepEqual(await w.runner.list(), []);
    run.detach();
    await run.left;
  });

  test("P5, P7: of more output than the log keeps a reader gets the head, one gap with its size, and the tail", async () => {
    await using w = await world();
    const lines = 60_000;
    const run = await w.start("c", `i=0; while [ $i -lt ${lines} ]; do echo $((100000 + i)); i=$((i + 1)); done`, {
      logBytesMax: 65_536,
    });
    await run.ended;
    await run.empty;
    let gap = 0;
    let text = "";
    for await (const { chunks, gapBytes, expectedAt } of followRun(run, 0, new AbortController().signal)) {
      if (gapBytes > 0) assert.equal(expectedAt, text.length, "there is one gap, behind the head");
      gap += gapBytes;
      for (const { data, position, offset } of chunks) {
        assert.equal(position, text.length + gap);
        assert.equal(offset, position); // All on one stream.
        text += data.toString("latin1");
      }
    }
    assert.equal(text.length + gap, lines * 7);
    assert.ok(gap > 0 && text.length < 65_536);
    assert.match(text, /^100000\n100001\n/);
    assert.match(text, new RegExp(`${100_000 + lines - 1}\n$`));
  });

  test("P6: both streams, any bytes, from any offset of either", async () => {
    await using w = await world();
    const run = await w.start("d", "printf 'a\\000\\377'; printf 'E1' >&2; printf 'b'; printf 'E2' >&2");
    await run.ended;
    const read = async (axis: "stdout" | "stderr", from: number): Promise<string> => {
      await using cursor = run.cursor(from, axis);
      let text = "";
      for (
        let got = await cursor.read(run.output.position);
        got.chunks.length > 0;
        got = await cursor.read(run.output.position)
      ) {
        for (const { data } of got.chunks) text += data.toString("latin1");
      }
      return text;
    };
    for (let from = 0; from <= 4; from += 1) {
      assert.equal(await read("stdout", from), "a\0\xffb".slice(from));
      assert.equal(await read("stderr", from), "E1E2".slice(from));
    }
  });

  test("P3: input goes on where an earlier daemon left off, and closed input is said", async () => {
    await using w = await world();
    const run = await w.start("e", "read one; read two; echo $one $two; exec 0<&-; echo closed; sleep 60");
    assert.equal(await run.input(Buffer.from("first\n")), 6);
    await appears(join(run.directory, "identity"));
    w.leave(run);
    const again = (await w.runner.find("e"))!;
    assert.equal(await again.input(Buffer.from("second\n")), 7);
    while (!again.output.stdoutBytes || again.output.stdoutBytes < 20)
      await new Promise<void>((resolve) => again.onOutput(resolve));
    assert.equal(await again.input(Buffer.from("third\n")), 0);
    again.stop("cancelled", 0);
    assert.equal((await again.ended).reason, "cancelled");
    await again.empty;
    assert.equal(await textOf(again), "first second\nclosed\n");
    w.leave(again);
  });
});
