/**
 * Goal: no key decides a request that it was not meant for, and no request or edit is lost silently. Method: the desk alone, its time by
 * hand, its screen a string.
 */
import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import { ConnectionClosed } from "@hl/core/rpc/peer.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { Approval } from "@hl/protocol/methods/approval-list.ts";
import { ManualClock, settled } from "@hl/testkit/manual-clock.ts";
import { Screen } from "../render/screen.ts";
import { Sink } from "../sink.ts";
import { ApprovalDesk, type DeskOptions } from "./approval-desk.ts";
import type { Edited } from "./edit-input.ts";

const asked = (approval_id: string, more: Partial<Approval> = {}): Approval => ({
  ...{ approval_id, state: "pending", tool_name: "Bash", input: { command: `touch ${approval_id}` } },
  ...{ input_hash: "ab".repeat(32), process_id: "p1", requires_user_interaction: false, can_remember: true },
  ...{ created_at: 0, expires_at: 600 },
  ...more,
});

class Desk {
  readonly clock = new ManualClock();
  readonly decided: Parameters<DeskOptions["decide"]>[0][] = [];
  readonly desk: ApprovalDesk;
  readonly screen: Screen;
  shown = "";
  emptied = 0;
  decide: (id: string) => Promise<Approval> = async (id) => asked(id, { state: "approved" });
  edit = Promise.withResolvers<Edited>();
  reason = Promise.withResolvers<string | undefined>();

  constructor() {
    const write = (chunk: Buffer, _encoding: string, done: () => void): void => {
      this.shown += chunk.toString();
      done();
    };
    this.screen = new Screen(new Sink(new Writable({ write }), undefined));
    this.desk = new ApprovalDesk({
      ...{ screen: this.screen, clock: this.clock, paint: (_tone, text) => text, namesAgent: false },
      nowSeconds: () => 0,
      decide: (params) => {
        this.decided.push(params);
        return this.decide(params.approval_id);
      },
      edit: async () => await this.#away(this.edit.promise),
      askReason: async () => await this.#away(this.reason.promise),
      onEmpty: () => (this.emptied += 1),
    });
  }

  get ids(): string[] {
    return this.decided.map(({ approval_id }) => approval_id);
  }

  /** Since the last look. */
  sees(): string {
    const { shown } = this;
    this.shown = "";
    return shown;
  }

  async key(key: string): Promise<void> {
    this.desk.onKey(key);
    await settled();
  }

  async #away<T>(until: Promise<T>): Promise<T> {
    this.desk.open = false;
    try {
      return await until;
    } finally {
      this.desk.open = true;
    }
  }
}

const keys = "  y allow, s allow for this session, n deny, e edit, l leave it to others ";

test("keys are offered, and count, when a request has stood there for a second in which nothing was typed", async () => {
  const it = new Desk();
  it.desk.take(asked("one"));
  assert.equal(it.sees(), "Bash waits 10 min more\n  command: touch one\n");
  await it.clock.advance(999);
  await it.key("y");
  await it.clock.advance(999);
  await it.key(""); // Several at once.
  await it.clock.advance(999);
  assert.deepEqual([it.sees(), it.ids], ["", []]);
  await it.clock.advance(1);
  assert.equal(it.sees(), keys);
  await it.key("h"); // "hi, say …"
  await it.key("s");
  assert.deepEqual(it.ids, []);
  await it.clock.advance(1_000);
  assert.equal(it.sees(), "", "it is offered once");
  await it.key("y");
  assert.deepEqual([it.ids, it.desk.size, it.clock.timers], [["one"], 0, 0]);
});

test("a key decides one request: somebody else was faster, or the decision takes its time, and the next one is there", async () => {
  const it = new Desk();
  for (const id of ["one", "two", "three"]) it.desk.take(asked(id));
  await it.clock.advance(1_000);
  it.desk.take(asked("one", { state: "expired" }));
  await it.key("y");
  assert.deepEqual(it.ids, []);
  await it.clock.advance(1_000);
  const decision = Promise.withResolvers<Approval>();
  it.decide = () => decision.promise;
  await it.key("y");
  await it.key("y");
  decision.resolve(asked("two", { state: "approved" }));
  await settled();
  for (let typed = 0; typed < 20; typed += 1) {
    await it.key("y");
    await it.clock.advance(110);
  }
  assert.deepEqual(it.ids, ["two"]);
  assert.doesNotMatch(it.sees(), /three\n {2}y allow/);
});

test("what was typed before the keys were offered and is read late does not count", async () => {
  const it = new Desk();
  let due = (): void => {};
  it.clock.after = (_ms, callback) => {
    due = callback;
    return () => {};
  };
  it.desk.take(asked("one"));
  // In a loop that was held up timers come first, then what was typed meanwhile.
  setImmediate(() => it.desk.onKey("y"));
  due();
  await settled();
  await settled();
  assert.deepEqual(it.ids, []);
  assert.doesNotMatch(it.sees(), /y allow/);
});

