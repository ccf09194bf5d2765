/**
 * Goal: a person talks with an agent at a terminal, and a program through a pipe: nothing is sent or shown twice, nothing is lost with a
 * connection, and what the agent asks is answered where it is asked. Method: hl-client in this process, or at a real terminal, against a
 * scripted daemon on real sockets.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { HlError } from "@hl/protocol/errors.ts";
import type { MethodCall } from "@hl/protocol/method.ts";
import type { Approval } from "@hl/protocol/methods/approval-list.ts";
import type { AgentItem } from "@hl/protocol/methods/claude-subscribe.ts";
import { Human } from "@hl/testkit/human.ts";
import { FakeDaemon, type FakeHandlers } from "./testing/fake-daemon.ts";
import { inProcess, InProcess } from "./testing/in-process.ts";

type Relayed = { readonly message: unknown; readonly relay_id: string };

const asked = (approval_id: string, more: Partial<Approval> = {}): Approval => ({
  ...{ approval_id, state: "pending", tool_name: "Bash", input: { command: `touch ${approval_id}` } },
  ...{ input_hash: "ab".repeat(32), process_id: "p1", requires_user_interaction: false, can_remember: true },
  ...{ created_at: Date.now() / 1000, expires_at: Date.now() / 1000 + 600 },
  ...more,
});

/** A daemon with an agent whose turns and requests the test decides. */
class World {
  readonly daemon: FakeDaemon;
  /** Takes the place of the echo. */
  turn: (text: string, say: (type: string, data: unknown) => Promise<void>, n: number) => Promise<unknown>;
  tell: (approval: Approval) => Promise<void> = () => Promise.reject(new Error("nobody has subscribed"));
  readonly #decided = Promise.withResolvers<Approval>();

  private constructor(daemon: FakeDaemon) {
    this.daemon = daemon;
    this.turn = async (text) => ({ text: `echo: ${text}`, is_error: false, num_turns: 1 });
  }

  static async start(t: TestContext, more: FakeHandlers = {}): Promise<World> {
    const daemon = await FakeDaemon.start();
    t.after(() => daemon[Symbol.asyncDispose]());
    const world = new World(daemon);
    Object.assign(daemon.handlers, world.#handlers(), more);
    return world;
  }

  get decided(): Promise<Approval> {
    return this.#decided.promise;
  }

  params(method: string): unknown[] {
    return this.daemon.asked.filter((request) => request.method === method).map(({ params }) => params);
  }

  get relayed(): Relayed[] {
    return this.params("claude/relay") as Relayed[];
  }

  human(...args: string[]): Human {
    return this.humanWith({}, ...args);
  }

  humanWith(more: Readonly<Record<string, string>>, ...args: string[]): Human {
    const env = { HL_DAEMON_HOME: this.daemon.home, NO_COLOR: "1", ...more };
    return new Human("hl-client", [...this.daemon.local, "claude", "chat", ...args], { env, columns: 100 });
  }

  run(args: readonly string[], stdin: string): ReturnType<typeof inProcess> {
    return inProcess([...this.daemon.local, ...args], { stdin });
  }

  #handlers(): FakeHandlers {
    return {
      "claude/start": async () => ({
        ...{ process_id: "p1", pid: 7, status: "started", stdio_ready: true, session_id: "s1" },
        protocol: "stream-json",
      }),
      "claude/stop": async ({ process_id }) => ({ process_id, status: "stopped", exit_code: 0 }),
      "claude/list": async () => ({
        processes: [
          {
            ...{ process_id: "p1", pid: 7, status: "running", session_id: "s1", protocol: "stream-json" },
            ...{ workspace_path: "/w\u001b[2J", started_at: 1, turns: 3 },
          },
        ],
      }),
      "claude/interrupt": async ({ process_id }) => ({ process_id, interrupted: true }),
      "claude/relay": async ({ process_id, message, relay_id }, call) => {
        const say = (type: string, data: unknown): Promise<void> =>
          call.notify("claude/message", { process_id, type, data });
        const response = await this.turn(String(message), say, this.relayed.length);
        return { process_id, response, execution_time: 1234, relay_id: relay_id! };
      },
      "approval/subscribe": async (_params, call: MethodCall) => {
        call.stream(async (signal) => {
          this.tell = (approval) => call.notify("approval/changed", approval);
          await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
        });
        return { pending: 0 };
      },
      "approval/decide": async ({ approval_id, decision }) => {
        const over = asked(approval_id, { state: decision === "allow" ? "approved" : "denied" });
        this.#decided.resolve(over);
        return over;
      },
    };
  }
}

