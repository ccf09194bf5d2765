import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { HlError } from "@hl/protocol/errors.ts";
import { resultOf, succeeded } from "./testing/fake-command.ts";
import { FakeDaemon, type FakeHandlers } from "./testing/fake-daemon.ts";
import { inProcess, InProcess } from "./testing/in-process.ts";
import { runClient } from "./testing/run-client.ts";
import { diskAlert, healthSample, infoSample } from "./testing/samples.ts";

// Goal: every verb asks the right thing, prints it for people and as JSON, and exits with the right code.
// Method: hl-client in this process against a scripted daemon on real sockets; a few run as real programs in exec.test.ts.

async function start(t: TestContext, handlers: FakeHandlers): Promise<FakeDaemon> {
  const daemon = await FakeDaemon.start(handlers);
  t.after(() => daemon[Symbol.asyncDispose]());
  return daemon;
}

const paramsOf = (daemon: FakeDaemon, method: string): unknown =>
  daemon.asked.find((request) => request.method === method)?.params;

const healthHandlers: FakeHandlers = {
  "system/info": async () => infoSample,
  "system/health": async () => ({ ...healthSample, alerts: [diskAlert] }),
};

test("status: one screen for people, both results as JSON", async (t) => {
  const daemon = await start(t, healthHandlers);
  const people = await inProcess([...daemon.local, "status"]);
  assert.equal(people.code, 0);
  assert.match(people.stdout, /hl-daemon 0\.1\.0 {2}healthy/);
  assert.match(people.stdout, /up +1 h 2 min/);
  assert.match(people.stdout, /warning: The disk is nearly full \(disk_low\)/);
  assert.doesNotMatch(people.stdout, /\x1b/, "no colour where there is no terminal");
  const json = await inProcess(["--json", ...daemon.local, "status"]);
  assert.deepEqual(Object.keys(JSON.parse(json.stdout)), ["info", "health"]);
});

