/**
 * The named points of a command's life at which kill-points.test.ts kills the daemon. A point is reached by what can be seen from outside: an
 * answer, a notification, a file, a row in the database, a process; where the daemon is too quick for that, its shim is stopped.
 */
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Message, MessageClient } from "@hl/testkit/message-client.ts";
import { isRunning, parentOf } from "@hl/testkit/processes.ts";
import type { TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

export interface At {
  readonly daemon: TestDaemon;
  readonly client: MessageClient;
  readonly id: string;
  /** The answer to `command/execute`; settles never when the daemon dies before. */
  readonly answer: Promise<Message>;
  /** A file of this command in the workspace. */
  path(name: string): string;
}

export interface Point {
  readonly name: string;
  /** A shell script; `$go` is a function that waits until the test lets it go on. */
  readonly script: string;
  readonly request?: object;
  /** Before the request is sent; what it answers is released when the point is over. */
  readonly before?: (daemon: TestDaemon) => Disposable | undefined | Promise<Disposable>;
  /** Resolves at the point. */
  readonly reach: (at: At) => Promise<unknown>;
  /** While there is no daemon. */
  readonly meanwhile?: (at: At) => Promise<unknown>;
  /** With the next daemon. */
  readonly after?: (client: MessageClient, at: At) => Promise<unknown>;
  /** How it may end: reason and exit code. */
  readonly ends: readonly (readonly [reason: string, exitCode: number | undefined])[];
  /** What it has written, where it ended by itself. */
  readonly output?: string;
}

const exited3 = [["exited", 3]] as const;
export const manyLines = 20_000;
const lines = `i=0; while [ $i -lt ${manyLines} ]; do echo line $i; i=$((i+1)); done`;
export const linesText = Array.from({ length: manyLines }, (_, line) => `line ${line}\n`).join("");
const trapped = `trap 'touch $termed' TERM; touch $ready; while :; do sleep 0.02; done`;

const file = (at: At, name: string): Promise<boolean> => until(`${at.id}.${name}`, () => existsSync(at.path(name)));
const letGo = (at: At): void => writeFileSync(at.path("go"), "");
const output = (at: At): Promise<Message> => at.client.next(({ method }) => method === "command/output");

const runDirectory = (daemon: TestDaemon): string => join(daemon.home, "data/runner");

function query(daemon: TestDaemon, sql: string, id: string): Record<string, unknown> | undefined {
  using database = new DatabaseSync(join(daemon.home, "data/state/daemon.db"), { readOnly: true, timeout: 5_000 });
  return database.prepare(sql).get(id);
}

const recordOf = (at: At): Record<string, unknown> | undefined =>
  query(at.daemon, "SELECT * FROM commands WHERE command_id = ?", at.id);

const folderOf = (at: At): string => join(runDirectory(at.daemon), String(recordOf(at)?.["run_id"]));

/** Stops the shims that wait for a request: what is sent to them then lies in their sockets. */
async function stopWaitingShims(daemon: TestDaemon): Promise<Disposable> {
  let last = "";
  // Two are kept ready, and make themselves so beside everything else; of those that have served one may still be there.
  stopped = await until("the same two to wait in two looks", () => {
    const names = readdirSync(runDirectory(daemon)).filter((name) => name.startsWith(".waiting-"));
    const pids = names.map((name) => Number(name.slice(".waiting-".length))).filter(isRunning);
    const isSteady = pids.length === 2 && pids.join() === last;
    last = pids.join();
    return isSteady && pids;
  });
  signalStopped("SIGSTOP");
  return { [Symbol.dispose]: () => signalStopped("SIGCONT") };
}

let stopped: number[] = [];

function signalStopped(signal: NodeJS.Signals): void {
  for (const pid of stopped.filter(isRunning)) process.kill(pid, signal);
}

function lockDatabase(daemon: TestDaemon): Disposable {
  const database = new DatabaseSync(join(daemon.home, "data/state/daemon.db"), { timeout: 5_000 });
  database.exec("BEGIN IMMEDIATE");
  return { [Symbol.dispose]: () => database.close() };
}

let lock: Disposable | undefined;

const points: readonly Point[] = [
  {
    name: "request just sent",
    script: "echo told; exit 3",
    reach: () => new Promise(setImmediate),
    ends: [...exited3, ["interrupted", undefined], ["none", undefined]],
    output: "told\n",
  },
  {
    name: "record durable, START never taken",
    script: "echo told; exit 3",
    before: stopWaitingShims,
    reach: (at) => until("its record", () => recordOf(at) !== undefined),
    meanwhile: async () => signalStopped("SIGKILL"),
    ends: [["interrupted", undefined]],
  },
  {
    name: "START sent, taken only behind the crash",
    script: "echo told; exit 3",
    before: stopWaitingShims,
    reach: async (at) => {
      await until("its record", () => recordOf(at) !== undefined);
      await at.client.call("system/ping"); // A turn of the loop later the request is on its way.
      await at.client.call("system/ping");
    },
    meanwhile: (at) => {
      signalStopped("SIGCONT");
      return until("START to be taken", () => existsSync(at.path("effect")) || !stopped.some(isRunning));
    },
    ends: [...exited3, ["interrupted", undefined]],
    output: "told\n",
  },
  { name: "STARTED", script: "$go; echo told; exit 3", reach: (at) => at.answer, ends: exited3, output: "told\n" },
  {
    name: "first output",
    script: "echo told; $go; exit 3",
    reach: output,
    ends: exited3,
    output: "told\n",
  },
  {
    name: "mid output",
    script: `${lines}; $go; exit 3`,
    reach: (at) => at.client.next(({ method, params }) => method === "command/output" && params.position > 50_000),
    ends: exited3,
    output: linesText,
  },
  {
    name: "stdin half written",
    script: "head -c 1000; touch $half; $go; wc -c > $rest; exit 3",
    request: { stdin: true },
    reach: async (at) => {
      await at.answer;
      const data = "x".repeat(700_000);
      at.client.call("command/input", { command_id: at.id, data }).catch(() => {}); // The pipe takes 64 KiB of it.
      await file(at, "half");
    },
    after: (client, at) => client.call("command/input", { command_id: at.id, data: "", eof: true }),
    ends: exited3,
    output: "x".repeat(1_000),
  },
  {
    name: "a subscriber is attached",
    script: `echo first; $go; ${lines}; exit 3`,
    reach: async (at) => {
      await output(at);
      using second = await at.daemon.connect();
      await second.call("command/subscribe", { command_id: at.id, offset: 0 });
      await output({ ...at, client: second });
    },
    ends: exited3,
    output: `first\n${linesText}`,
  },
  {
    name: "a reader stalls",
    script: `${lines}; ${lines}; touch $written; $go; exit 3`,
    reach: async (at) => {
      await at.answer;
      at.client.pause();
      await file(at, "written");
    },
    ends: exited3,
    output: linesText + linesText,
  },
  {
    name: "right at the exit",
    script: "touch $ready; $go; echo told; exit 3",
    reach: async (at) => {
      await file(at, "ready");
      letGo(at);
    },
    ends: exited3,
    output: "told\n",
  },
  {
    name: "end known and not stored",
    script: "touch $ready; $go; echo told; exit 3",
    reach: async (at) => {
      await at.answer;
      await file(at, "ready");
      const directory = folderOf(at);
      lock = lockDatabase(at.daemon);
      letGo(at);
      // Its shim writes it when END was sent and RELEASE did not come.
      await until("its end record", () => existsSync(join(directory, "end")));
    },
    meanwhile: async () => lock?.[Symbol.dispose](),
    ends: exited3,
    output: "told\n",
  },
  {
    name: "end stored and not released",
    script: "touch $ready; $go; echo told; exit 3",
    reach: async (at) => {
      const { process_id: pid } = await at.answer;
      await file(at, "ready");
      stopped = [parentOf(pid)];
      letGo(at);
      await at.client.next(({ method }) => method === "command/exited");
      signalStopped("SIGSTOP");
      await until("its end to be stored", () => recordOf(at)?.["ended_ms"] !== null);
    },
    meanwhile: async () => signalStopped("SIGCONT"),
    ends: exited3,
    output: "told\n",
  },
  {
    name: "released",
    script: "touch $ready; $go; echo told; exit 3",
    reach: async (at) => {
      const shim = parentOf((await at.answer).process_id);
      await file(at, "ready");
      letGo(at);
      await until("its shim to leave", () => !isRunning(shim));
    },
    ends: exited3,
    output: "told\n",
  },
  {
    name: "cancelling, TERM sent",
    script: trapped,
    reach: async (at) => {
      await file(at, "ready");
      at.client.call("command/cancel", { command_id: at.id, grace: 1 }).catch(() => {});
      await file(at, "termed");
    },
    ends: [["cancelled", undefined]],
  },
  {
    name: "cancelling, KILL sent",
    script: trapped,
    reach: async (at) => {
      const { process_id: pid } = await at.answer;
      await file(at, "ready");
      at.client.call("command/cancel", { command_id: at.id, grace: 0 }).catch(() => {});
      await until("it to be killed", () => !isRunning(pid));
    },
    ends: [["cancelled", undefined]],
  },
  {
    name: "in the grace of a timeout",
    script: trapped,
    request: { timeout: 5 }, // By then it has its trap.
    reach: (at) => file(at, "termed"),
    ends: [["timeout", undefined]],
  },
  {
    name: "a background child behind the exit",
    script: 'setsid sh -c "touch $child; exec sleep 1000" & while [ ! -e $child ]; do sleep 0.02; done; exit 3',
    reach: (at) => at.client.next(({ method }) => method === "command/exited"),
    after: (client, at) => client.call("command/cancel", { command_id: at.id, grace: 0 }),
    ends: exited3,
    output: "",
  },
];

export function killPoints(): readonly Point[] {
  return points;
}
