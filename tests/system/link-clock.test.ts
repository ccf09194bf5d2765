/**
 * Goal: C1, C3, C4 from outside for machines whose time is not what others take it for: stopped for a while, with a clock that is wrong or
 * jumps, and stopped in the middle of a queue of commands.
 * Method: the real programs; SIGSTOP; libfaketime, for the daemon alone.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { TestCloud, TestDaemon, testInstanceId } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";
import { findFaketime, WallClock } from "../oracle/wall-clock.ts";

const faketime = findFaketime();
const skip = faketime === undefined ? "libfaketime is not installed: apt-get install libfaketime" : false;

const quick = {
  retry_delay: 0.05,
  max_retry_delay: 0.2,
  reconnect_spread: 0.1,
  drain_spread_max: 0.5,
  heartbeat_interval: 1,
  heartbeat_interval_min: 0.1,
  heartbeat_interval_max: 0.5,
};
const config = { cloud_api: { connection: quick }, process_management: { allowed_commands: ["sh"] } };

const enrolled = async (cloud: TestCloud): Promise<Record<string, string>> => ({
  HL_CLOUD_API__BASE_URL: cloud.url,
  HL_ENROLLMENT_TOKEN: await cloud.enroll(testInstanceId),
  HL_DAEMON__INSTANCE_ID: testInstanceId,
  HL_DAEMON__WORKSPACE_ID: "test-workspace-001",
});

describe("the link and time", () => {
  test("C1, C2: a daemon that stands still for longer than its connection lives is noticed, and goes on where it was", async () => {
    await using cloud = await TestCloud.start({ args: ["--ping-interval-seconds", "1", "--dead-after-seconds", "3"] });
    await using daemon = await TestDaemon.start({ config, env: await enrolled(cloud) });
    const operator = cloud.operator(testInstanceId);
    await operator.online();
    const runs = (id: string): object => ({
      command_id: id,
      command: "sh",
      args: ["-c", `echo ${id} >> runs; echo done`],
    });
    const long = operator.call("command/execute", {
      command_id: "long",
      command: "sh",
      args: ["-c", "echo long >> runs; while [ ! -e go ]; do sleep 0.02; done; echo done"],
    });
    await until("it to run", () => linesOf(daemon).includes("long"));
    process.kill(daemon.pid, "SIGSTOP");
    let waiting: Promise<{ stdout: string }>;
    try {
      await until("its connection to be given up", async () => (await operator.instance()).online === false);
      waiting = operator.call("command/execute", runs("waiting")) as Promise<{ stdout: string }>;
    } finally {
      process.kill(daemon.pid, "SIGCONT");
    }
    assert.equal((await waiting).stdout, "done\n");
    await operator.online();
    assert.equal((await operator.call("command/execute", runs("after"))).stdout, "done\n");
    await operator.call("command/execute", { command_id: "go", command: "sh", args: ["-c", "touch go"] });
    assert.equal((await long).stdout, "done\n");
    assert.deepEqual(linesOf(daemon).toSorted(), ["after", "long", "waiting"]);
    assert.equal((await operator.instance()).identity_in_use_at, null, "who comes back is no copy");
  });

  for (const [name, hours] of [
    ["ahead", 5],
    ["behind", -5],
  ] as const) {
    test(
      `C4: a VM whose clock is hours ${name} enrols, renews its tokens and knows by how much`,
      { skip },
      async () => {
        await using cloud = await TestCloud.start({ args: ["--access-token-ttl", "2"] });
        const env = await enrolled(cloud);
        await using daemon = await TestDaemon.start({
          config,
          env,
          prepare: (home) => {
            const clock = new WallClock(faketime ?? "", join(home, "clock"));
            clock.step(hours * 3_600);
            Object.assign(env, clock.env);
            return { [Symbol.dispose]: () => {} };
          },
        });
        const operator = cloud.operator(testInstanceId);
        await operator.online();
        const tokens = new Set<string>();
        await until("the VM to have renewed its tokens three times", () => {
          return tokens.add(readFileSync(join(daemon.home, "data/auth/refresh_token"), "utf8")).size > 3;
        });
        await operator.online();
        assert.equal((await operator.call("system/ping")).pong, true);
        const { cloud: link } = await operator.call("system/health");
        assert.ok(Math.abs(Number(link.clock_skew_ms) + hours * 3_600_000) < 60_000, String(link.clock_skew_ms));
        assert.equal((await operator.instance()).credentials, "valid");
      },
    );
  }

  test("C3, C4: a wall clock that jumps is told, and the VM stays or comes back by itself", { skip }, async () => {
    await using cloud = await TestCloud.start({ args: ["--access-token-ttl", "10"] });
    const env = await enrolled(cloud);
    let clock: WallClock | undefined;
    await using daemon = await TestDaemon.start({
      config,
      env,
      prepare: (home) => {
        clock = new WallClock(faketime ?? "", join(home, "clock"));
        Object.assign(env, clock.env);
        return { [Symbol.dispose]: () => {} };
      },
    });
    const operator = cloud.operator(testInstanceId);
    await operator.online();
    for (const [seconds, sign] of [
      [7_200, 1],
      [-7_200, -1],
    ] as const) {
      clock?.step(seconds);
      await operator.event(({ data }) => data?.message === "clock_jump" && Math.sign(data.forward_ms) === sign);
      await operator.online();
      assert.equal((await operator.call("system/ping")).pong, true);
    }
    assert.equal((await operator.instance()).credentials, "valid");
    assert.ok(!daemon.log.includes("Unhandled"));
  });

  test("C1: a stop in the middle of a queue of commands: each has one effect or none, and every one is answered for", async () => {
    await using cloud = await TestCloud.start({ args: ["--instance-requests-in-flight-max", "4"] });
    await using daemon = await TestDaemon.start({ config, env: await enrolled(cloud) });
    const operator = cloud.operator(testInstanceId);
    await operator.online();
    const ids = Array.from({ length: 40 }, (_, index) => `c-${index}`);
    const asked = ids.map((id) => {
      const params = { command_id: id, command: "sh", args: ["-c", `echo ${id} >> runs; sleep 0.1; echo done`] };
      return operator.post({ jsonrpc: "2.0", id, method: "command/execute", params }, 55);
    });
    await until("some of them to run", () => linesOf(daemon).length >= 5);
    assert.ok(linesOf(daemon).length < ids.length, "some of them are still to come");
    await daemon.restart();
    const answers = await Promise.all(asked);
    const effects = linesOf(daemon);
    for (const [index, id] of ids.entries()) {
      const answer = answers[index];
      const count = effects.filter((line) => line === id).length;
      const said = JSON.stringify(answer);
      if (answer.result?.status === "completed") assert.equal(count, 1, said);
      else {
        assert.ok(count <= 1, said);
        assert.ok(answer.result?.reason !== undefined || answer.error?.data.error_type !== undefined, said);
      }
    }
    await operator.online();
    assert.equal((await operator.call("system/ping")).pong, true);
  });
});

/** What the commands have left in the workspace. */
function linesOf(daemon: TestDaemon): string[] {
  try {
    return readFileSync(join(daemon.workspace, "runs"), "utf8").trim().split("\n");
  } catch {
    return [];
  }
}