test("colour only on a terminal and never against NO_COLOR", async (t) => {
  const daemon = await start(t, healthHandlers);
  assert.match((await inProcess([...daemon.local, "status"], { columns: 100 })).stdout, /\x1b\[32mhealthy/);
  const without = await inProcess([...daemon.local, "status"], { columns: 100, env: { NO_COLOR: "1" } });
  assert.doesNotMatch(without.stdout, /\x1b/);
});

for (const [status, code] of [
  ["healthy", 0],
  ["unhealthy", 1],
  ["degraded", 2],
] as const) {
  test(`health: ${status} exits ${code}`, async (t) => {
    const daemon = await start(t, { "system/health": async () => ({ ...healthSample, status }) });
    assert.equal((await inProcess([...daemon.local, "health"])).code, code);
    const json = await inProcess([...daemon.local, "health", "--json"]);
    assert.deepEqual([json.code, JSON.parse(json.stdout).status], [code, status]);
  });
}

test("ps: an aligned table; escape sequences of a command's arguments never reach the terminal", async (t) => {
  const listed = {
    status: "completed",
    reason: "exited",
    exit_code: 0,
    process_id: 1,
    started_at: 0,
    ended_at: 2,
  } as const;
  const daemon = await start(t, {
    "command/list": async () => ({
      commands: [
        { ...listed, command_id: "a", command: "git", args: ["commit", "-m", "two words"] },
        {
          ...listed,
          command_id: "long-id",
          command: "evil",
          args: ["\x1b]0;owned\x07\x1b[2J", "\u202egpj.exe", "日本"],
        },
      ],
    }),
  });
  const result = await inProcess([...daemon.local, "ps"]);
  assert.doesNotMatch(result.stdout, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
  const [head, first, second] = result.stdout.split("\n");
  assert.equal(head!.indexOf("COMMAND"), first!.indexOf("git commit -m 'two words'"));
  assert.equal(head!.indexOf("COMMAND"), second!.indexOf("evil"));
  assert.match(second!, /\\x1b\]0;owned\\x07\\x1b\[2J.*\\u\{202e\}gpj/);
  const json = await inProcess([...daemon.local, "--json", "ps"]);
  assert.equal(JSON.parse(json.stdout).commands[1].args[0], "\x1b]0;owned\x07\x1b[2J");
});

test("logs: every page, byte for byte per stream; what is no longer kept is told", async (t) => {
  const chunk = (stream: "stdout" | "stderr", offset: number, data: string) => ({
    stream,
    offset,
    data,
    encoding: "utf8" as const,
  });
  const daemon = await start(t, {
    "command/logs": async ({ offset }) =>
      offset === 0
        ? {
            chunks: [chunk("stdout", 5, "one\n"), chunk("stderr", 0, "err\n")],
            next_offset: 13,
            eof: false,
            skipped_bytes: 5,
          }
        : { chunks: [chunk("stdout", 9, "two\n")], next_offset: 17, eof: true, skipped_bytes: 0 },
  });
  const result = await inProcess([...daemon.local, "logs", "id"]);
  assert.deepEqual([result.code, result.stdout], [0, "one\ntwo\n"]);
  assert.match(result.stderr, /5 bytes of output are missing[^\n]*\nerr\n/);
});

test("kill: cancels and tells the end, or sends a signal", async (t) => {
  const daemon = await start(t, {
    "command/cancel": async ({ command_id }) =>
      resultOf(command_id, { status: "failed", reason: "cancelled", signal: "SIGTERM" }),
    "command/signal": async () => ({ delivered: true }),
  });
  const ended = await inProcess([...daemon.local, "kill", "c1", "--grace", "0"]);
  assert.match(ended.stdout, /^c1 ended: cancelled SIGTERM/);
  assert.deepEqual(paramsOf(daemon, "command/cancel"), { command_id: "c1", grace: 0 });
  await inProcess([...daemon.local, "kill", "c1", "--signal", "hup"]);
  assert.deepEqual(paramsOf(daemon, "command/signal"), { command_id: "c1", signal: "SIGHUP" });
  assert.equal((await inProcess([...daemon.local, "kill", "c1", "--signal", "NOPE"])).code, 64);
});

test("events emit: accepted exits 0, rejected 1 with the reason; data may come from standard input", async (t) => {
  const daemon = await start(t, { "event/stream": async ({ event_id }) => ({ event_id, status: "accepted" }) });
  const accepted = await inProcess(
    [...daemon.local, "events", "emit", "a.b", "-", "--severity", "error", "--id", "e1"],
    { stdin: '{"n":1}' },
  );
  assert.deepEqual([accepted.code, accepted.stdout], [0, "accepted e1\n"]);
  const sent = paramsOf(daemon, "event/stream") as Record<string, unknown>;
  assert.deepEqual([sent.event_type, sent.data, sent.severity], ["a.b", { n: 1 }, "error"]);
  daemon.handlers["event/stream"] = async ({ event_id }) => ({ event_id, status: "rejected", reason: "full" });
  const rejected = await inProcess([...daemon.local, "events", "emit", "a.b"]);
  assert.equal(rejected.code, 1);
  assert.match(rejected.stderr, /rejected: full/);
  assert.equal((await inProcess([...daemon.local, "events", "emit", "a.b", "{"])).code, 64);
});

test("S2: events tail goes on behind the last event after a lost connection, and from the start of a new epoch", async (t) => {
  const event = (epoch: string, seq: number) => ({
    event_id: `${epoch}${seq}`,
    event_type: "t",
    timestamp: 0,
    data: { seq },
    severity: "info" as const,
    epoch,
    seq,
  });
  const daemon = await start(t, {});
  let epoch = "a";
  daemon.handlers["event/subscribe"] = async ({ after = 0 }, call) => {
    call.stream(async () => {
      if (after < 2) for (let seq = after + 1; seq <= 2; seq += 1) await call.notify("event/event", event(epoch, seq));
    });
    return { epoch, next_seq: 3 };
  };
  const client = new InProcess([...daemon.local, "--json", "events", "tail", "--after", "0", "--type", "t"]);
  await client.until(() => client.stdout.includes('"a2"'));
  daemon.cutConnections();
  await daemon.untilAsked("event/subscribe", 2);
  epoch = "b";
  daemon.cutConnections();
  await client.until(() => client.stdout.includes('"b2"'));
  client.interrupt();
  assert.equal(await client.exitCode, 130);
  const subscriptions = daemon.asked.map(({ params }) => (params as { after: number }).after);
  assert.deepEqual(subscriptions.slice(0, 2), [0, 2]);
  assert.equal(subscriptions.at(-1), 0);
  const ids = client.stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line).event_id);
  assert.deepEqual(ids, ["a1", "a2", "b1", "b2"]);
});

