/**
 * Goal: what users report of other daemons about the ends of commands does not happen here (docs/lessons.md). Method: scripts that get
 * out of the way of a kill in every way a shell knows, and a look at /proc for what is left of them.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { CallFailed } from "@hl/testkit/message-client.ts";
import { type Message, type MessageClient } from "@hl/testkit/message-client.ts";
import { descendantsOf, isRunning, parentOf } from "@hl/testkit/processes.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until, within } from "@hl/testkit/waiting.ts";
import { Sleepers } from "./sleepers.ts";

const process_management = {
  allowed_commands: ["sh", "sleep", "true", "echo"],
  stop_grace_seconds: 1,
  resource_limits: { max_execution_time: 100 },
};

/** Seven sleepers: plain, in a session of their own, double-forked, daemonised, deaf to SIGTERM, below a shell that waits, the main process. */
function escapes({ seconds }: Sleepers, main = `exec sleep ${seconds}`): string {
  return [
    `sleep ${seconds} &`,
    `setsid sleep ${seconds} &`,
    `(sleep ${seconds} &)`,
    `(setsid sh -c 'sleep ${seconds} & exit' &)`,
    `sh -c 'trap "" TERM HUP INT; exec sleep ${seconds}' &`,
    `setsid sh -c 'sleep ${seconds} & wait' &`,
    `echo partial output`,
    main,
  ].join("\n");
}

