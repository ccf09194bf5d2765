/**
 * Goal: whatever a command is called and however small the terminal, a frame has its lines and no more, no line is wider, and nothing in it is
 * obeyed by the terminal. Method: frames of the pure function over samples, attacks among them.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { displayWidth } from "../render/width.ts";
import { paintFor } from "../render/paint.ts";
import { diskAlert, healthSample, infoSample } from "../testing/samples.ts";
import { frameOf } from "./frame.ts";
import { LoadMeter } from "./loads.ts";
import type { Sample } from "./sample.ts";
import { agent, ended, listed, sampleOf } from "./samples.fixture.test.ts";
import { stopwatch } from "./sections.ts";
import { View } from "./view.ts";

const plain = paintFor(false, {});
const coloured = paintFor(true, {});

function viewOf(sample: Sample, keys: readonly string[] = []): View {
  const view = new View();
  view.show(sample, new LoadMeter().take(sample, 0));
  for (const key of keys) view.key(key, true);
  return view;
}

const linesOf = (view: View, rows: number, columns: number): string[] => frameOf(view.state, { rows, columns }, plain);

/** Takes the terminal over: clears it, renames the window, moves up, reads backwards, and is wide. */
const evil = "\u001b[2J\u001b]0;owned\u0007\r\n\u009b1A\u202egpj\u2028\u0000日本🙂e\u0301";

const attacked = sampleOf({
  info: { ...infoSample, instance_id: evil, version: evil },
  health: { ...healthSample, alerts: [{ ...diskAlert, title: evil, text: evil, code: evil }] },
  commands: [
    listed(evil.repeat(9), { command: evil, args: [evil.repeat(50)], user: evil }),
    listed("other", { args: [] }),
  ],
  agents: [agent(evil, { protocol: evil, workspace_path: evil.repeat(20), session_id: evil })],
});

