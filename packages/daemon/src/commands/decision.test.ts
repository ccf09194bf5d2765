/** Goal: X4: a decision names the program and nothing that may be a secret. Method: what is told of a line that somebody put into `command`. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "@hl/core/clock.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { params } from "./commands.fixture.test.ts";
import { audited, type CommandDecision } from "./decision.ts";

const caller = { role: "admin", subject: "local", via: "socket" } as const;

async function told(command: string): Promise<CommandDecision> {
  const decisions: CommandDecision[] = [];
  const onDecision = (decision: CommandDecision): void => void decisions.push(decision);
  const refuse = (): Promise<never> =>
    Promise.reject(new HlError("command_blocked", `command ${JSON.stringify(command)} is blocked`, { rule: "git" }));
  await assert.rejects(audited({ clock: systemClock, onDecision }, params(command), caller, refuse));
  assert.equal(decisions.length, 1);
  return decisions[0]!;
}

test("X4: of a whole line in the place of a program only the program is told", async () => {
  for (const blank of [" ", "\t", "\n"]) {
    const decision = await told(`git${blank}clone https://user:secret@host/x`);
    assert.deepEqual([decision.command, decision.reason, decision.rule], ["git", undefined, "git"]);
    assert.ok(!JSON.stringify(decision).includes("secret"));
  }
  const long = await told("p".repeat(100_000));
  assert.deepEqual([long.command.length, long.reason], [256, undefined]);
  assert.match((await told("git")).reason ?? "", /"git" is blocked/);
});