test("claude send: deltas as they come and not again as a whole; a final error exits 1", async (t) => {
  const daemon = await start(t, {});
  daemon.handlers["claude/relay"] = async ({ process_id, relay_id }, call) => {
    const say = (type: string, data: unknown) => call.notify("claude/message", { process_id, type, data });
    await say("delta", { kind: "thinking", text: "hmm" });
    await say("delta", { kind: "text", text: "Hel" });
    await say("delta", { kind: "text", text: "lo\x1b[2J" });
    await say("message", { text: "Hello\x1b[2J", thinking: "hmm" });
    await say("message", { text: "Whole" });
    return {
      process_id,
      response: { type: "result", result: "Whole", is_error: false },
      execution_time: 1,
      relay_id: relay_id!,
    };
  };
  const result = await inProcess([...daemon.local, "claude", "send", "p1", "say", "hello"]);
  assert.deepEqual([result.code, result.stdout], [0, "Hello\\x1b[2J\nWhole\n"]);
  assert.equal((paramsOf(daemon, "claude/relay") as { message: unknown }).message, "say hello");
  daemon.handlers["claude/relay"] = async ({ process_id, relay_id }) => ({
    process_id,
    response: { type: "result", result: "API error", is_error: true },
    execution_time: 1,
    relay_id: relay_id!,
  });
  const failed = await inProcess([...daemon.local, "claude", "send", "p1", "x"]);
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /API error/);
});

test("claude send: Ctrl-C interrupts the turn and waits for its answer", async (t) => {
  const interrupted = Promise.withResolvers<undefined>();
  const daemon = await start(t, {
    "claude/relay": async ({ process_id, relay_id }) => {
      await interrupted.promise;
      return {
        process_id,
        response: { is_error: true, result: "interrupted" },
        execution_time: 1,
        relay_id: relay_id!,
      };
    },
    "claude/interrupt": async ({ process_id }) => {
      interrupted.resolve(undefined);
      return { process_id, interrupted: true };
    },
  });
  const client = new InProcess([...daemon.local, "claude", "send", "p1", "x"]);
  await daemon.untilAsked("claude/relay");
  client.interrupt();
  assert.equal(await client.exitCode, 130);
});

test("claude start, list and stop", async (t) => {
  const daemon = await start(t, {
    "claude/start": async () => ({
      process_id: "p1",
      pid: 5,
      status: "started",
      stdio_ready: true,
      session_id: "s",
      protocol: "acp",
    }),
    "claude/list": async () => ({
      processes: [
        {
          process_id: "p1",
          pid: 5,
          status: "idle",
          session_id: "s",
          protocol: "acp",
          workspace_path: "/w",
          started_at: 0,
          turns: 3,
        },
      ],
    }),
    "claude/stop": async ({ process_id }) => ({ process_id, status: "stopped", exit_code: 0 }),
  });
  assert.equal(
    (await inProcess([...daemon.local, "claude", "start", "--workspace", "/w", "--model", "m", "--resume", "s"]))
      .stdout,
    "p1\n",
  );
  assert.deepEqual(paramsOf(daemon, "claude/start"), {
    workspace_path: "/w",
    resume: "s",
    config_overrides: { model: "m" },
  });
  assert.match((await inProcess([...daemon.local, "claude", "list"])).stdout, /p1 +idle +acp +3 .* s +\/w/);
  assert.match(
    (await inProcess([...daemon.local, "claude", "stop", "p1", "--force"])).stdout,
    /p1 stopped, exit code 0/,
  );
  assert.deepEqual(paramsOf(daemon, "claude/stop"), { process_id: "p1", force: true, timeout: 5 });
});

test("rpc: any method over every way in; an error keeps its number and facts", async (t) => {
  const daemon = await start(t, { "system/ping": async () => ({ pong: true, version: "9" }) });
  const url = ["--url", daemon.url, "--token-file", join(daemon.home, "data/auth/local_token")];
  for (const where of [daemon.local, daemon.remote, url]) {
    assert.deepEqual(JSON.parse((await inProcess([...where, "rpc", "system/ping", "{}"])).stdout), {
      pong: true,
      version: "9",
    });
  }
  assert.deepEqual(daemon.upgrades, ["/v1/instances/vm%201/rpc", "/rpc"]);
  const result = await inProcess([...daemon.local, "--json", "rpc", "system/health", "-"], {
    stdin: '{"detailed": 1}',
  });
  const { error } = JSON.parse(result.stderr);
  assert.deepEqual(
    [result.code, result.stdout, error.code, error.error_type, error.data.problems[0].path],
    [1, "", -32602, "invalid_params", "detailed"],
  );
  assert.equal((await inProcess([...daemon.local, "rpc", "x", "3"])).code, 64);
});

