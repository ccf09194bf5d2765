/** Goal: the limits of a command hold, say so, and harm nobody else. Method: programs that take more than they may, seen from outside the daemon. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Message, MessageClient } from "@hl/testkit/message-client.ts";
import { TestDaemon } from "@hl/testkit/system.ts";

/* Ends by itself far above the limit, so that a failure harms nobody; by then it has been looked at. */
const hog = `
const kept = [];
process.stdout.write("partial\\n", () => {
  const more = () => { kept.push(Buffer.alloc(8 << 20, 1)); if (kept.length < 200) setTimeout(more, 5); else setTimeout(() => {}, 20_000); };
  more();
});`;

describe("limits of a command", () => {
  let daemon: TestDaemon;
  let client: MessageClient;

  const run = (command_id: string, args: readonly string[], more: object = {}): Promise<Message> =>
    client.call("command/execute", { command_id, command: "node", args, ...more });

  before(async () => {
    const resource_limits = { max_memory_mb: 256 };
    daemon = await TestDaemon.start({
      config: { process_management: { allowed_commands: ["node", "sh", "cat"], resource_limits } },
    });
    client = await daemon.connect();
  });

  after(async () => {
    client[Symbol.dispose]();
    await daemon[Symbol.asyncDispose]();
  });

  test("P2: who takes more memory than max_memory_mb ends with reason oom, its output and its usage; others go on", async () => {
    const other = client.call("command/execute", { command_id: "other", command: "sh", args: ["-c", "read go; echo fine"], stdin: true }); // prettier-ignore
    const ended = await run("hog", ["-e", hog]);
    assert.deepEqual([ended.status, ended.reason, ended.stdout], ["failed", "oom", "partial\n"]);
    assert.equal(ended.signal, "SIGKILL");
    assert.ok(["cgroup", "watch"].includes(ended.resource_usage.source), JSON.stringify(ended.resource_usage));
    assert.ok(ended.resource_usage.max_memory > 200, JSON.stringify(ended.resource_usage));
    assert.ok(ended.resource_usage.oom_kills >= 1);
    await client.call("command/input", { command_id: "other", data: "go\n" });
    assert.deepEqual(await other.then(({ status, stdout }) => [status, stdout]), ["completed", "fine\n"]);
  });

  test("P1: the limit is of the whole tree, whatever hides in it", async () => {
    const script = `const {spawn}=require("child_process");
      spawn(process.execPath, ["-e", ${JSON.stringify(hog)}], { detached: true, stdio: "ignore" }).unref();
      setInterval(() => {}, 1000);`;
    const ended = await run("hidden", ["-e", script]);
    assert.deepEqual([ended.status, ended.reason], ["failed", "oom"]);
  });

  test("X2: system/info says how each limit is kept", async () => {
    const { limits } = await client.call("system/info", {});
    assert.ok(["cgroup", "watch"].includes(limits.memory));
    for (const each of [limits.cpu, limits.processes]) assert.ok(["cgroup", "none"].includes(each));
  });
});