test("a pipe: each line is a turn, the agent is started and stopped, and a turn that failed is the exit code", async (t) => {
  const world = await World.start(t);
  const good = await world.run(["claude", "chat", "--workspace", "/w", "--model", "m"], "one\n\n  two\nthree");
  const end = "— 1 turn, 1.2 s\n";
  assert.equal(good.stdout, `echo: one\n${end}echo:   two\n${end}echo: three\n${end}`);
  assert.deepEqual([good.code, good.stderr], [0, ""]);
  assert.deepEqual(world.params("claude/start"), [{ workspace_path: "/w", config_overrides: { model: "m" } }]);
  assert.equal(world.daemon.countOf("claude/stop"), 1);
  world.turn = async (text) => ({
    text: "",
    is_error: text === "bad",
    error: { kind: "api", message: "no \u001b[2J" },
  });
  const bad = await world.run(["claude", "chat", "p1"], "bad\ngood\n");
  assert.equal(bad.code, 1);
  assert.match(bad.stdout, /the agent reports an error: no \\x1b\[2J/);
  assert.equal(world.daemon.countOf("claude/stop"), 1, "an agent of somebody else is left alone");
  const kept = await world.run(["claude", "chat", "--keep"], "");
  assert.match(kept.stderr, /the agent goes on: hl-client claude chat p1/);
  assert.equal(world.daemon.countOf("claude/stop"), 1);
});

test("--json: the protocol's own objects, one a line", async (t) => {
  const world = await World.start(t);
  world.turn = async (_text, say) => {
    await say("delta", { kind: "text", text: "h" });
    await world.tell(asked("a"));
    return { text: "hi" };
  };
  const { stdout, code } = await world.run(["--json", "claude", "chat"], "x\n");
  const lines = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.equal(code, 0);
  const [started, ...said] = lines;
  assert.equal(started?.["session_id"], "s1");
  const last = said.pop();
  assert.deepEqual(last?.["response"], { text: "hi" });
  const item = said.find((line) => "type" in line);
  assert.deepEqual(item, { process_id: "p1", type: "delta", data: { kind: "text", text: "h" } });
  assert.equal(said.find((line) => "approval_id" in line)?.["state"], "pending");
});

test("a pipe: who may not decide is told so and talks on; an agent that is gone ends it; a line too long is refused", async (t) => {
  const refuse = async (): Promise<never> => {
    throw new HlError("permission_denied", "no");
  };
  const world = await World.start(t, { "approval/subscribe": refuse });
  const talked = await world.run(["claude", "chat", "p1"], "x\n");
  assert.deepEqual([talked.code, talked.stdout], [0, "echo: x\n— 1 turn, 1.2 s\n"]);
  assert.match(talked.stderr, /you may not decide them/);
  world.turn = async () => {
    throw new HlError("claude_exited", "the agent ended", { exit_code: 3 });
  };
  const restarted = await world.run(["claude", "chat", "p1"], "x\ny\n");
  assert.deepEqual([restarted.code, world.relayed.length], [1, 3], "it is listed as running: started again");
  world.daemon.handlers["claude/list"] = async () => ({ processes: [] });
  const gone = await world.run(["claude", "chat", "p1"], "x\ny\n");
  assert.equal(gone.code, 1);
  assert.match(gone.stderr, /the agent ended/);
  assert.equal(world.relayed.length, 4);
  world.turn = async () => {
    throw new HlError("claude_timeout", "too slow");
  };
  const slow = await world.run(["claude", "chat", "p1"], "x\ny\n");
  assert.deepEqual([slow.code, world.relayed.length], [1, 6], "a turn without an answer does not end the conversation");
  const long = await world.run(["claude", "chat", "p1"], `${"x".repeat(10 * 1024 * 1024 + 1)}\n`);
  assert.deepEqual([long.code, world.relayed.length], [64, 6]);
});

test("A2: a connection that is lost in a turn is made again, the same relay goes on, and nothing is told twice", async (t) => {
  const world = await World.start(t);
  world.turn = async (text, say, n) => {
    if (text === "first") {
      if (n === 1) {
        await say("delta", { kind: "text", text: "Hel" });
        world.daemon.cutConnections();
        return await new Promise(() => {});
      }
      await say("message", { text: "Hello", thinking: "" });
      return { text: "Hello" };
    }
    if (n === 3) throw new HlError("outcome_unknown", "the daemon was killed");
    throw new HlError("outcome_unknown", "nobody knows");
  };
  const { stdout, stderr, code } = await world.run(["claude", "chat", "p1"], "first\nsecond\n");
  assert.match(stdout, /^Hel\n?lo\n— 1.2 s\n|^Hel\nHello\n— 1.2 s\n/);
  assert.match(stderr, /the connection was lost .*connected again/s);
  const ids = world.relayed.map(({ relay_id }) => relay_id);
  assert.equal(ids.length, 4, "the second is asked about once more, then it is told that nobody knows");
  assert.match(stderr, /nobody knows/);
  assert.equal(code, 1);
});

test("A2: by number: what a lost connection has swallowed is told, once and in order, before the end of the turn", async (t) => {
  const world = await World.start(t);
  const kept: AgentItem[] = [];
  const deltas: AgentItem[] = [];
  const wakes: (() => void)[] = [];
  const from: unknown[] = [];
  const keep = (type: string, data: object, relay_id: string, more: Partial<AgentItem> = {}): void => {
    const item = { process_id: "p1", timestamp: 1, type, session_id: "s1", relay_id, data, ...more };
    if (type === "delta") deltas.push(item);
    else kept.push({ ...item, seq: kept.length + 1 });
    for (const wake of wakes.splice(0)) wake();
  };
  keep("message", { text: "of another turn, before", thinking: "" }, "other");
  world.daemon.handlers["claude/subscribe"] = async ({ process_id, from_seq }, call) => {
    from.push(from_seq);
    const next_seq = kept.length + 1;
    call.stream(async (signal) => {
      let cursor = (from_seq ?? next_seq) - 1;
      let live = deltas.length;
      while (!signal.aborted) {
        const woken = new Promise<void>((resolve) => wakes.push(resolve));
        for (const item of [...deltas.slice(live), ...kept.slice(cursor)]) {
          if (item.seq === 4) await call.notify("claude/gap", { process_id, from: 4, to: 4 });
          else await call.notify("claude/event", item);
        }
        cursor = kept.length;
        live = deltas.length;
        await woken;
      }
    });
    return { process_id, status: "running", first_seq: 1, next_seq };
  };
  const second = Promise.withResolvers<undefined>();
  const third = Promise.withResolvers<undefined>();
  world.daemon.handlers["claude/relay"] = async ({ process_id, relay_id = "" }, call) => {
    const answer = { process_id, response: { text: "Hello you" }, execution_time: 1234, relay_id };
    await call.notify("claude/message", { process_id, type: "message", data: { text: "told twice", thinking: "" } });
    if (world.relayed.length === 1) {
      keep("delta", { kind: "text", text: "Hel" }, relay_id);
      keep("message", { text: "of another turn", thinking: "" }, "other");
      await second.promise;
      world.daemon.cutConnections();
      keep("message", { text: "Hello", thinking: "" }, relay_id);
      keep("message", { text: "lost in a gap", thinking: "" }, relay_id);
      return await new Promise(() => {});
    }
    // The answer is faster than what is kept.
    void third.promise.then(() => {
      keep("tool_call", { tool_use_id: "1", tool_name: "Bash", input: { command: "ls" } }, relay_id);
      keep("message", { text: "Hello you", thinking: "" }, relay_id);
      keep("turn_completed", {}, relay_id);
    });
    setImmediate(() => third.resolve(undefined));
    return answer;
  };
  const client = new InProcess([...world.daemon.local, "claude", "chat", "p1"], { stdin: "x\n" });
  await client.until(() => client.stdout === "Hel");
  second.resolve(undefined);
  assert.equal(await client.exitCode, 0, client.stderr);
  assert.equal(client.stdout, "Hel\nlo\n▸ Bash ls\nHello you\n— 1.2 s\n");
  assert.match(client.stderr, /1 event of the agent are missing here/);
  assert.deepEqual(from, [undefined, 3]);
});

test("Ctrl-C through a pipe interrupts the turn and ends the conversation behind it", async (t) => {
  const interrupted = Promise.withResolvers<undefined>();
  const world = await World.start(t, {
    "claude/interrupt": async ({ process_id }) => {
      interrupted.resolve(undefined);
      return { process_id, interrupted: true };
    },
  });
  world.turn = async () => {
    await interrupted.promise;
    return { text: "", is_error: true, error: { kind: "interrupted", message: "m" } };
  };
  const client = new InProcess([...world.daemon.local, "claude", "chat"], { stdin: "x\ny\n" });
  await world.daemon.untilAsked("claude/relay");
  client.interrupt();
  assert.equal(await client.exitCode, 130);
  assert.match(client.stdout, /^interrupted\n/);
  assert.deepEqual([world.relayed.length, world.daemon.countOf("claude/stop")], [1, 1]);
});

test("P1: Ctrl-C while the agent is being started: it is waited for and stopped, or, the second time, named", async (t) => {
  const world = await World.start(t);
  const starting = Promise.withResolvers<undefined>();
  const { "claude/start": start } = world.daemon.handlers;
  world.daemon.handlers["claude/start"] = async (...asked) => {
    await starting.promise;
    return await start!(...asked);
  };
  const again = new InProcess([...world.daemon.local, "claude", "chat"], { stdin: "x\n" });
  await world.daemon.untilAsked("claude/start");
  again.interrupt();
  again.interrupt();
  assert.equal(await again.exitCode, 130);
  assert.match(again.stderr, /may have been started: see hl-client claude list/);
  const once = new InProcess([...world.daemon.local, "claude", "chat"], { stdin: "x\n" });
  await world.daemon.untilAsked("claude/start", 2);
  once.interrupt();
  await once.until(() => once.stderr.includes("being started"));
  starting.resolve(undefined);
  assert.equal(await once.exitCode, 130);
  assert.deepEqual([world.relayed.length, world.daemon.countOf("claude/stop")], [0, 1]);
});

test("a terminal: lines, history, several lines by a backslash and by a paste, commands, Ctrl-D", async (t) => {
  const world = await World.start(t);
  using human = world.human();
  await human.sees(/> /);
  human.type("one\r");
  await human.sees(/echo: one\r\n.*1 turn, 1.2 s\r\n/);
  await human.sees(/> /);
  human.type("\u001b[A\r"); // The line before.
  await human.sees(/echo: one\r\n.*1.2 s\r\n/);
  await human.sees(/> /);
  human.type("a\\\r");
  await human.sees(/\u00e2\u0080\u00a6 /);
  human.type("b\r");
  await human.sees(/echo: a\r\nb\r\n/);
  await human.sees(/> /);
  human.type("\u001b[200~x\ry\rz\u001b[201~\r");
  await human.sees(/echo: x\r\ny\r\nz\r\n/);
  await human.sees(/> /);
  human.type("p\rq\r"); // A paste at a terminal that does not mark it.
  await human.sees(/echo: p\r\nq\r\n/);
  await human.sees(/> /);
  human.type("/help\r");
  await human.sees(/\/interrupt +ends the turn/);
  human.type("/status\r");
  await human.sees(/workspace +\/w\\x1b\[2J/);
  human.type("/interrupt\r");
  await human.sees(/no turn runs/);
  human.type("/compact\r");
  await human.sees(/echo: \/compact/);
  await human.sees(/> /);
  human.type("\u0004");
  const { code, terminal } = await human.leaves();
  assert.deepEqual([code, terminal.same], [0, true], human.shown);
  assert.deepEqual(
    world.relayed.map(({ message }) => message),
    ["one", "one", "a\nb", "x\ny\nz", "p\nq", "/compact"],
  );
  assert.equal(world.daemon.countOf("claude/stop"), 1);
});

test("a terminal: text streams, thinking and tools are shown, Ctrl-C interrupts, twice it leaves, Ctrl-C at the prompt too", async (t) => {
  const world = await World.start(t);
  const interrupted: (() => void)[] = [];
  world.daemon.handlers["claude/interrupt"] = async ({ process_id }) => {
    interrupted.shift()?.();
    return { process_id, interrupted: true };
  };
  world.turn = async (_text, say) => {
    await say("delta", { kind: "thinking", text: "let me see" });
    await say("tool_call", { toolUseId: "t", toolName: "Bash", input: { command: "ls" } });
    await say("tool_result", { toolUseId: "t", isError: true, content: "no \u001b]0;owned\u0007" });
    await say("delta", { kind: "text", text: "half an ans" });
    await new Promise<void>((resolve) => interrupted.push(resolve));
    return { text: "half an ans", is_error: true, error: { kind: "interrupted", message: "m" } };
  };
  using human = world.human("p1");
  await human.sees(/> /);
  human.type("go\r");
  await human.sees(/let me see\r\n.* Bash ls\r\n {2}error: no \\x1b\]0;owned\\x07\r\nhalf an ans/);
  human.type("\u0003");
  await human.sees(/interrupting/);
  await human.sees(/interrupted\r\n.*1.2 s\r\n/);
  await human.sees(/> /);
  human.type("half a line");
  await human.sees(/half a line/);
  human.type("\u0003");
  human.type("go on\r");
  await human.sees(/half an ans/);
  interrupted.length = 0; // It obeys nobody.
  const leaves = human.leaves();
  const more = (): Promise<boolean> =>
    human.sees(/interrupting/).then(
      () => true,
      () => false,
    );
  // On a machine that is very slow the second one is a first one again.
  do human.type("\u0003");
  while (await Promise.race([more(), leaves.then(() => false)]));
  const { code, terminal } = await leaves;
  assert.deepEqual([code, terminal.same], [130, true], human.shown);
  assert.deepEqual(
    world.relayed.map(({ message }) => message),
    ["go", "go on"],
  );
  assert.equal(world.daemon.countOf("claude/stop"), 0);
});

test("a terminal: a command while a turn runs, and what the agent says meanwhile waits", async (t) => {
  const world = await World.start(t);
  const more = Promise.withResolvers<undefined>();
  const end = Promise.withResolvers<undefined>();
  world.turn = async (_text, say) => {
    await say("delta", { kind: "text", text: "before" });
    await more.promise;
    await say("delta", { kind: "text", text: " behind" });
    await end.promise;
    return { text: "before behind" };
  };
  using human = world.human("p1");
  await human.sees(/> /);
  human.type("go\r");
  await human.sees(/before/);
  human.type("/");
  await human.sees(/\r\n.*\//);
  more.resolve(undefined);
  human.type("status\r");
  await human.sees(/status[^]* behind[^]*session +s1[^]*turns +3/);
  human.type("/");
  await human.sees(/\[1G\//);
  human.type("quit\r");
  assert.equal((await human.leaves()).code, 0);
});

test("a terminal: a turn that ends while a command is typed, and while a reason is: one prompt, and the keys are its own", async (t) => {
  const world = await World.start(t);
  const ends: (() => void)[] = [];
  world.turn = async (text, say) => {
    await say("delta", { kind: "text", text: "working" });
    if (text === "ask") await world.tell(asked("one"));
    await new Promise<void>((resolve) => ends.push(resolve));
    return { text: `done: ${text}` };
  };
  using human = world.human("p1");
  await human.sees(/> /);
  human.type("go\r");
  await human.sees(/working/);
  human.type("/");
  await human.sees(/\[1G\//);
  ends.shift()?.();
  await world.daemon.untilAnswered("claude/relay");
  human.type("help\r");
  await human.sees(/help[^]*done: go[^]*1.2 s\r\n/);
  await human.sees(/> /);
  human.type("ask\r");
  await human.sees(/n deny/);
  human.type("n");
  await human.sees(/why\?/);
  ends.shift()?.();
  await world.daemon.untilAnswered("claude/relay", 2);
  human.type("because\r");
  await human.sees(/done: ask[^]*> /);
  human.type("more\r");
  await human.sees(/working/);
  ends.shift()?.();
  await human.sees(/done: more[^]*> /);
  human.type("\u0004");
  assert.equal((await human.leaves()).terminal.same, true);
  assert.deepEqual(
    world.relayed.map(({ message }) => message),
    ["go", "ask", "more"],
  );
});

test("A3: a terminal: requests are shown in the turn and answered by a key; a reason; somebody else; expiry", async (t) => {
  const world = await World.start(t);
  const end = Promise.withResolvers<undefined>();
  world.turn = async (_text, say) => {
    await say("delta", { kind: "text", text: "I will" });
    await world.tell(asked("one", { input: { command: "touch one\nrm \u001b[8m" } }));
    await end.promise;
    return { text: "I will" };
  };
  using human = world.human("p1");
  await human.sees(/> /);
  human.type("go\r");
  await human.sees(/I will\r\nBash waits .* more\r\n {2}command: touch one\r\n {4}rm \\x1b\[8m\r\n/);
  await human.sees(/y allow, s allow for this session, n deny, e edit/);
  human.type("y");
  await human.sees(/approved\r\n/);
  const edit = { file_path: "/w/a", old_string: "a\nb", new_string: "a\nc" };
  await world.tell(asked("two", { tool_name: "Edit", input: edit }));
  await human.sees(/file_path: \/w\/a\r\n {2}changes:\r\n {6}a\r\n {4}- b\r\n {4}\+ c\r\n/);
  await human.sees(/n deny/);
  human.type("n");
  await human.sees(/why\?/);
  human.type("not on a Friday\r");
  await human.sees(/denied\r\n/);
  await world.tell(asked("three"));
  await human.sees(/touch three\r\n.*s allow/);
  human.type("s");
  await human.sees(/approved\r\n/);
  await world.tell(asked("four"));
  await human.sees(/touch four/);
  const decided_by = { subject: "cloud", via: "cloud", on_behalf_of: "anna" } as const;
  await world.tell(asked("four", { state: "approved", decided_by }));
  await human.sees(/approved by anna\r\n/);
  await world.tell(asked("five"));
  await human.sees(/touch five\r\n.*n deny/);
  human.type("n");
  await human.sees(/why\?/);
  await world.tell(asked("five", { state: "expired" }));
  await human.sees(/expired\r\n/);
  end.resolve(undefined);
  await human.sees(/1.2 s\r\n/);
  await human.sees(/> /);
  await world.tell(asked("six"));
  await human.sees(/the agent asks for Bash touch six: Enter answers it/);
  human.type("\r");
  await human.sees(/y allow/);
  human.type("y");
  await human.sees(/approved\r\n/);
  await human.sees(/> /);
  human.type("\u0004");
  assert.equal((await human.leaves()).terminal.same, true);
  const hash = { input_hash: "ab".repeat(32) };
  assert.deepEqual(world.params("approval/decide"), [
    { approval_id: "one", decision: "allow", ...hash },
    { approval_id: "two", decision: "deny", reason: "not on a Friday", ...hash },
    { approval_id: "three", decision: "allow", remember: "session", ...hash },
    { approval_id: "six", decision: "allow", ...hash },
  ]);
});

test("A3: a terminal: letters of a reason, and a second key, do not decide the request that comes next", async (t) => {
  const world = await World.start(t);
  const end = Promise.withResolvers<undefined>();
  const decision = Promise.withResolvers<undefined>();
  world.daemon.handlers["approval/decide"] = async ({ approval_id }) => {
    await decision.promise;
    return asked(approval_id, { state: "approved" });
  };
  world.turn = async () => {
    for (const id of ["one", "two", "three"]) await world.tell(asked(id));
    await end.promise;
    return { text: "x" };
  };
  using human = world.human("p1");
  await human.sees(/> /);
  human.type("go\r");
  await human.sees(/touch one\r\n.*n deny/);
  human.type("n");
  await human.sees(/why\?/);
  human.type("ple");
  await human.sees(/ple/);
  await world.tell(asked("one", { state: "expired" }));
  await human.sees(/touch two\r\n/);
  human.type("a");
  await human.sees(/y allow/);
  human.type("y");
  await world.daemon.untilAsked("approval/decide");
  human.type("y");
  decision.resolve(undefined);
  await human.sees(/touch three\r\n/);
  human.type("y");
  await human.sees(/y allow/);
  human.type("l");
  await human.sees(/left to others/);
  end.resolve(undefined);
  await human.sees(/> /);
  human.type("\u0004");
  assert.equal((await human.leaves()).terminal.same, true);
  assert.deepEqual(world.params("approval/decide"), [
    { approval_id: "two", decision: "allow", input_hash: "ab".repeat(32) },
  ]);
});

test("a terminal: an editor has it for itself, whatever ends meanwhile: the request, the turn, the agent", async (t) => {
  const world = await World.start(t);
  const ends: (() => void)[] = [];
  world.turn = async (text) => {
    await world.tell(asked(text));
    await new Promise<void>((resolve) => ends.push(resolve));
    if (text === "two") throw new HlError("claude_exited", "the agent ended", { exit_code: 3 });
    return { text: "the turn is over" };
  };
  world.daemon.handlers["claude/list"] = async () => ({ processes: [] });
  // It is in the editor until a line is typed there.
  const editor = join(world.daemon.home, "editor");
  const script = `#!/bin/sh\necho "in the editor"\nread line\necho "typed: $line"\necho '{"command": "SAFE"}' >"$1"\n`;
  writeFileSync(editor, script, { mode: 0o755 });
  using human = world.humanWith({ EDITOR: editor }, "p1");
  await human.sees(/> /);
  human.type("one\r");
  await human.sees(/e edit/);
  human.type("e");
  await human.sees(/in the editor/);
  await world.tell(asked("one", { state: "expired" }));
  ends.shift()?.();
  await world.daemon.untilAnswered("claude/relay");
  human.type("rm -rf build\r");
  // Both ends, of the turn and of the request, may come to the client before or after that of the editor; the edit counts in neither case.
  await human.sees(
    /typed: rm -rf build(?=[^]*the turn is over)[^]*(?:expired[^]*the edit was not used: the request is over|edited:[^]*expired)/,
  );
  assert.doesNotMatch(human.shown.slice(human.shown.indexOf("in the editor")).split("typed:")[0] ?? "", /> /);
  await human.sees(/> /);
  human.type("two\r");
  await human.sees(/e edit/);
  human.type("e");
  await human.sees(/in the editor/);
  ends.shift()?.();
  await world.daemon.untilAsked("claude/list");
  human.type("still here\r");
  await human.sees(/typed: still here/);
  const { code, terminal } = await human.leaves();
  assert.deepEqual([code, terminal.same], [1, true], human.shown);
  assert.match(human.shown, /the agent ended/);
  assert.deepEqual(
    world.relayed.map(({ message }) => message),
    ["one", "two"],
  );
  assert.equal(world.daemon.countOf("approval/decide"), 0);
});

test("A3: a terminal: an edit outlives a lost connection, and is what is asked then", async (t) => {
  const world = await World.start(t);
  world.turn = async () => {
    await world.tell(asked("one"));
    return await new Promise(() => {});
  };
  const editor = join(world.daemon.home, "editor");
  const script = `#!/bin/sh\necho "in the editor"\nread line\necho '{"command": "SAFE"}' >"$1"\n`;
  writeFileSync(editor, script, { mode: 0o755 });
  using human = world.humanWith({ EDITOR: editor }, "p1");
  await human.sees(/> /);
  human.type("go\r");
  await human.sees(/e edit/);
  human.type("e");
  await human.sees(/in the editor/);
  world.daemon.cutConnections();
  await world.daemon.untilAsked("claude/relay", 2);
  human.type("\r");
  await human.sees(/connected again[^]*touch one[^]*edited:\r\n {2}command: SAFE\r\n {2}y allow, n deny/);
  human.type("y");
  await human.sees(/approved\r\n/);
  human.type("\u0004");
  assert.equal((await human.leaves()).code, 0);
  const [decided] = world.params("approval/decide") as { updated_input: unknown }[];
  assert.deepEqual(decided?.updated_input, { command: "SAFE" });
});

test("a terminal: Ctrl-D leaves also while the connection is being made again", async (t) => {
  const world = await World.start(t);
  using human = world.human("p1");
  await human.sees(/> /);
  await world.daemon[Symbol.asyncDispose]();
  await human.sees(/connecting again[^]*> /);
  human.type("\u0004");
  const { code, terminal } = await human.leaves();
  assert.deepEqual([code, terminal.same], [0, true], human.shown);
});

test("a terminal: a connection that is lost at the prompt is said above the line, which stays as it was", async (t) => {
  const world = await World.start(t);
  using human = world.human("p1");
  await human.sees(/> /);
  human.type("half ");
  await human.sees(/half /);
  world.daemon.cutConnections();
  await human.sees(/the connection was lost[^]*connected again[^]*> half /);
  human.type("a line\r");
  await human.sees(/echo: half a line/);
  await human.sees(/> /);
  human.signal("SIGTERM");
  const { code, terminal } = await human.leaves();
  assert.deepEqual([code, terminal.same], [143, true]);
});

test("claude status: for people, and as JSON", async (t) => {
  const status = {
    ...{ process_id: "p1", pid: 7, status: "requires_action" as const, session_id: "s1", protocol: "acp" },
    workspace_path: "/w",
    ...{
      started_at: 1,
      turns: 3,
      model: "m\u001b[2J",
      relays_waiting: 0,
      approvals_open: 2,
      first_seq: 1,
      next_seq: 9,
    },
    usage: {
      ...{ turns: 3, errors: 0, tool_calls: 1, input_tokens: 5, output_tokens: 7, cache_read_tokens: 11 },
      ...{ cache_creation_tokens: 13, cost_usd: 0.5 },
    },
  };
  const world = await World.start(t, { "claude/status": async () => status });
  const people = await world.run(["claude", "status", "p1"], "");
  assert.match(people.stdout, /status +requires_action\n[^]*model +m\\x1b\[2J\n/);
  assert.match(people.stdout, /used +1 tool call, 18 \+ 7 tokens, 11 from the cache, \$0.5000\n *approvals +2 wait/);
  assert.deepEqual(JSON.parse((await world.run(["--json", "claude", "status", "p1"], "")).stdout), status);
});

test("claude relay and interrupt: what is sent, what is printed, exit codes", async (t) => {
  const world = await World.start(t);
  const ping = { jsonrpc: "2.0", id: 1, method: "system/ping" };
  world.daemon.handlers["claude/relay"] = async ({ process_id, message, relay_id }) => ({
    ...{
      process_id,
      response: message === "bad" ? { is_error: true } : message,
      execution_time: 1,
      relay_id: relay_id!,
    },
  });
  const relay = (...args: string[]): ReturnType<typeof inProcess> =>
    world.run(["claude", "relay", "p1", ...args], "piped");
  const id = "6b9b1c5e-6f0e-4b0c-9f6e-1d2f3a4b5c6d";
  const pinged = await relay(JSON.stringify(ping), "--relay-id", id);
  assert.deepEqual([pinged.code, JSON.parse(pinged.stdout).response], [0, ping]);
  assert.equal(world.relayed[0]?.relay_id, id);
  assert.equal(JSON.parse((await relay("-")).stdout).response, "piped");
  assert.equal((await relay("bad")).code, 1);
  const hostile = await relay("\u009b2J\u202e");
  assert.match(hostile.stdout, /"response":"\\u009b2J\\u202e"/);
  const broken = await relay('{"a"');
  assert.equal(broken.code, 64);
  assert.match(broken.stderr, /begins like a JSON object and is none/);
  assert.equal((await world.run(["claude", "interrupt", "p1"], "")).stdout, "interrupted\n");
});