describe("a frame", () => {
  test("attack: text of commands, agents and findings is shown and never obeyed, in the question and in messages too", () => {
    const views = [viewOf(attacked), viewOf(attacked, ["c"]), viewOf(attacked, ["?"]), viewOf(attacked)];
    views.at(-1)?.tell(`${evil} ended`);
    const lost = viewOf(attacked);
    lost.lost(evil);
    const refused = { health: evil, commands: evil, agents: evil };
    views.push(lost, viewOf({ ...attacked, health: undefined, commands: undefined, agents: undefined, refused }));
    for (const view of views) {
      for (const [rows, columns] of [
        [24, 80],
        [50, 200],
        [10, 40],
        [3, 7],
        [1, 1],
        [2, 300],
      ] as const) {
        const lines = frameOf(view.state, { rows, columns }, coloured);
        assert.equal(lines.length, rows);
        for (const line of lines) {
          // Colours are the only sequences, and ours.
          const bare = line.replaceAll(/\u001b\[(?:[12]|2[2]|3[1239]|39)m/g, "");
          assert.doesNotMatch(bare, /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u, JSON.stringify(line));
          assert.ok(displayWidth(bare) <= columns, `${columns}: ${JSON.stringify(bare)}`);
        }
      }
    }
    assert.match(linesOf(viewOf(attacked), 24, 200).join("\n"), /\\x1b\[2J\\x1b\]0;owned\\x07\\r\\n/);
  });

  test("80 by 24: health with its findings, resources, spool by lane, agents, commands, and the keys", () => {
    const spool = {
      ...{ ...healthSample.spool, depth: 3, bytes: 2_048, oldest_age: 12, gaps: 1 },
      lanes: [
        { lane: "critical", depth: 1, bytes: 1_024, oldest_age: 12 },
        { lane: "metric", depth: 0, bytes: 0, oldest_age: 0 },
      ],
    };
    const process = { ...healthSample.process, cpu_seconds: 7.45, open_fds: 40 };
    const health = { ...healthSample, status: "degraded" as const, alerts: [diskAlert], spool, process };
    const agents = [agent("a-1", { approvals_open: 2 }), agent("a-2", { status: "ended" })];
    const shown = linesOf(viewOf(sampleOf({ health, agents })), 24, 100).map((line) => line.trimEnd());
    assert.deepEqual(shown.slice(0, 6), [
      "hl-daemon 0.1.0  vm-1  degraded  up 1 h 2 min  no cloud",
      "  machine cpu 12.3 %  load 0.10 0.20 0.30  disk 40.0 %  memory 512 MiB of 4 GiB",
      "  daemon  cpu 0.2 %  55.5 MB resident  loop 1.5 ms  40 descriptors",
      "  spool   3 events unacknowledged, 2 KiB, oldest 12 s, 1 gap",
      "  lanes   critical 1 (1 KiB, 12 s)  metric 0",
      "  warning disk_low: The disk is nearly full: Free some space.",
    ]);
    assert.deepEqual(shown.slice(6), [
      "agents  1 running",
      "  AGENT  PROTOCOL     STATE    TURNS   COST  ASKS  MEMORY  WORKSPACE",
      "  a-1    stream-json  running      3  $1.23     2          /home/developer/workspace",
      "commands  2 running, 14 finished, the newest 1 shown  by cpu",
      "  ID   STATE     PID  USER       TIME  CPU %   MEMORY  COMMAND",
      "> c-1  running  4711  developer  1:05   10.0  12.5 MB  sleep 600",
      ...Array<string>(11).fill(""),
      "q quit  up/down choose  c cancel  s sort  ? help",
    ]);
  });

  test("a narrow terminal gives up columns, the least important first, and keeps what a command is", () => {
    const titles = (columns: number): string | undefined =>
      linesOf(viewOf(sampleOf()), 24, columns)
        .find((line) => line.includes("STATE") && line.includes("ID"))
        ?.trim();
    assert.match(titles(80) ?? "", /USER/);
    assert.doesNotMatch(titles(60) ?? "", /USER/);
    for (const columns of [60, 44]) assert.match(titles(columns) ?? "", /^ID +STATE .*CPU % .*COMMAND$/);
  });

  test("a low terminal keeps the commands: what has no room is counted, and the list moves with what is chosen", () => {
    const alerts = Array.from({ length: 9 }, (_, at) => ({ ...diskAlert, code: `check_${at}` }));
    const commands = Array.from({ length: 30 }, (_, at) =>
      listed(`c-${String(at).padStart(2, "0")}`, { started_at: -at }),
    );
    const sample = sampleOf({ health: { ...healthSample, alerts }, commands });
    const down = Array<string>(20).fill("down");
    const low = linesOf(viewOf(sample, ["s", "s", "s", ...down]), 14, 80);
    assert.match(low.join("\n"), /… \d+ more/);
    assert.equal(low.filter((line) => /^[> ] c-\d\d/.test(line)).length >= 5, true);
    assert.equal(
      low
        .filter((line) => line.startsWith("> "))
        .join("")
        .slice(0, 6),
      "> c-20",
    );
    assert.equal(linesOf(viewOf(sample), 1, 80)[0]?.startsWith("hl-daemon"), true);
    assert.match(linesOf(viewOf(sample, ["c"]), 1, 80)[0] ?? "", /^cancel c-00\?/);
  });

  test("a part that may not be seen says why; without a connection what was seen last stays, and the first line says so", () => {
    const refused = { commands: "the role viewer lacks process:execute", agents: "no" };
    const view = viewOf(sampleOf({ commands: undefined, agents: undefined, refused }));
    const text = linesOf(view, 24, 80).join("\n");
    assert.match(text, /commands {2}not shown: the role viewer lacks process:execute/);
    const connected = viewOf(sampleOf());
    connected.lost("the socket is gone");
    const [first, ...rest] = linesOf(connected, 24, 80);
    assert.match(first ?? "", /^hl-daemon 0\.1\.0 {2}vm-1 {2}disconnected, connecting again: the socket is gone$/);
    assert.match(rest.join("\n"), /sleep 600/);
    connected.show(sampleOf({ commands: [ended("e", 3)] }), { daemon: undefined, commands: new Map() });
    assert.match(linesOf(connected, 24, 80)[0] ?? "", /healthy/);
    assert.equal(linesOf(new View(), 3, 80)[0], "connecting …");
  });
});

test("times as a stopwatch", () => {
  const cases = [-1, 0, 59.9, 60, 3_599, 3_600, 86_399, 86_400, 200_000];
  const shown = cases.map(stopwatch);
  assert.deepEqual(shown, ["0:00", "0:00", "0:59", "1:00", "59:59", "1:00:00", "23:59:59", "1d 00:00", "2d 07:33"]);
});
