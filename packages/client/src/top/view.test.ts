/**
 * Goal: keys do what the help says, cancelling asks about one command and nothing else, and what is chosen stays chosen however the list moves.
 * Method: the state without a terminal; keys as terminals send them.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { keysIn } from "./key-names.ts";
import { LoadMeter } from "./loads.ts";
import type { Listed } from "./sample.ts";
import { ended, listed, sampleOf } from "./samples.fixture.test.ts";
import { View, type Wish } from "./view.ts";

function show(view: View, commands: readonly Listed[], loads: Readonly<Record<string, number>> = {}): View {
  view.show(sampleOf({ commands }), { daemon: undefined, commands: new Map(Object.entries(loads)) });
  return view;
}

const press = (view: View, ...keys: string[]): Wish =>
  keys.map((key) => view.key(key, true)).at(-1) ?? { kind: "none" };
const ids = (view: View): string[] => view.state.commands.map(({ command_id: id }) => id);
const usage = (memory_mb: number): Listed["usage"] => ({ cpu_time: 1, memory_mb, source: "processes" });

describe("keys of a terminal", () => {
  test("arrows in both of their forms, single characters, several at once; unknown sequences and what cannot be printed are none", () => {
    const keys = (text: string): string[] => keysIn(Buffer.from(text, "latin1"));
    assert.deepEqual(keys("\u001b[A\u001bOBjk"), ["up", "down", "j", "k"]);
    assert.deepEqual(keys("\u0003"), ["interrupt"]);
    assert.deepEqual(keys("\u001b[200~cy\u001b[201~"), ["c", "y"]);
    assert.deepEqual(keys("\u001b[1;5C\u001b[?1;2c\u0001\t "), []);
    assert.deepEqual(keys("\u001b"), ["escape"]);
    assert.deepEqual(keys("\u00ff\u00fe"), []);
  });
});

describe("the view", () => {
  test("the list is sorted by the busiest first, then by what s chooses; what has ended comes last, the newest end first", () => {
    const commands = [
      listed("a", { started_at: 30, usage: usage(1) }),
      ended("gone-first", 50),
      listed("b", { started_at: 10, usage: usage(3) }),
      ended("gone-last", 5),
      listed("c", { started_at: 20, usage: usage(2) }),
    ];
    const view = show(new View(), commands, { a: 1, b: 2, c: 99 });
    const orders = [ids(view)];
    for (let n = 0; n < 4; n += 1) {
      press(view, "s");
      orders.push(ids(view));
    }
    const gone = ["gone-last", "gone-first"];
    assert.deepEqual(orders, [["c", "b", "a"], ["b", "c", "a"], ["b", "c", "a"], ["a", "b", "c"], ["c", "b", "a"]].map((live) => [...live, ...gone])); // prettier-ignore
  });

  test("what is chosen is a command: it stays chosen when the list is sorted anew, and its place is taken when it has gone", () => {
    const view = show(new View(), [listed("a"), listed("b"), listed("c")], { a: 3, b: 2, c: 1 });
    show(view, [listed("new"), listed("a"), listed("b"), listed("c")], { new: 4, a: 3, b: 2, c: 1 });
    assert.equal(view.state.selectedId, "new", "until somebody chooses, the first is");
    press(view, "down", "down");
    assert.equal(view.state.selectedId, "b");
    show(view, [listed("a"), listed("b"), listed("c")], { a: 1, b: 9, c: 5 });
    assert.deepEqual([ids(view)[0], view.state.selectedId], ["b", "b"]);
    press(view, "end", "down");
    assert.equal(view.state.selectedId, "a");
    show(view, [listed("b"), listed("c")], { b: 1 });
    assert.equal(view.state.selectedId, "c");
    show(view, []);
    assert.deepEqual([view.state.selectedId, press(view, "down", "k").kind], [undefined, "none"]);
    show(view, [listed("z")]);
    assert.equal(view.state.selectedId, "z");
  });

  test("c asks, y alone cancels just the one that was asked about, whatever the list has become; any other key does not", () => {
    const view = show(new View(), [listed("a"), listed("b")], { a: 2, b: 1 });
    press(view, "c");
    assert.deepEqual([view.state.mode, view.state.asked?.command_id], ["confirm", "a"]);
    show(view, [listed("b")]);
    assert.deepEqual(press(view, "y"), { kind: "cancel", commandId: "a" });
    for (const key of ["n", "escape", "enter", "c", "q", "down"]) {
      press(view, "c");
      assert.equal(press(view, key).kind, "none", key);
      assert.deepEqual([view.state.mode, view.state.message], ["list", "nothing was cancelled"]);
    }
  });

  test("attack: what is pasted, or typed faster than it is read, confirms nothing", () => {
    const view = show(new View(), [listed("a")]);
    assert.deepEqual(
      ["c", "y"].map((key) => view.key(key, false).kind),
      ["none", "none"],
    );
    press(view, "c");
    assert.equal(view.key("y", false).kind, "none");
    assert.equal(view.state.mode, "list");
  });

  test("what has ended, and nothing at all, cannot be cancelled; what lingers can", () => {
    const view = show(new View(), []);
    press(view, "c");
    assert.match(view.state.message ?? "", /no command/);
    show(view, [ended("e", 1)]);
    press(view, "c");
    assert.deepEqual([view.state.mode, view.state.message], ["list", "e has ended already"]);
    show(view, [{ ...ended("l", 1), lingering: true }]);
    press(view, "c");
    assert.equal(view.state.mode, "confirm");
  });

  test("q leaves from the list and the help, Ctrl-C from everywhere; any other key leaves the help", () => {
    const view = show(new View(), [listed("a")]);
    assert.equal(press(view, "q").kind, "quit");
    assert.equal(press(view, "?", "q").kind, "quit");
    press(view, "x", "?");
    assert.equal(view.state.mode, "help");
    for (const keys of [["?"], ["c"], []]) assert.equal(press(view, "escape", ...keys, "interrupt").kind, "interrupt");
  });
});

describe("loads", () => {
  const measured = (id: string, cpu_time: number): Listed => listed(id, { usage: { cpu_time, source: "cgroup" } });
  const take = (meter: LoadMeter, atMs: number, ...commands: Listed[]) =>
    meter.take(sampleOf({ commands }), atMs).commands;

  test("the first look is the average since the start, later ones what was used since the sample before", () => {
    const meter = new LoadMeter();
    assert.equal(take(meter, 0, measured("a", 6_500)).get("a"), 10);
    assert.equal(take(meter, 2_000, measured("a", 8_500)).get("a"), 100);
    assert.deepEqual([...take(meter, 4_000, measured("a", 8_500), measured("b", 13_000))], [["a", 0], ["b", 20]]); // prettier-ignore
  });

  test("samples that follow each other fast are held against an older one; a counter that has gone back begins anew", () => {
    const meter = new LoadMeter();
    take(meter, 0, measured("a", 0));
    assert.equal(take(meter, 100, measured("a", 10)).get("a"), 10);
    assert.equal(take(meter, 1_000, measured("a", 10)).get("a"), 1);
    assert.equal(take(meter, 3_000, measured("a", 5)).get("a"), (100 * 5) / 65_000);
  });

  test("what nobody has measured has none", () => {
    assert.deepEqual([...take(new LoadMeter(), 0, listed("a"))], []);
    const { daemon } = new LoadMeter().take(sampleOf({ health: undefined, commands: undefined }), 0);
    assert.equal(daemon, undefined);
  });
});
