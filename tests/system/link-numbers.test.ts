/**
 * Goal: hl-cloud sets numbers of the link in its VMs, within what they obey; bad ones are refused before anything starts.
 * Method: the real programs; what holds is read from the daemon's health and seen by what it does.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { http } from "@hl/testkit/http.ts";
import { runProgram, temporaryFolder } from "@hl/testkit/programs.ts";
import { TestCloud, TestDaemon, testInstanceId } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

const event = (id: string): object => ({ event_id: id, event_type: "test_mark", timestamp: 0, data: { id } });

describe("the numbers of the link", () => {
  test("what the operator of hl-cloud sets holds in the VM, and the rest is as the VM is configured", async () => {
    await using cloud = await TestCloud.start({
      args: ["--vm-setting", "reconnect_spread=30", "--vm-setting", "batch_size=7", "--heartbeat-seconds", "15"],
    });
    await using daemon = await TestDaemon.start({ env: await enrolled(cloud) });
    await cloud.operator(testInstanceId).online();
    const { settings } = (await (await daemon.connect()).call("system/health")).cloud;
    assert.deepEqual(settings, { reconnect_spread: 30, batch_size: 7 });
  });

  test("while somebody follows its events live a VM does not let them wait, and then it does as before", async () => {
    await using cloud = await TestCloud.start();
    await using daemon = await TestDaemon.start({
      env: await enrolled(cloud),
      config: { event_streaming: { flush_interval: 3600 } },
    });
    const operator = cloud.operator(testInstanceId);
    await operator.online();
    const local = await daemon.connect();
    const settings = async (): Promise<unknown> => (await local.call("system/health")).cloud.settings;
    assert.deepEqual(await settings(), {});
    // The first of them goes at once; what comes while it is under way would wait for an hour.
    const ids = Array.from({ length: 50 }, (_, index) => `11111111-1111-4111-8111-${String(index).padStart(12, "0")}`);
    await Promise.all(ids.map((id) => local.call("event/stream", event(id))));
    const missing = new Set(ids);
    await operator.event(({ event_id }) => missing.delete(event_id) && missing.size === 0);
    await until("the VM to be told that nobody looks on any more", async () => {
      return Object.keys((await settings()) as object).length === 0;
    });
    // Also one that comes while somebody looks on already, and after a new connection.
    const waiting = operator.event(({ event_id }) => event_id === "22222222-2222-4222-8222-222222222222");
    await until("the VM to be told", async () => Object.keys((await settings()) as object).length === 1);
    assert.deepEqual(await settings(), { flush_interval: 0.25 });
    await local.call("event/stream", event("22222222-2222-4222-8222-222222222222"));
    await waiting;
  });

  test("a limit of hl-cloud is a flag or a variable, and a bad one says what is possible", async () => {
    using home = temporaryFolder("hl-cloud");
    const serve = (args: readonly string[], env = {}) =>
      runProgram("hl-cloud", ["serve", "--home", home.path, "--listen", "127.0.0.1:0", ...args], { env });
    const cases = [
      [
        ["--connections-per-second-max", "many"],
        {},
        /--connections-per-second-max <n>' argument 'many' is invalid/,
        64,
      ],
      [["--vm-setting", "reconnect_spread=1"], {}, /reconnect_spread must be seconds, 5 to 600/, 64],
      [["--heartbeat-seconds-max", "20"], {}, /--heartbeat-seconds-max 20 is below --heartbeat-seconds 30/, 78],
      [[], { HL_CLOUD_DEAD_AFTER_SECONDS: "x" }, /from env 'HL_CLOUD_DEAD_AFTER_SECONDS'/, 64],
      [[], { HL_CLOUD_VM_SETTINGS: "batch_size=5,nonsense=1" }, /There is no setting nonsense/, 64],
    ] as const;
    for (const [args, env, said, code] of cases) {
      const refused = await serve(args, env);
      assert.equal(refused.code, code, refused.stderr);
      assert.match(refused.stderr, said);
    }
    const help = (await runProgram("hl-cloud", ["serve", "--help"])).stdout.toString();
    for (const word of [
      "Limits:",
      "--instance-requests-max",
      "HL_CLOUD_EVENTS_LIFE_DAYS",
      "reconnect_spread (seconds, 5",
    ]) {
      assert.ok(help.includes(word), word);
    }
    await using cloud = await TestCloud.start({ args: ["--operator-connections-max", "1"] });
    const headers = { accept: "text/event-stream" };
    const token = cloud.operatorToken;
    await using _daemon = await TestDaemon.start({ env: await enrolled(cloud) });
    const operator = cloud.operator(testInstanceId);
    await operator.online();
    using _first = await operator.connect();
    const second = await http(`${cloud.url}/v1/instances/${testInstanceId}/events`, { token, headers });
    assert.equal(second.status, 429);
  });
});

async function enrolled(cloud: TestCloud): Promise<Record<string, string>> {
  return {
    HL_CLOUD_API__BASE_URL: cloud.url,
    HL_ENROLLMENT_TOKEN: await cloud.enroll(testInstanceId),
    HL_DAEMON__INSTANCE_ID: testInstanceId,
    HL_DAEMON__WORKSPACE_ID: "test-workspace-001",
  };
}
