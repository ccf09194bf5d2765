/**
 * Goal: a dry run says what execute would decide and leaves no trace; every decision is told once, with who asked and why (X3), and
 * without arguments or variables (X4).
 * Method: the handlers over the real runner and database, a dry run and the real thing side by side.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { systemClock } from "@hl/core/clock.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { Caller } from "@hl/protocol/method.ts";
import { commandDecision, type CommandDecisionResult } from "@hl/protocol/methods/command-decision.ts";
import { CommandsFixture, params, type Daemon } from "./commands.fixture.test.ts";
import type { CommandDecision } from "./decision.ts";
import { commandHandlers } from "./handlers.ts";
import type { ExecuteParams } from "./plan.ts";

const caller: Caller = { role: "admin", subject: "local-token", via: "socket" };
const call = {
  signal: new AbortController().signal,
  canNotify: true,
  stream: () => {},
  notify: async () => {},
  caller,
};

function handle({ commands }: Daemon): {
  readonly told: CommandDecision[];
  readonly execute: (params: ExecuteParams) => Promise<{ readonly status: string }>;
  readonly judge: (params: ExecuteParams) => Promise<CommandDecisionResult>;
} {
  const told: CommandDecision[] = [];
  const onDecision = (decision: CommandDecision): void => void told.push(decision);
  const handlers = commandHandlers({ commands, clock: systemClock, replyBytesMax: 1_000, onDecision });
  const execute = (asked: ExecuteParams): Promise<{ readonly status: string }> =>
    handlers["command/execute"](asked, call as never);
  const judge = async (asked: ExecuteParams): Promise<CommandDecisionResult> =>
    commandDecision.parse(await execute({ ...asked, dry_run: true }));
  return { told, execute, judge };
}

describe("command/execute with dry_run", () => {
  test("an allowed one says what would run, where, by which rule and within what; nothing is started, recorded or made", async () => {
    await using f = await CommandsFixture.make();
    const daemon = await f.open({}, { policy: { allowed: ["echo", "sh"], blocked: [] } });
    const { judge, execute } = handle(daemon);
    const asked = params("echo", ["hello"], { timeout: 9 });
    const answer = await judge(asked);
    assert.deepEqual([answer.decision, answer.rule, answer.plan?.cwd], ["allow", "echo", join(f.root, "workspace")]);
    assert.match(answer.plan?.executable ?? "", /^\/.*\/echo$/);
    assert.equal(answer.plan?.limits.timeout, 9);
    assert.deepEqual([daemon.commands.held, daemon.records.newest(10), daemon.started], [0, [], []]);
    await assert.rejects(daemon.commands.get(asked.command_id), { type: "command_unknown" });
    // The same id is free for the real thing, which is then known.
    assert.equal((await execute(asked)).status, "completed");
    const again = await judge(asked);
    assert.deepEqual([again.decision, again.known, again.plan], ["allow", true, undefined]);
  });

  test("a denied one is an answer with the very error that execute gives", async () => {
    await using f = await CommandsFixture.make();
    const daemon = await f.open({}, { policy: { allowed: ["echo"], blocked: ["sudo"] } });
    const { judge, execute } = handle(daemon);
    const known = params("echo");
    await execute(known);
    const cases: [asked: ExecuteParams, rule: string | undefined][] = [
      [params("sudo", ["id"]), "sudo"],
      [params("vim"), undefined],
      [params("echo;id"), undefined],
      [params("echo", [], { cwd: "/etc" }), undefined],
      [params("echo", [], { cwd: "missing" }), undefined],
      [params("echo", [], { user: "nobody-here" }), undefined],
      [params("echo", [], { timeout: 1e7 }), undefined],
      [params("echo", ["other"], { command_id: known.command_id }), undefined],
    ];
    for (const [asked, rule] of cases) {
      const answer = await judge(asked);
      const real = await execute(asked).then(
        () => assert.fail("it was executed"),
        (error: unknown) => error,
      );
      assert.ok(real instanceof HlError);
      assert.deepEqual([answer.decision, answer.rule], ["deny", rule], real.message);
      const { code, error_type: type, message } = answer.error!;
      assert.deepEqual([code, type, message], [real.code, real.type, real.message]);
    }
  });

  test("X2: it says that the sandbox cannot be enforced, and what a sandboxed one may touch", async () => {
    await using f = await CommandsFixture.make();
    const problem = { sandboxed: true, sandboxProblem: "no Landlock" };
    const refused = await handle(await f.open({}, problem)).judge(params("true"));
    assert.deepEqual([refused.decision, refused.error?.error_type], ["deny", "sandbox_unavailable"]);
    const { judge } = handle(await f.open({}, { sandboxed: true, network: { kind: "none" } }));
    const { sandbox } = (await judge(params("true"))).plan!;
    assert.deepEqual([sandbox.mode, sandbox.network], [true, "none"]);
    assert.ok(sandbox.write.includes(join(f.root, "workspace")) && sandbox.read.includes("/usr"));
  });
});

describe("audit of command/execute", () => {
  test("X3, X4: each decision is told once: who asked, what for, how and why; no argument and no variable", async () => {
    await using f = await CommandsFixture.make();
    const daemon = await f.open({}, { policy: { allowed: ["true", "*"], blocked: ["sudo", "rm -rf"] } });
    const { told, execute, judge } = handle(daemon);
    const secret = { env: { TOKEN: "secret" } };
    const allowed = params("true", ["--password=secret", "x"], secret);
    await execute(allowed);
    await execute(allowed);
    await judge(params("true", ["secret"], secret));
    for (const asked of [
      params("rm", ["-rf", "secret"], secret),
      params("sudo", ["secret"], secret),
      params("no-such-program", ["secret"]),
    ]) {
      await assert.rejects(execute(asked));
    }
    const seen = told.map(({ decision, command, argumentsCount, rule, errorType, isDryRun }) => [
      decision,
      command,
      argumentsCount,
      rule,
      errorType,
      isDryRun,
    ]);
    assert.deepEqual(seen, [
      ["allow", "true", 2, "*", undefined, false],
      ["allow", "true", 2, undefined, undefined, false],
      ["allow", "true", 1, "*", undefined, true],
      ["deny", "rm", 2, "rm -rf", "command_blocked", false],
      ["deny", "sudo", 1, "sudo", "command_blocked", false],
      ["deny", "no-such-program", 1, undefined, "command_not_found", false],
    ]);
    for (const decision of told) {
      assert.deepEqual(decision.caller, caller);
      assert.ok(decision.durationMs >= 0);
    }
    assert.ok(!JSON.stringify(told).includes("secret"));
  });

  test("P2: a start that fails after it was allowed is told as allowed, with its error", async () => {
    await using f = await CommandsFixture.make();
    const { told, execute } = handle(await f.open());
    await assert.rejects(execute(params("true", ["x".repeat(100_000)].concat(Array(40).fill("y".repeat(100_000))))));
    assert.deepEqual(
      told.map(({ decision }) => decision),
      ["allow"],
    );
    assert.ok(told[0]?.errorType !== undefined);
  });
});
