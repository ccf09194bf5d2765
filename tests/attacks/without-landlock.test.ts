/** Goal: X2: where the kernel cannot enforce the sandbox nothing runs in its name, and everybody is told. Method: a daemon whose kernel denies having Landlock. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CallFailed } from "@hl/testkit/message-client.ts";
import { TestDaemon } from "@hl/testkit/system.ts";

const python = "/usr/bin/python3";
const skip = existsSync(python) ? false : `there is no ${python}`;

test(
  "X2: without Landlock sandboxed commands and agents are refused with 1109, and health says degraded and why",
  { skip },
  async () => {
    const through = [python, join(import.meta.dirname, "without-landlock.py")];
    await using daemon = await TestDaemon.start({
      through,
      config: { claude_integration: { binary_path: "/bin/cat" } },
    });
    using client = await daemon.connect();
    for (const [method, params] of [
      ["command/execute", { command_id: "one", command: "echo", args: ["ran"] }],
      ["claude/start", { workspace_path: daemon.workspace }],
    ] as const) {
      await assert.rejects(client.call(method, params), (error) => {
        assert.ok(error instanceof CallFailed);
        assert.equal(error.error.code, 1109, error.message);
        assert.match(error.message, /Landlock/i);
        return true;
      });
    }
    assert.deepEqual((await client.call("command/list")).commands, []);
    const health = await client.call("system/health", { detailed: true });
    assert.equal(health.status, "degraded");
    assert.match(JSON.stringify(health), /Landlock/i);
    const info = await client.call("system/info");
    assert.equal(info.sandbox?.landlock_abi ?? info.landlock_abi ?? 0, 0, JSON.stringify(info));
  },
);
