/**
 * Goal: a list shows what runs however much has ended since, and no argument makes it large. Method: the real hl-runner and database; what
 * trees take is made by real programs.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemClock } from "@hl/core/clock.ts";
import type { MethodCall } from "@hl/protocol/method.ts";
import { commandList } from "@hl/protocol/methods/command-list.ts";
import { until } from "@hl/testkit/waiting.ts";
import type { z } from "zod";
import { CommandsFixture, params, script, type Daemon } from "./commands.fixture.test.ts";
import { commandHandlers } from "./handlers.ts";
import { describe as describeCommand, type ListedCommand } from "./listed-command.ts";

const recorded = (args: readonly string[]): ListedCommand => ({
  ...{ commandId: "c", runId: "r", paramsHash: "", command: "tool", args, bootId: "b", startedMs: 1_000, endedMs: 0 },
  ...{ ending: undefined, logBytes: 0, pid: 7, lingers: false },
});

async function list(
  { commands }: Daemon,
  asked: z.input<typeof commandList.params> = {},
): Promise<z.output<typeof commandList.result>["commands"]> {
  const handlers = commandHandlers({ commands, clock: systemClock, replyBytesMax: 1_000, onDecision: () => {} });
  const call = { signal: new AbortController().signal } as MethodCall;
  const answer = await handlers["command/list"](commandList.params.parse(asked), call);
  return commandList.result.parse(answer).commands;
}

describe("command/list", () => {
  test("arguments end at the limit, between characters, and say so; empty ones have a limit too", () => {
    const shown = (args: readonly string[], max: number | undefined): unknown => {
      const { args: kept, args_truncated: isCut = false } = describeCommand(recorded(args), max);
      return [kept, isCut];
    };
    assert.deepEqual(shown(["ab", "é"], undefined), [["ab", "é"], false]);
    assert.deepEqual(shown(["ab", "é"], 6), [["ab", "é"], false]);
    assert.deepEqual(shown(["ab", "éx"], 6), [["ab", "é"], true]);
    assert.deepEqual(shown(["ab", "é"], 5), [["ab"], true]);
    assert.deepEqual(shown(["ab", "é"], 0), [[], true]);
    assert.deepEqual(shown([], 0), [[], false]);
    assert.deepEqual(shown(Array<string>(10).fill(""), 3), [["", "", ""], true]);
    assert.deepEqual(shown(["🙂🙂"], 8), [["🙂"], true]);
  });

  test("running_first: what runs stands first, newest first, however much has ended since; a limit cuts the rest", async () => {
    await using f = await CommandsFixture.make();
    const daemon = await f.open();
    for (const id of ["old", "older"].reverse())
      await daemon.commands.execute(params("sleep", ["600"], { command_id: id }));
    for (let n = 0; n < 5; n += 1) {
      const ended = await daemon.commands.execute(params("true", [], { command_id: `ended-${n}` }));
      await ended.ended;
    }
    const ids = async (asked: z.input<typeof commandList.params>): Promise<string[]> =>
      (await list(daemon, asked)).map(({ command_id }) => command_id);
    assert.deepEqual(await ids({ limit: 3 }), ["ended-4", "ended-3", "ended-2"]);
    assert.deepEqual(await ids({ limit: 3, running_first: true }), ["old", "older", "ended-4"]);
    assert.deepEqual(await ids({ limit: 1, running_first: true }), ["old"]);
    assert.equal((await ids({ running_first: true })).length, 7);
    assert.ok((await list(daemon)).every(({ user, usage }) => user === "dev" && usage === undefined));
  });

  test("usage: processor time and memory of the whole tree of what runs, also of what a command has left behind; nothing of what has gone", async () => {
    await using f = await CommandsFixture.make();
    const daemon = await f.open();
    const busy = `${process.execPath} -e 'const held = Buffer.alloc(48 << 20, 1); for (;;) held[0] ^= 1'`;
    await daemon.commands.execute(script(`${busy} & wait`, { command_id: "busy" }));
    const left = await daemon.commands.execute(script("sleep 600 & exit 0", { command_id: "left" }));
    const gone = await daemon.commands.execute(params("true", [], { command_id: "gone" }));
    await Promise.all([left.ended, gone.ended]);
    const usage = async (id: string): Promise<z.output<typeof commandList.result>["commands"][number]["usage"]> =>
      (await list(daemon, { usage: true })).find(({ command_id }) => command_id === id)?.usage;
    await until("the child to be seen at work", async () => {
      const { cpu_time: cpu = 0, memory_mb: memory = 0 } = (await usage("busy")) ?? {};
      return cpu >= 200 && memory >= 48;
    });
    const first = (await usage("busy"))?.cpu_time ?? 0;
    await until("it to go on", async () => ((await usage("busy"))?.cpu_time ?? 0) > first);
    assert.ok(
      (await usage("left")) !== undefined,
      "P1: what it has left behind is measured as long as it can be cancelled",
    );
    assert.equal(await usage("gone"), undefined);
  });
});
