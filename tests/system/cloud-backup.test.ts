/**
 * Goal: after the loss of hl-cloud's machine a backup brings the fleet back (C1, C2, C4): the VM reconnects by itself, what was queued runs
 * once, and nothing has to be enrolled again.
 * Method: the real programs; the home that was served is never touched again, and another one takes its address.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Operator } from "@hl/testkit/operator.ts";
import { runProgram, startCloud, temporaryFolder } from "@hl/testkit/programs.ts";
import { startSystem, testInstanceId } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

const events = 20;

test("S1, C1: what was acknowledged after the backup comes again before anything new hides it, and a command that is asked for again has run once", async () => {
  // The command channel is back long after the events are: these are not to wait for it.
  const connection = { retry_delay: 0.1, max_retry_delay: 30, reconnect_spread: 30 };
  await using system = await startSystem({
    config: { cloud_api: { connection }, process_management: { allowed_commands: ["sh"] } },
  });
  const { cloud, daemon, operator } = system;
  using client = await daemon.connect();
  const emit = (id: string): Promise<unknown> =>
    client.call("event/stream", { event_id: id, event_type: "test.note", timestamp: 1, data: {} });
  const emitAll = async (name: string): Promise<void> => {
    for (let number = 0; number < events; number += 1) await emit(`${name}-${number}`);
    await operator.event(({ event_id }) => event_id === `${name}-${events - 1}`);
  };
  await emitAll("before");
  const file = await cloud.backup();
  await emitAll("behind");
  const mark = join(daemon.workspace, "ran");
  const params = { command_id: "behind", command: "sh", args: ["-c", `echo once >> ${mark}; echo done`] };
  const first = await operator.call("command/execute", params);
  await cloud.restore(file);
  await emit("fresh");
  await operator.event(({ event_id }) => event_id === "fresh");
  const ids = (await operator.events()).map(({ event_id }) => event_id as string);
  for (const name of ["before", "behind"])
    for (let number = 0; number < events; number += 1)
      assert.equal(ids.filter((id) => id === `${name}-${number}`).length, 1, `${name}-${number}`);
  // The cloud does not know of it any more; who asked still does.
  await daemon.restart();
  await operator.online();
  const second = await operator.call("command/execute", params);
  assert.deepEqual([second.status, second.stdout], [first.status, first.stdout]);
  assert.equal(readFileSync(mark, "utf8"), "once\n");
});

test("C1, C2: a VM comes back to a hl-cloud that was restored from a backup, and runs once what was queued in it", async () => {
  await using system = await startSystem({ config: { process_management: { allowed_commands: ["sh"] } } });
  const { cloud, daemon, operator } = system;
  using folder = temporaryFolder("hl-restored");
  const [file, home] = [join(folder.path, "backup.db"), join(folder.path, "home")];
  await daemon.kill();
  await until("the VM to be away", async () => (await operator.instance())?.online === false);
  const mark = join(daemon.workspace, "ran");
  const params = { command_id: "queued", command: "sh", args: ["-c", `echo once >> ${mark}`] };
  const queued = await operator.post({ jsonrpc: "2.0", id: 1, method: "command/execute", params }, 0);
  assert.equal(queued.error.data.queued, true);

  const made = await runProgram("hl-cloud", ["backup", "--home", cloud.home, "--to", file]);
  assert.equal(made.code, 0, made.stderr);
  await cloud.stop("SIGKILL");
  const restored = await runProgram("hl-cloud", ["restore", "--home", home, "--from", file]);
  assert.equal(restored.code, 0, restored.stderr);
  await using _program = await startCloud(home, { listen: new URL(cloud.url).host });
  const again = new Operator(cloud.url, cloud.operatorToken, testInstanceId);
  assert.equal((await again.instance()).credentials, "valid");
  await daemon.restart();
  await again.online();
  const answered = await until("the queued command to have run", async () => {
    const request = await again.request(queued.error.data.rpc_id);
    return request.state === "answered" ? request : undefined;
  });
  assert.equal(answered.answer.result.status, "completed");
  assert.equal(existsSync(mark) && readFileSync(mark, "utf8"), "once\n");
});