describe("lessons: ends of commands", () => {
  let daemon: TestDaemon;
  let client: MessageClient;

  const run = (command_id: string, script: string, more: object = {}): Promise<Message> =>
    client.call("command/execute", { command_id, command: "sh", args: ["-c", script], ...more });
  const start = (command_id: string, script: string, more: object = {}): Promise<Message> =>
    run(command_id, script, { stream_output: true, ...more });
  const exited = async (id: string): Promise<Message> =>
    (await client.next(({ method, params }) => method === "command/exited" && params.command_id === id)).params;

  before(async () => {
    daemon = await TestDaemon.start({ config: { process_management } });
    client = await daemon.connect();
    client.listener = ({ method }: Message) => method === "command/output";
  });

  after(async () => {
    client[Symbol.dispose]();
    await daemon[Symbol.asyncDispose]();
  });

  test("lesson 1: P1: when cancel answers, nothing is left, whatever the tree did to get away", async () => {
    const sleepers = new Sleepers();
    await start("escapes", escapes(sleepers));
    await sleepers.areThere(7);
    process.kill(sleepers.alive()[0]!, "SIGSTOP"); // A stopped process takes no SIGTERM.
    const answer = await client.call("command/cancel", { command_id: "escapes" });
    assert.deepEqual(sleepers.all(), []);
    assert.deepEqual([answer.status, answer.reason, answer.stdout], ["failed", "cancelled", "partial output\n"]);
  });

  test("lesson 1: P1: cancel also ends what outlived its command", async () => {
    const sleepers = new Sleepers();
    await start("outlived", escapes(sleepers, "exit 0"));
    assert.equal((await exited("outlived")).reason, "exited");
    await sleepers.areThere(6);
    const answer = await client.call("command/cancel", { command_id: "outlived" });
    assert.deepEqual(sleepers.all(), []);
    assert.deepEqual([answer.status, answer.exit_code], ["completed", 0], "the end that was told stays the end");
  });

  test("lesson 3: P4: a background child that holds the pipe delays the answer by a moment, and cancel ends it", async () => {
    const sleepers = new Sleepers();
    const { seconds } = sleepers;
    const script = `sleep ${seconds} & setsid sleep ${seconds} & (setsid sh -c "sleep ${seconds} &") ; echo started`;
    const answer = await run("background", script);
    assert.deepEqual([answer.stdout, answer.exit_code, answer.pipes_still_open], ["started\n", 0, true]);
    assert.ok(answer.execution_time < 5_000, `${answer.execution_time} ms`);
    await sleepers.areThere(3);
    await client.call("command/cancel", { command_id: "background" });
    assert.deepEqual(sleepers.all(), []);
  });

  test("lesson 3: P4: what is written after the end is not lost: it is in the log", async () => {
    const script = "(while [ ! -e late ]; do sleep 0.02; done; echo late) & echo early";
    assert.equal((await run("late", script)).stdout, "early\n");
    await run("touch", ": > late");
    const all = await until("the late line", async () => {
      const { chunks } = await client.call("command/logs", { command_id: "late" });
      const text = chunks.map(({ data }: Message) => data as string).join("");
      return text === "early\n" ? undefined : text;
    });
    assert.equal(all, "early\nlate\n");
  });

  test("lesson 4: three limits, each with its own name: execution, silence, and the most that may be asked for", async () => {
    const sleepers = new Sleepers();
    const { seconds } = sleepers;
    await start("limit", `sleep ${seconds}`, { timeout: 0.3 });
    await start("silent", `echo one; sleep ${seconds}`, { idle_timeout: 0.3 });
    await start("free", `sleep ${seconds}`);
    assert.deepEqual([(await exited("limit")).reason, (await exited("silent")).reason], ["timeout", "idle_timeout"]);
    await assert.rejects(start("long", `sleep ${seconds}`, { timeout: 101 }), (error: CallFailed) => {
      assert.equal(error.error.code, -32602);
      assert.match(error.message, /101 s is over max_execution_time \(100 s\)/);
      return true;
    });
    // It talks for longer than its idle limit, and is left alone.
    const talk = "i=0; while [ $i -lt 60 ]; do echo $i; sleep 0.1; i=$((i+1)); done";
    const talking = await run("talking", talk, { idle_timeout: 5 });
    assert.deepEqual([talking.status, talking.execution_time > 5_000], ["completed", true]);
    assert.equal((await client.call("command/status", { command_id: "free" })).status, "started");
    await client.call("command/cancel", { command_id: "free" });
    await sleepers.areGone();
  });

  test("lesson 4: a client that stops waiting does not end its command", async () => {
    const waiting = await daemon.connect();
    const args = ["-c", ": > begun; while [ ! -e left ]; do sleep 0.02; done; echo to the end"];
    const answer = waiting.call("command/execute", { command_id: "left", command: "sh", args });
    await until("the command to run", () => existsSync(join(daemon.workspace, "begun")));
    waiting[Symbol.dispose]();
    await assert.rejects(answer);
    await run("leave", ": > left");
    const seen = await until("its end", async () => {
      const status = await client.call("command/status", { command_id: "left" });
      return status.status === "started" ? undefined : status;
    });
    assert.deepEqual([seen.status, seen.stdout], ["completed", "to the end\n"]);
  });

  test("lesson 5, lesson 6: P1, P2: a timeout ends the tree, answers with what there was, and leaves a usable daemon", async () => {
    const sleepers = new Sleepers();
    const limit = { timeout: 3 }; // Until then the shell has begun six of them and said its words.
    const answer = await run("timeout", escapes(sleepers), limit);
    assert.deepEqual([answer.status, answer.reason, answer.stdout], ["timeout", "timeout", "partial output\n"]);
    assert.equal(answer.exit_code, undefined);
    assert.ok(answer.execution_time >= 3_000 && answer.execution_time < 12_500, `${answer.execution_time} ms`);
    await sleepers.areGone();
    assert.equal((await run("usable", "echo usable")).stdout, "usable\n");
    // The same id answers with the same end, again with its output.
    const again = await run("timeout", escapes(sleepers), limit);
    assert.deepEqual([again.reason, again.stdout, sleepers.all()], ["timeout", "partial output\n", []]);
  });

  test("lesson 9: P1: no zombie stays while hundreds of commands leave orphans behind", async () => {
    const rounds = 40;
    const atOnce = 6;
    // Orphans that end at once, on several levels, and are nobody's children when they do.
    const script = "(true &) ; (setsid sh -c 'sleep 0 & true' &) ; sh -c '(sh -c true &) ; sleep 0 & exit 3'";
    const zombies = (): string[] =>
      descendantsOf(daemon.pid)
        .filter(({ zombie }) => zombie)
        .map(({ pid, startTicks, name }) => `${pid} ${startTicks} ${name}`);
    for (let round = 0; round < rounds; round += 1) {
      const ids = Array.from({ length: atOnce }, (_, index) => `orphans-${round}-${index}`);
      const answers = await Promise.all(ids.map((id) => run(id, script)));
      assert.deepEqual(new Set(answers.map(({ exit_code }) => exit_code)), new Set([3]));
      // Whoever has ended is a zombie until its parent is scheduled: then it must be gone, also while the next ones run.
      const seen = new Set(zombies());
      await until("the zombies to be waited for", () => zombies().every((one) => !seen.has(one)), 5_000);
    }
    await until("no zombie", () => zombies().length === 0, 5_000);
  });

  test("lesson 10: a background command has a pid and a handle: list, status, signal and cancel reach it", async () => {
    const sleepers = new Sleepers();
    const script = `trap 'echo got USR1' USR1; echo $$; while :; do sleep ${sleepers.seconds} & wait; done`;
    const { process_id: pid } = await start("handle", script);
    await sleepers.areThere(1);
    const listed = (await client.call("command/list")).commands.find(
      ({ command_id }: Message) => command_id === "handle",
    );
    assert.deepEqual([listed.status, listed.process_id], ["started", pid]);
    const status = await client.call("command/status", { command_id: "handle" });
    assert.deepEqual([status.status, status.process_id], ["started", pid]);
    assert.deepEqual(await client.call("command/signal", { command_id: "handle", signal: "SIGUSR1" }), {
      delivered: true,
    });
    await sleepers.areThere(2);
    const ended = await client.call("command/cancel", { command_id: "handle" });
    assert.deepEqual([ended.process_id, ended.stdout], [pid, `${pid}\ngot USR1\n`]);
    assert.deepEqual([isRunning(pid), sleepers.all()], [false, []]);
    assert.deepEqual(await client.call("command/signal", { command_id: "handle", signal: "SIGUSR1" }), {
      delivered: false,
    });
  });

  test("lesson 12: P2: a signal is told as a signal, never as an exit code", async () => {
    const killed = await run("killed", "echo before; kill -9 $$");
    assert.deepEqual(
      [killed.status, killed.reason, killed.signal, killed.exit_code, killed.stdout],
      ["failed", "signalled", "SIGKILL", undefined, "before\n"],
    );
    const failed = await run("failed", "exit 255");
    assert.deepEqual([failed.status, failed.exit_code, failed.signal], ["failed", 255, undefined]);
  });

  test("lesson 12: P2: a command whose shim was killed ends as unknown, without an exit code, and nothing of it is left", async () => {
    const sleepers = new Sleepers();
    const { process_id: pid } = await start("shimless", escapes(sleepers));
    await sleepers.areThere(7);
    await until("its output to be in the log", async () => {
      const { stdout_bytes } = await client.call("command/status", { command_id: "shimless" });
      return stdout_bytes === "partial output\n".length;
    });
    process.kill(parentOf(pid), "SIGKILL");
    const end = await within("its end", exited("shimless"));
    assert.deepEqual([end.status, end.reason, end.exit_code], ["failed", "unknown", undefined]);
    assert.equal(end.stdout, "partial output\n");
    await sleepers.areGone();
    assert.equal((await client.call("command/status", { command_id: "shimless" })).reason, "unknown");
  });
});
