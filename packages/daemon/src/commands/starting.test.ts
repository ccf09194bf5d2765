/**
 * Goal: P2: whoever asks for a command that is just starting never hears of one that did not come to be.
 * Method: the real hl-runner refuses a program without its interpreter; everybody asks in the turn in which the start is under way.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { systemClock } from "@hl/core/clock.ts";
import { within } from "@hl/testkit/waiting.ts";
import type { Command } from "./command.ts";
import { CommandsFixture, params, script } from "./commands.fixture.test.ts";
import { commandHandlers } from "./handlers.ts";

const call = { signal: new AbortController().signal, canNotify: true, stream: () => {}, notify: async () => {} };

describe("commands that are just starting", () => {
  test("P2: of one that is refused nobody hears that it has started: status, subscribe, cancel, input say that there is none", async () => {
    await using f = await CommandsFixture.make();
    const { commands } = await f.open();
    const handlers = commandHandlers({ commands, clock: systemClock, replyBytesMax: 1_000, onDecision: () => {} });
    const file = join(f.root, "workspace/broken");
    writeFileSync(file, "#!/missing/interpreter\n", { mode: 0o755 });
    const asked = params(file);
    const { command_id } = asked;
    const started = commands.execute(asked);
    const refused = assert.rejects(started, { type: "command_not_found" });
    await setImmediate();
    assert.ok(commands.isHeld(command_id), "it is on its way");
    const answers = await Promise.allSettled([
      handlers["command/status"]({ command_id }, call as never),
      handlers["command/subscribe"]({ command_id, offset: 0, output_encoding: "auto" }, call as never),
      handlers["command/cancel"]({ command_id }, call as never),
      handlers["command/input"]({ command_id, data: "x", encoding: "utf8", eof: false }, call as never),
    ]);
    for (const answer of answers) assert.equal(answer.status === "rejected" && answer.reason.type, "command_unknown");
    await refused;
    assert.deepEqual([commands.running, commands.held], [0, 0]);
  });

  test("P1, P2: of one that starts everybody hears its pid, and cancel ends it", async () => {
    await using f = await CommandsFixture.make();
    const { commands } = await f.open();
    const asked = script("sleep 300 & wait");
    const started = commands.execute(asked);
    await setImmediate();
    const [found, listed] = await Promise.all([commands.get(asked.command_id), started]);
    assert.equal(found, listed);
    assert.ok((found.run?.pid ?? 0) > 0);
    await commands.cancel(found, 0);
    assert.equal(found.ending?.reason, "cancelled");
  });

  test("C1, S4: a refused start whose record could not be taken back is in nobody's way: the same id may be asked for again", async () => {
    await using f = await CommandsFixture.make();
    const { commands, records } = await f.open();
    const asked = params(join(f.root, "workspace/program"));
    writeFileSync(asked.command, "#!/missing/interpreter\n", { mode: 0o755 });
    const abandon = records.abandon.bind(records);
    records.abandon = () => Promise.reject(new Error("database or disk is full"));
    await assert.rejects(commands.execute(asked), { type: "command_not_found" });
    records.abandon = abandon;
    writeFileSync(asked.command, "#!/bin/sh\necho runs\n", { mode: 0o755 });
    const [first, second] = await Promise.all([commands.execute(asked), commands.execute(asked)]);
    assert.equal(first, second);
    assert.equal((await first.ended).exitCode, 0);
    assert.equal(records.find(asked.command_id)?.runId, first.runId);
  });

  test("P2: cancel of one whose refusal comes late says the refusal", async () => {
    await using f = await CommandsFixture.make();
    const { commands } = await f.open();
    const late = Promise.withResolvers<undefined>();
    const refused = { launched: late.promise, ended: new Promise(() => {}), run: undefined } as unknown as Command;
    const cancelled = commands.cancel(refused, 0);
    late.reject(new Error("refused"));
    await within("the answer", assert.rejects(cancelled, /refused/));
  });
});
