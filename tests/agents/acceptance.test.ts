/**
 * Goal: what the agents were seen to do is what a caller of the daemon gets, the same in all three protocols where they can; the list is
 * docs/agents-acceptance.md. Method: the real programs under one real daemon, the stub of the model's API behind them.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Message } from "@hl/testkit/message-client.ts";
import { startModelApi, type ModelApi } from "@hl/testkit/model-api/model-api.ts";
import { isRunning } from "@hl/testkit/processes.ts";
import { until } from "@hl/testkit/waiting.ts";
import { Fleet, fleetScript, refused, waitingTool, type FleetAgent, type Protocol } from "./fleet.ts";

describe("agents through the daemon", () => {
  const stack = new AsyncDisposableStack();
  let model: ModelApi;
  let fleet: Fleet;
  let agents: FleetAgent[];
  let number = 0;

  before(async () => {
    model = stack.use(await startModelApi({ script: fleetScript(() => new Promise(() => {})) }));
    const rules = [{ tool: "Bash", pattern: `${waitingTool} *`, decision: "allow" }];
    fleet = stack.use(await Fleet.start(model, { claude: { approvals: { rules } } }));
    agents = await fleet.startAll();
  });
  after(() => stack.disposeAsync());

  /** For each protocol, at the same time; the failure says which. */
  async function each(work: (agent: FleetAgent) => Promise<void>): Promise<void> {
    const outcomes = await Promise.allSettled(agents.map(work));
    const failures = outcomes.flatMap((outcome, index) =>
      outcome.status === "fulfilled" ? [] : [new Error(agents[index]?.protocol, { cause: outcome.reason as unknown })],
    );
    if (failures.length > 0) throw failures.length === 1 ? failures[0] : new AggregateError(failures);
  }

  const fresh = (): string => `case-${(number += 1)}`;
  const works = async (agent: FleetAgent): Promise<void> => {
    const text = fresh();
    assert.equal((await fleet.relay(agent, text)).text, `echo: ${text}`);
  };
  const only = (protocol: Protocol): FleetAgent => agents.find((agent) => agent.protocol === protocol)!;

  test("two relays at once get two answers", () =>
    each(async (agent) => {
      const [one, two] = [fresh(), fresh()];
      const answers = await Promise.all([fleet.relay(agent, one), fleet.relay(agent, two)]);
      assert.deepEqual(
        answers.map(({ text }) => text),
        [`echo: ${one}`, `echo: ${two}`],
      );
    }));

  test("what looks like broken lines, foreign line ends and half a character is a prompt like any other", () =>
    each(async (agent) => {
      for (const text of [
        'not JSON\n{"type":"user"}\nx',
        'null\r\n{"jsonrpc":"2.0","id":1,"method":"session/end"}\r\nx',
      ]) {
        assert.equal((await fleet.relay(agent, text)).text.replaceAll("\r", ""), `echo: ${text.replaceAll("\r", "")}`);
      }
      assert.equal((await fleet.relay(agent, "half \ud800 of it")).text, "echo: half \ufffd of it");
      await works(agent);
    }));

  test("an answer of 5 MB comes whole", () =>
    each(async (agent) => {
      const lines = (await fleet.relay(agent, "!big 5")).text.trimEnd().split("\n");
      assert.equal(lines.length, (5 * 1024 * 1024) / 64);
      assert.ok(lines.every((line: string, at: number) => line.startsWith(`${at}.`)));
    }));

  test("A1: 401, 429, 500 and 529 of the model's API are results with is_error, and the agent goes on", () =>
    each(async (agent) => {
      for (const status of [401, 429, 500, 529]) {
        const answer = await fleet.relay(agent, `!error ${status}`);
        assert.deepEqual([answer.is_error, answer.error.kind], [true, "api"], String(status));
        if (agent.protocol !== "acp") assert.equal(answer.error.status, status);
      }
      await works(agent);
    }));

  test("A3: an approval that is decided twice is decided once, and one after an interrupt not at all", () =>
    each(async (agent) => {
      const [made, late] = [fresh(), fresh()];
      const allowed = fleet.relay(agent, `!bash touch ${made}`);
      const asked = await fleet.pending(agent);
      const decisions = await Promise.allSettled([fleet.decide(asked, "allow"), fleet.decide(asked, "deny")]);
      assert.deepEqual(
        decisions.map(({ status }) => status),
        ["fulfilled", "rejected"],
      );
      const second = decisions[1] as PromiseRejectedResult;
      assert.equal(second.reason.error.code, 1602);
      assert.match((await allowed).text, /^tool result/);
      assert.ok(existsSync(join(agent.folder, made)));

      const cut = fleet.relay(agent, `!bash touch ${late}`);
      const open = await fleet.pending(agent);
      await fleet.client.call("claude/interrupt", { process_id: agent.process_id });
      assert.equal((await cut).is_error, true);
      assert.equal((await refused(fleet.decide(open, "allow"), 1604)).data.state, "withdrawn");
      await works(agent);
      assert.ok(!existsSync(join(agent.folder, late)));
    }));

  test("A1: a relay that takes too long is 1203, its turn is over, and the next relay works", () =>
    each(async (agent) => {
      await refused(fleet.relay(agent, `!stream ${fresh()}`, { timeout: 2 }), 1203);
      await works(agent); // Which waits until the turn has ended.
    }));

  test("an interrupt ends a turn that streams, and one whose tool runs, and the tool with it", () =>
    each(async (agent) => {
      const interrupt = (): Promise<Message> => fleet.client.call("claude/interrupt", { process_id: agent.process_id });
      fleet.forget(agent); // Others have streamed before.
      const streaming = fleet.relay(agent, `!stream ${fresh()}`);
      await fleet.said(agent, "zeroth ");
      assert.equal((await interrupt()).interrupted, true);
      assert.deepEqual([(await streaming).is_error, (await streaming).error.kind], [true, "interrupted"]);

      const name = fresh();
      const running = fleet.relay(agent, `!bash ${fleet.waitingTool(agent, name)}`);
      const pid = await fleet.toolRunning(agent, name);
      await interrupt();
      assert.equal((await running).is_error, true);
      await until("the tool has ended", () => !isRunning(pid));
      await works(agent);
    }));

  test("A2: a relay id that comes twice at once, and again later, is one turn", () =>
    each(async (agent) => {
      const [text, relay_id] = [fresh(), randomUUID()];
      const send = (): Promise<Message> => fleet.relay(agent, text, { relay_id });
      for (const answer of [...(await Promise.all([send(), send()])), await send()]) {
        assert.equal(answer.text, `echo: ${text}`);
      }
      assert.equal(fleet.asked(text), 1);
      await refused(fleet.relay(agent, "something else", { relay_id }), -32602);
    }));

  test("A3: two tools in one message are asked for one after the other; a denial that interrupts ends the turn", () =>
    each(async (agent) => {
      const [one, two, three] = [fresh(), fresh(), fresh()];
      const both = fleet.relay(agent, `!two ${one} ${two}`);
      for (const name of [one, two]) {
        const asked = await until(`the request for ${name}`, async () => {
          const waiting = await fleet.pending(agent);
          return waiting.input.command === `touch ${name}` && waiting;
        });
        await fleet.decide(asked, "allow");
      }
      assert.match((await both).text, /^tool result/);
      assert.deepEqual(
        [one, two].map((name) => existsSync(join(agent.folder, name))),
        [true, true],
      );

      const cut = fleet.relay(agent, `!bash touch ${three}`);
      await fleet.decide(await fleet.pending(agent), "deny", { reason: "no", interrupt: true });
      assert.deepEqual([(await cut).is_error, (await cut).error.kind], [true, "interrupted"]);
      await works(agent);
      assert.ok(!existsSync(join(agent.folder, three)));
    }));

  test("a conversation that is not known cannot be resumed: 1201 says so", () =>
    each(async ({ protocol }) => {
      await refused(fleet.startAgent(protocol, { resume: randomUUID() }), 1201);
    }));

  test("stream-json: the limit of turns is a result with is_error; a prompt too long for a line is refused", async () => {
    const agent = await fleet.startAgent("stream-json", { config_overrides: { max_turns: 1 } });
    const limited = await fleet.relay(agent, "!bash echo one");
    assert.deepEqual([limited.is_error, limited.error.kind], [true, "max_turns"]);
    await refused(fleet.relay(agent, "word ".repeat(900_000)), -32602);
    await works(agent);
    await fleet.stop(agent);
  });

  test("acp: a question to a person is not offered", async () => {
    assert.match((await fleet.relay(only("acp"), "!tool AskUserQuestion {}")).text, /^tool error/);
  });

  test("a repository's settings are not trusted: its hooks do not run, and what it allows is asked for", () =>
    each(async ({ protocol, folder }) => {
      const repository = join(folder, "repository");
      mkdirSync(join(repository, ".claude"), { recursive: true });
      const hook = [{ hooks: [{ type: "command", command: `touch ${join(folder, "hook-ran")}` }] }];
      const hooks = { SessionStart: hook, UserPromptSubmit: hook, PreToolUse: hook };
      const settings = { hooks, permissions: { allow: ["Bash(touch:*)"], defaultMode: "acceptEdits" } };
      writeFileSync(join(repository, ".claude/settings.json"), JSON.stringify(settings));
      const agent = await fleet.startAgent(protocol, { workspace_path: repository });
      const answer = fleet.relay(agent, `!bash touch ${join(folder, "asked")}`);
      await fleet.decide(await fleet.pending(agent), "deny");
      await answer;
      await fleet.stop(agent);
      assert.deepEqual(
        ["hook-ran", "asked"].filter((name) => existsSync(join(folder, name))),
        [],
      );
    }));
});