test("what the agent says below a request before its keys are offered does not stand between them", async () => {
  const it = new Desk();
  it.desk.take(asked("one", { input: { command: "rm -rf /" } }));
  it.screen.write("Bash waits 10 min more\n  command: ls\n");
  it.sees();
  await it.clock.advance(1_000);
  assert.equal(it.sees(), `Bash waits 10 min more\n  command: rm -rf /\n${keys}`);
});

test("a decision that fails for a moment leaves the request where it is; one that says that it is over does not", async () => {
  const passing = [
    ...(["rate_limited", "instance_offline", "no_space", "shutting_down", "invalid_params"] as const).map(
      (type) => new HlError(type, "not now"),
    ),
    new ConnectionClosed("not now"),
  ];
  for (const error of passing) {
    const it = new Desk();
    it.desk.take(asked("one"));
    await it.clock.advance(1_000);
    it.decide = () => Promise.reject(error);
    it.sees();
    await it.key("s");
    assert.match(it.sees(), /^\n→ .*not now\n$/);
    assert.deepEqual([it.desk.asks, it.desk.size, it.emptied], [true, 1, 0]);
    await it.clock.advance(1_000);
    assert.equal(it.sees(), keys);
    it.decide = async (id) => asked(id, { state: "approved" });
    await it.key("y");
    assert.deepEqual([it.ids, it.desk.size], [["one", "one"], 0]);
  }
  for (const type of ["approval_decided", "approval_closed", "approval_unknown", "approval_input_changed"] as const) {
    const it = new Desk();
    it.desk.take(asked("one"));
    await it.clock.advance(1_000);
    it.decide = () => Promise.reject(new HlError(type, "over"));
    await it.key("y");
    assert.deepEqual([it.desk.asks, it.desk.size, it.emptied], [false, 0, 1], type);
  }
});

test("a request that has another input now is another request", async () => {
  const it = new Desk();
  it.desk.take(asked("one"));
  await it.clock.advance(1_000);
  it.desk.take(asked("one", { input_hash: "cd".repeat(32), input: { command: "rm" } }));
  await it.key("y");
  assert.deepEqual(it.ids, []);
  await it.clock.advance(1_000);
  await it.key("y");
  assert.equal(it.decided[0]?.input_hash, "cd".repeat(32));
});

test("while a reason is typed nothing is shown or asked; what comes to be asked then begins anew", async () => {
  const it = new Desk();
  it.desk.take(asked("one"));
  it.desk.take(asked("two"));
  await it.clock.advance(1_000);
  await it.key("n");
  it.sees();
  it.desk.take(asked("one", { state: "expired" }));
  await it.clock.advance(5_000);
  assert.equal(it.sees(), "\n→ expired\n");
  it.reason.resolve(undefined);
  await it.key("a");
  assert.match(it.sees(), /touch two\n$/);
  await it.clock.advance(999);
  await it.key("s");
  assert.deepEqual(it.ids, []);
  // Closed, the last one goes: that is told as well.
  it.desk.open = false;
  it.desk.take(asked("three"));
  it.desk.take(asked("two", { state: "expired" }));
  it.desk.take(asked("three", { state: "expired" }));
  assert.equal(it.emptied, 1);
});

test("an edit outlives a lost connection: what is then asked, and allowed, is what was edited", async () => {
  const input = { command: "SAFE" };
  for (const when of ["told again while it is edited", "told again later", "lost when it was edited"]) {
    const it = new Desk();
    it.desk.take(asked("one"));
    await it.clock.advance(1_000);
    await it.key("e");
    if (when === "lost when it was edited") {
      it.edit.resolve({ kind: "input", input });
      await it.clock.advance(1_000);
    }
    it.desk.reset();
    if (when === "told again while it is edited") it.desk.take(asked("one"));
    it.edit.resolve({ kind: "input", input });
    await settled();
    it.desk.take(asked("one"));
    await it.clock.advance(1_000);
    assert.match(it.sees(), /touch one\n {2}edited:\n {2}command: SAFE\n {2}y allow, n deny[^\n]*$/, when);
    await it.key("y");
    assert.deepEqual(it.decided[0]?.updated_input, input, when);
  }
});

test("an edit that is not used is not lost silently", async () => {
  const input = { command: "SAFE" };
  const edits = async (meanwhile: (it: Desk) => void): Promise<Desk> => {
    const it = new Desk();
    it.desk.take(asked("one"));
    await it.clock.advance(1_000);
    await it.key("e");
    meanwhile(it);
    it.edit.resolve({ kind: "input", input });
    await settled();
    return it;
  };
  const expired = await edits((it) => it.desk.take(asked("one", { state: "expired" })));
  assert.match(expired.sees(), /the edit was not used: the request is over\n$/);
  const lost = await edits((it) => it.desk.reset());
  assert.match(lost.sees(), /the edit is kept for this request, should it still wait\n$/);
  lost.desk.take(asked("one", { input_hash: "cd".repeat(32), input: { command: "rm" } }));
  assert.match(lost.sees(), /the edit was not used: the agent asks for something else now\n.*\n {2}command: rm\n$/);
  await lost.clock.advance(1_000);
  await lost.key("y");
  assert.equal(lost.decided[0]?.updated_input, undefined);
});
