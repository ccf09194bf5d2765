/**
 * Goal: `hl-client top` shows one daemon as it is, here and through the cloud, and gives the terminal back in every way out. Method: hl-client in
 * a real PTY with a person at it; the programs are real. The interval is an hour, so what is seen to change was told by the daemon.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Human, type HumanOptions } from "@hl/testkit/human.ts";
import { startSystem, testInstanceId, type TestSystem } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";
import { eachWayAt, waysTo, type Ways } from "./both-ways.ts";

const config = { process_management: { allowed_commands: ["sleep", "true", "sh"], stop_grace_seconds: 1 } };
const hour = ["--interval", "3600"];
const given = { raw: false, echo: true, same: true };

let system: TestSystem;
let ways: Ways;
before(async () => {
  system = await startSystem({ config });
  ways = waysTo(system);
});
after(async () => {
  await system[Symbol.asyncDispose]();
});

/** A person at `hl-client top`, by each way in turn. */
const eachWay = (
  args: readonly string[],
  person: (human: Human, way: string) => Promise<void>,
  options?: HumanOptions,
): Promise<void> => eachWayAt(ways, ["top", ...args], person, options);

/** The newest frame that is there as a whole, without colours. */
function frameOf(human: Human, rows = 24): string[] | undefined {
  const frames = Buffer.from(human.shown, "latin1").toString("utf8").split("\u001b[H").slice(1);
  for (const frame of frames.reverse()) {
    const lines = frame.split("\r\n").map((line) => line.replaceAll(/\u001b\[(?:2K|\d+m)/g, "").trimEnd());
    if (lines.length === rows) return lines;
  }
  return undefined;
}

/** Resolves with the first frame that has such a line. */
async function shows(human: Human, line: RegExp): Promise<string[]> {
  try {
    return await until(String(line), () => {
      const frame = frameOf(human);
      return frame?.some((one) => line.test(one)) === true ? frame : undefined;
    });
  } catch (error) {
    throw new Error(`${(error as Error).message} in\n${frameOf(human)?.join("\n")}`, { cause: error });
  }
}

const start = async (command_id: string, args: readonly string[] = ["600"], command = "sleep"): Promise<void> => {
  await system.operator.call("command/execute", { command_id, command, args, stream_output: true });
};

const end = async (command_id: string): Promise<void> => {
  await system.operator.call("command/cancel", { command_id, grace: 0 });
};

describe("hl-client top", () => {
  test("what runs, begins and ends is shown as it is told; j and k choose, c asks, y cancels the chosen one; q gives the terminal back", async () => {
    const person = async (human: Human, way: string): Promise<void> => {
      await shows(human, /^hl-daemon \S+ {2}test-vm-001 {2}healthy .*cloud connected$/);
      await shows(human, /^ {2}lanes +critical \d+.* session \d+.* log \d+.* metric \d+/);
      assert.equal((await human.modes()).raw, true);
      await start(`${way}-one`);
      const frame = await shows(human, new RegExp(`^> ${way}-one +running`));
      const { process_id: pid } = await system.operator.call("command/status", { command_id: `${way}-one` });
      assert.match(
        frame.find((line) => line.includes(`${way}-one`)) ?? "",
        new RegExp(`running +${pid} .* sleep 600$`),
      );
      await start(`${way}-two`);
      await shows(human, new RegExp(`^[> ] ${way}-two +running`));
      human.type("sss");
      await shows(human, / by id$/);
      for (const [key, chosen] of [
        ["\u001b[B", "two"],
        ["k", "one"],
        ["j", "two"],
      ] as const) {
        // prettier-ignore
        human.type(key);
        await shows(human, new RegExp(`^> ${way}-${chosen} `));
      }
      human.type("c");
      await shows(human, new RegExp(`^cancel ${way}-two\\? .*sleep 600$`));
      human.type("n");
      await shows(human, /^nothing was cancelled$/);
      human.type("c");
      await shows(human, /^cancel /);
      human.type("y");
      await shows(human, new RegExp(`^${way}-two ended: cancelled SIGTERM`));
      await shows(human, new RegExp(`^[> ] ${way}-two +cancelled`));
      const { reason } = await system.operator.call("command/status", { command_id: `${way}-two` });
      assert.equal(reason, "cancelled");
      await end(`${way}-one`);
      await shows(human, /^commands {2}0 running/);
      human.type("?");
      await shows(human, /any key leaves it$/);
      human.type("x");
      await shows(human, /^commands /);
      human.type("q");
      const { code, terminal } = await human.leaves();
      assert.deepEqual([code, terminal], [0, given]);
      assert.match(
        human.shown,
        /^\u001b\[\?1049h\u001b\[\?25l\u001b\[\?7l[^]*\u001b\[\?7h\u001b\[\?25h\u001b\[\?1049l$/,
      );
    };
    await eachWay(hour, person);
  });

  test("attack: a command line that clears the screen, renames the window and breaks lines is shown escaped", async () => {
    await start("evil", ["-c", ": '\u001b[2J\u001b]0;owned\u0007\r\n\u202e'; exec sleep 600", "\u009b1A"], "sh");
    await eachWay(hour, async (human) => {
      const frame = await shows(human, /^> evil .*: '\\x1b\[2J\\x1b\]0;owned\\x07\\r\\n\\u\{202e\}'/);
      assert.equal(frame.filter((line) => line.includes("evil")).length, 1);
      human.type("q");
      assert.equal((await human.leaves()).code, 0);
      assert.doesNotMatch(human.shown, /\u001b\[2J|\u001b\]|\u0007/);
    }, { columns: 160 }); // prettier-ignore
    await end("evil");
  });

  test("a window that is resized is filled and not left, however small; without colour where NO_COLOR says so", async () => {
    await start("long", ["600", "x".repeat(300)].slice(0, 1));
    await eachWay(
      hour,
      async (human) => {
        await shows(human, /^> long/);
        for (const [rows, columns] of [
          [12, 44],
          [4, 20],
          [1, 9],
          [40, 120],
        ] as const) {
          // prettier-ignore
          human.resize(rows, columns);
          const frame = await until(`a frame of ${rows} lines`, () => frameOf(human, rows));
          assert.ok(frame.every((line) => line.length <= columns), JSON.stringify(frame)); // prettier-ignore
        }
        human.type("q");
        assert.deepEqual((await human.leaves()).terminal, given);
        assert.doesNotMatch(human.shown, /\u001b\[[\d;]*m/);
      },
      { env: { NO_COLOR: "1" } },
    );
    await end("long");
  });

  test("every way out gives the terminal back: Ctrl-C, SIGTERM, SIGHUP, and while it asks", async () => {
    for (const [leave, code] of [
      [(human: Human) => human.type("\u0003"), 130],
      [(human: Human) => human.type("?\u0003"), 130],
      [(human: Human) => human.signal("SIGTERM"), 143],
      [(human: Human) => human.signal("SIGHUP"), 129],
    ] as const) {
      using human = new Human("hl-client", ["top", ...hour], { env: ways[0]?.[1] });
      await shows(human, /^commands /);
      leave(human);
      const left = await human.leaves();
      assert.deepEqual([left.code, left.terminal], [code, given]);
      assert.match(human.shown, /\u001b\[\?25h\u001b\[\?1049l$/);
    }
  });

  test("P3: a daemon that goes is shown as disconnected, with what was seen last, and comes back by itself", async () => {
    await eachWay(hour, async (human, way) => {
      await start(`${way}-stays`);
      await shows(human, new RegExp(`^> ${way}-stays +running`));
      await system.daemon.kill();
      const gone = await shows(human, /^hl-daemon .*disconnected, connecting again: /);
      assert.ok(gone.some((line) => line.includes(`${way}-stays`)));
      human.type("cy");
      human.type("y");
      await system.daemon.restart();
      await system.operator.online();
      await shows(human, /^hl-daemon .* healthy /);
      await shows(human, new RegExp(`^> ${way}-stays +running`));
      human.type("q");
      assert.deepEqual(await human.leaves(), { code: 0, terminal: given });
      await end(`${way}-stays`);
    });
  });

  test("without a terminal, with --once and with --json it is printed once; who cannot be reached has its exit code", async () => {
    await start("seen");
    for (const [way, env] of ways) {
      const run = (args: readonly string[]) => system.daemon.client(["top", ...args], { env });
      const plain = await run([]);
      assert.equal(plain.code, 0, `${way}: ${plain.stderr}`);
      assert.match(
        plain.stdout.toString(),
        /^hl-daemon .*\n {2}machine .*\n[^]*\ncommands {2}1 running.*\n.*COMMAND\n {2}seen +running .*sleep 600\n/,
      );
      assert.ok(!plain.stdout.includes("\u001b"));
      const json = await run(["--json"]);
      const told = JSON.parse(json.stdout.toString());
      assert.deepEqual([json.code, told.info.instance_id, told.refused], [0, testInstanceId, {}]);
      const seen = told.commands.find(({ command_id }: { command_id: string }) => command_id === "seen");
      assert.ok(seen.usage.cpu_time >= 0 && seen.user !== "", JSON.stringify(seen));
      assert.ok(told.health.spool.lanes.length === 4 && Array.isArray(told.agents));
    }
    await eachWay(["--once"], async (human) => {
      assert.deepEqual(await human.leaves(), { code: 0, terminal: given });
      assert.match(human.shown, /commands/);
      assert.doesNotMatch(human.shown, /\u001b\[\?1049h/);
    });
    const nobody = new Human("hl-client", ["top"], { env: { HL_DAEMON_HOME: "/nowhere" } });
    assert.deepEqual(await nobody.leaves(), { code: 69, terminal: given });
    assert.match(nobody.shown, /\u001b\[\?1049lhl-client: no daemon at \/nowhere/);
    nobody[Symbol.dispose]();
    for (const wrong of ["0.4", "3601", "x"])
      assert.equal((await system.daemon.client(["top", "--interval", wrong])).code, 64);
    await end("seen");
  });
});