test("config check: every problem of the files, exit 0 or 78", async (t) => {
  const daemon = await start(t, {});
  mkdirSync(join(daemon.home, "config"));
  const check = ["config", "check", "--home", daemon.home];
  assert.equal((await inProcess(check)).code, 0);
  writeFileSync(join(daemon.home, "config/daemon.json"), '{"local_api": {"http_prot": 1}, "nonsense": true}');
  const wrong = await inProcess(check);
  assert.equal(wrong.code, 78);
  assert.match(wrong.stdout, /http_prot[^]*nonsense[^]*2 problems/);
  const json = await inProcess([...check, "--json"]);
  assert.deepEqual([json.code, JSON.parse(json.stdout).problems.length], [78, 2]);
});

const levelChange = {
  file: "daemon.json",
  pointer: "/logging/level",
  before: "INFO",
  after: "DEBUG",
  reload: "live",
} as const;
const countChange = {
  file: "daemon.json",
  pointer: "/logging/backup_count",
  before: 5,
  after: 6,
  reload: "restart",
} as const;

test("config get: keys with their source, what waits and what does not hold", async (t) => {
  const daemon = await start(t, {
    "system/config/get": async () => ({
      config: { level: "DEBUG", levels: {}, environment: { A: "1", "B\u001b[2J": "2" } },
      sources: { "/logging/level": "HL_LOGGING__LEVEL", "/logging/environment": "/etc/hl/daemon.json" },
      waiting: [countChange],
      rejected: ["logging.levle is not a known key"],
    }),
  });
  const get = ["config", "get", "logging"];
  const { stdout, stderr, code } = await inProcess([...daemon.local, ...get]);
  assert.equal(code, 0);
  assert.match(stdout, /logging\.level +HL_LOGGING__LEVEL +"DEBUG"/);
  assert.match(stdout, /logging\.levels +default +\{\}/);
  assert.match(stdout, /logging\.environment\.A +\/etc\/hl\/daemon\.json +"1"/);
  assert.doesNotMatch(stdout, /\x1b/);
  assert.match(stderr, /waits for the next start: logging\.backup_count 5 → 6[^]*does not hold: logging\.levle/);
  assert.deepEqual(paramsOf(daemon, "system/config/get"), { config_section: "logging" });
  const json = await inProcess([...daemon.local, "--json", ...get]);
  assert.equal(JSON.parse(json.stdout).waiting[0].after, 6);
});

test("config set and unset: all in one update; values are JSON or text; what holds when", async (t) => {
  const result = {
    ...{ success: true, restart_required: true, changes: [levelChange, countChange], waiting: [countChange] },
    overruled: [{ pointer: "/logging/format", variable: "HL_LOGGING__FORMAT" }],
  };
  const daemon = await start(t, { "system/config/update": async () => result });
  const assignments = [
    "logging.level=debug",
    "logging.backup_count=6",
    'process_management.allowed_commands=["ls", "a=b"]',
  ];
  const set = await inProcess([...daemon.local, "config", "set", ...assignments, "local_api.socket_path="]);
  assert.equal(set.code, 0, set.stderr);
  assert.match(
    set.stdout,
    /logging\.level "INFO" → "DEBUG" \(at once\)\nlogging\.backup_count 5 → 6 \(at the next start\)/,
  );
  assert.match(set.stderr, /logging\.format is set, but HL_LOGGING__FORMAT/);
  assert.deepEqual(paramsOf(daemon, "system/config/update"), {
    config_section: "",
    config_data: {
      logging: { level: "debug", backup_count: 6 },
      process_management: { allowed_commands: ["ls", "a=b"] },
      local_api: { socket_path: "" },
    },
    dry_run: false,
  });
  daemon.asked.length = 0;
  await inProcess([...daemon.local, "config", "unset", "logging.level", "process_management", "--dry-run"]);
  assert.deepEqual(paramsOf(daemon, "system/config/update"), {
    ...{ config_section: "", reset: ["logging.level", "process_management"], dry_run: true },
  });
  assert.equal((await inProcess([...daemon.local, "config", "set", "logging.level"])).code, 64);
  assert.equal((await inProcess([...daemon.local, "config", "set", "=1"])).code, 64);
});

test("config set: a refusal says every problem", async (t) => {
  const problems = ["logging.level must be one of a few", "logging.levle is not a known key"];
  const daemon = await start(t, {
    "system/config/update": async () => {
      throw new HlError("config_invalid", `${problems[0]} (and 1 more)`, { validation_errors: problems });
    },
  });
  const set = ["config", "set", "logging.level=loud"];
  const people = await inProcess([...daemon.local, ...set]);
  assert.notEqual(people.code, 0);
  for (const problem of problems) assert.ok(people.stderr.includes(problem), people.stderr);
  const json = await inProcess([...daemon.local, "--json", ...set]);
  assert.deepEqual(JSON.parse(json.stderr).error.data.validation_errors, problems);
});

test("config diff: against the defaults, or what a reload would change", async (t) => {
  const daemon = await start(t, {
    "system/config/get": async ({ compare }) => ({
      ...{ config: {}, sources: {} },
      differences: compare === "files" ? [{ ...levelChange, file: "security.json", before: undefined }] : [],
    }),
  });
  const files = await inProcess([...daemon.local, "config", "diff", "--files", "logging"]);
  assert.match(files.stdout, /security\.json logging\.level +live +none → "DEBUG"/);
  assert.deepEqual(paramsOf(daemon, "system/config/get"), { config_section: "logging", compare: "files" });
  const none = await inProcess([...daemon.local, "config", "diff"]);
  assert.deepEqual([none.code, none.stdout], [0, ""]);
  assert.match(none.stderr, /no difference/);
});

test("a wrong token, no token, no socket, a dead socket, an unreachable cloud: what, why, what to do", async (t) => {
  const daemon = await start(t, {});
  const wrongToken = join(daemon.home, "wrong");
  writeFileSync(wrongToken, "nope\n");
  const cases: [args: string[], code: number, says: RegExp][] = [
    [[...daemon.local, "--token-file", wrongToken, "ps"], 77, /the token is not valid\n {2}Use the token in/],
    [
      ["--cloud", daemon.url, "--instance", "i", "--token-file", wrongToken, "ps"],
      77,
      /the token is not valid\n {2}Get another/,
    ],
    [[...daemon.local, "--token-file", "/nowhere/token", "ps"], 77, /\/nowhere\/token does not exist\n {2}\S/],
    [["--socket", "/nowhere/daemon.sock", "ps"], 69, /no such socket\n {2}Start the daemon/],
    [["--socket", wrongToken, "ps"], 69, /ECONNREFUSED|nobody listens|not a socket/],
    [
      ["--cloud", "http://127.0.0.1:1", "--instance", "i", "--token-file", wrongToken, "ps"],
      69,
      /connection was refused[^]*Check --cloud/,
    ],
    [["--cloud", "http://example.com", "--instance", "i", "ps"], 64, /not sent over plain http/],
    [["--cloud", daemon.url, "ps"], 64, /needs --instance/],
    [["--url", "x:y", "--socket", "s", "ps"], 64, /exclude each other/],
    [["frobnicate"], 64, /unknown command/],
    [["ps", "--limit", "many"], 64, /whole number/],
    [["exec"], 64, /missing required argument/],
  ];
  for (const [args, code, says] of cases) {
    const result = await inProcess(args);
    assert.deepEqual([args.join(" "), result.code, result.stdout], [args.join(" "), code, ""]);
    assert.match(result.stderr, says);
  }
});

test("logs -f ends with the command and leaves it alone on Ctrl-C; an unknown id says so", async (t) => {
  const end = Promise.withResolvers<undefined>();
  const daemon = await start(t, {
    "command/subscribe": async ({ command_id }, call) => {
      if (command_id === "gone") throw new HlError("command_unknown", "no command gone");
      call.stream(async () => {
        const output = { command_id, offset: 0, encoding: "utf8" };
        await call.notify("command/output", { ...output, stream: "stdout", position: 0, data: "out\n" });
        await call.notify("command/output", { ...output, stream: "stderr", position: 4, data: "err\n" });
        await end.promise;
        await call.notify("command/exited", resultOf(command_id, succeeded));
      });
      return resultOf(command_id);
    },
  });
  const client = new InProcess([...daemon.local, "logs", "-f", "c1", "--stream", "stdout"]);
  await client.until(() => client.stdout === "out\n");
  client.interrupt();
  assert.equal(await client.exitCode, 130);
  end.resolve(undefined);
  const whole = await inProcess([...daemon.local, "logs", "-f", "c1"]);
  assert.deepEqual([whole.code, whole.stdout, whole.stderr], [0, "out\n", "err\n"]);
  assert.equal((await inProcess([...daemon.local, "logs", "-f", "gone"])).code, 1);
});

test("the real program: a table, and a reader that leaves", async (t) => {
  const daemon = await start(t, { "command/list": async () => ({ commands: [] }) });
  const result = await runClient([...daemon.local, "ps"]);
  assert.deepEqual([result.code, result.stderr], [0, ""]);
  assert.match(result.stdout.toString(), /^ID +STATUS/);
});
