import { once } from "node:events";
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test, type TestContext } from "node:test";
import { HlError } from "@hl/protocol/errors.ts";
import { FakeCommand, resultOf, succeeded, type Step } from "./testing/fake-command.ts";
import { FakeDaemon } from "./testing/fake-daemon.ts";
import { RunningClient, runClient } from "./testing/run-client.ts";

// Goal: exec gives exactly the command's bytes and its exit code, and ends as the user asks, whatever happens to the connection.
// Method: the real program as a child process; only the daemon is scripted, behind the real sockets and the real contract.

async function daemonWith(t: TestContext, command: FakeCommand): Promise<FakeDaemon> {
  const daemon = await FakeDaemon.start(command.handlers);
  t.after(() => daemon[Symbol.asyncDispose]());
  return daemon;
}

const exec = (daemon: FakeDaemon, ...args: string[]): string[] => [...daemon.local, "exec", ...args];

test("P6: binary output of both streams arrives byte for byte, over the socket and through the cloud", async (t) => {
  const stdout = Buffer.concat([randomBytes(300_000), Buffer.from([0, 0xff, 0xc3])]);
  const stderr = Buffer.from("é\0\x1b[31m");
  const steps: Step[] = [];
  for (let at = 0; at < stdout.length; at += 50_000) steps.push({ write: stdout.subarray(at, at + 50_000) });
  steps.push({ write: stderr.subarray(0, 1), to: "stderr" }, { write: stderr.subarray(1), to: "stderr" });
  const daemon = await daemonWith(t, new FakeCommand(steps, { status: "failed", reason: "exited", exit_code: 7 }));
  for (const where of [daemon.local, daemon.remote]) {
    const result = await runClient([
      ...where,
      "exec",
      "--cwd",
      "/w",
      "--env",
      "A=b=c",
      "--timeout",
      "9",
      "--",
      "git",
      "--version",
      "-x",
    ]);
    assert.deepEqual([result.code, result.stderr], [7, stderr.toString()]);
    assert.ok(result.stdout.equals(stdout));
  }
  assert.deepEqual(daemon.upgrades, ["/v1/instances/vm%201/rpc"]);
  const sent = daemon.asked.find(({ method }) => method === "command/execute")?.params as Record<string, unknown>;
  assert.match(String(sent.command_id), /^[0-9a-f-]{36}$/);
  assert.deepEqual(
    { ...sent, command_id: "" },
    {
      command_id: "",
      command: "git",
      args: ["--version", "-x"],
      cwd: "/w",
      env: { A: "b=c" },
      timeout: 9,
      stdin: false,
      stream_output: true,
      output_encoding: "base64",
    },
  );
});

const endings: readonly [name: string, end: Parameters<typeof resultOf>[1], code: number, says: RegExp][] = [
  ["a signal", { status: "failed", reason: "signalled", signal: "SIGKILL" }, 137, /^$/],
  ["a timeout", { status: "timeout", reason: "timeout", signal: "SIGTERM" }, 124, /time limit/],
  ["memory", { status: "failed", reason: "oom", signal: "SIGKILL" }, 137, /memory limit/],
  ["nobody knows", { status: "failed", reason: "interrupted" }, 125, /not known/],
];
for (const [name, end, code, says] of endings) {
  test(`P2: the exit code says how the command ended: ${name}`, async (t) => {
    const daemon = await daemonWith(t, new FakeCommand([], end));
    const result = await runClient(exec(daemon, "x"));
    assert.equal(result.code, code);
    assert.match(result.stderr, says);
  });
}

const refusals: readonly [type: ConstructorParameters<typeof HlError>[0], code: number][] = [
  ["command_blocked", 126],
  ["command_not_allowed", 126],
  ["command_not_found", 127],
  ["runner_unavailable", 125],
];
for (const [type, code] of refusals) {
  test(`a refusal is no exit code of a command: ${type} exits ${code} with the table's help`, async (t) => {
    const daemon = await daemonWith(t, new FakeCommand([]));
    daemon.handlers["command/execute"] = () => Promise.reject(new HlError(type, "sudo is blocked"));
    const result = await runClient(exec(daemon, "sudo"));
    assert.equal(result.code, code);
    assert.match(result.stderr, /^hl-client: sudo is blocked\n {2}\S.*\n$/);
  });
}

test("Ctrl-C cancels once and waits for the end", async (t) => {
  const daemon = await daemonWith(t, FakeCommand.untilCancelled([{ write: "working\n" }]));
  const client = new RunningClient(exec(daemon, "x"));
  await client.until((stdout) => stdout.includes("working"));
  client.child.kill("SIGINT");
  const result = await client.finished;
  assert.deepEqual([result.code, daemon.countOf("command/cancel")], [130, 1]);
  assert.match(result.stderr, /cancelling …/);
});

test("Ctrl-C before any daemon was reached leaves at once: there is nothing to cancel", async (t) => {
  const daemon = await daemonWith(t, FakeCommand.untilCancelled([]));
  const silence = Promise.withResolvers<undefined>();
  t.after(() => silence.resolve(undefined));
  const login = Promise.withResolvers<undefined>();
  daemon.handlers["auth/login"] = async () => {
    login.resolve(undefined);
    await silence.promise;
    return { role: "", subject: "" };
  };
  const client = new RunningClient(exec(daemon, "x"));
  await login.promise;
  client.child.kill("SIGINT");
  assert.deepEqual([(await client.finished).code, daemon.countOf("command/cancel")], [130, 0]);
});

test("a second Ctrl-C leaves at once, also when the daemon does not answer", async (t) => {
  const daemon = await daemonWith(t, FakeCommand.untilCancelled([{ write: "working\n" }]));
  const silence = Promise.withResolvers<ReturnType<typeof resultOf>>();
  t.after(() => silence.resolve(resultOf("x")));
  daemon.handlers["command/cancel"] = () => silence.promise;
  const client = new RunningClient(exec(daemon, "x"));
  await client.until((stdout) => stdout.includes("working"));
  client.child.kill("SIGINT");
  await daemon.untilAsked("command/cancel");
  client.child.kill("SIGINT");
  assert.equal((await client.finished).code, 130);
});

test("P5: a connection that is cut again and again loses no byte and doubles none", async (t) => {
  const bytes = randomBytes(200_000);
  const steps: Step[] = [];
  const cut = { act: () => daemon.cutConnections() };
  for (let at = 0; at < bytes.length; at += 20_000) {
    steps.push({ write: bytes.subarray(at, at + 20_000) });
    if (at % 60_000 === 40_000) steps.push({ ...cut });
  }
  const daemon = await daemonWith(t, new FakeCommand(steps, { status: "failed", reason: "exited", exit_code: 3 }));
  const result = await runClient(exec(daemon, "x"));
  assert.equal(result.code, 3);
  assert.ok(result.stdout.equals(bytes), `${result.stdout.length} bytes of ${bytes.length}`);
  assert.match(result.stderr, /connection was lost/);
});

test("C1: a connection lost before the answer asks again with the same id", async (t) => {
  const command = new FakeCommand([{ write: "once\n" }]);
  const daemon = await daemonWith(t, command);
  let first = true;
  daemon.handlers["command/execute"] = async (params, call) => {
    if (first) {
      first = false;
      daemon.cutConnections();
      return resultOf(params.command_id);
    }
    return command.handlers["command/execute"]!(params, call);
  };
  const result = await runClient(exec(daemon, "x"));
  assert.deepEqual([result.code, result.stdout.toString()], [0, "once\n"]);
  const ids = daemon.asked
    .filter(({ method }) => method === "command/execute")
    .map(({ params }) => (params as { command_id: string }).command_id);
  assert.equal(ids.length, 2);
  assert.equal(ids[0], ids[1]);
});

test("P5: bytes that are gone are told on stderr, where they are missing", async (t) => {
  const daemon = await daemonWith(t, new FakeCommand([{ write: "a" }, { gap: 1234 }, { write: "b" }]));
  const result = await runClient(exec(daemon, "x"));
  assert.deepEqual([result.code, result.stdout.toString()], [0, "ab"]);
  assert.match(result.stderr, /1234 bytes of output are missing/);
});

test("--json prints the answer, the output and the end as protocol types, a line each", async (t) => {
  const daemon = await daemonWith(t, new FakeCommand([{ write: "é" }, { write: Buffer.from([0xff]), to: "stderr" }]));
  const result = await runClient(exec(daemon, "--json", "--id", "my-id", "x"));
  const lines = result.stdout
    .toString()
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    lines
      .filter((line) => "stream" in line)
      .map(({ stream, data, encoding, position }) => [stream, data, encoding, position]),
    [
      ["stdout", "é", "utf8", 0],
      ["stderr", "/w==", "base64", 2],
    ],
  );
  const results = lines.filter((line) => "status" in line);
  assert.deepEqual(
    results.map(({ command_id, status }) => [command_id, status]),
    [
      ["my-id", "started"],
      ["my-id", "completed"],
    ],
  );
  assert.equal(result.stderr, "");
});

test("--detach prints the id and leaves the command running", async (t) => {
  const daemon = await daemonWith(t, FakeCommand.untilCancelled([]));
  const result = await runClient(exec(daemon, "--detach", "--id", "b1", "x"));
  assert.deepEqual([result.code, result.stdout.toString(), daemon.countOf("command/cancel")], [0, "b1\n", 0]);
});

test("--stdin gives the command our input and its end; without it our input is not read", async (t) => {
  const command: FakeCommand = new FakeCommand([{ wait: Promise.resolve().then(() => command.inputEnded.promise) }]);
  const daemon = await daemonWith(t, command);
  const bytes = randomBytes(2_500_000);
  const client = new RunningClient(exec(daemon, "--stdin", "x"));
  client.child.stdin?.end(bytes);
  assert.equal((await client.finished).code, 0);
  assert.ok(Buffer.concat(command.input).equals(bytes));

  const other = await daemonWith(t, new FakeCommand([{ write: "ok" }]));
  const open = new RunningClient(exec(other, "x")); // Its standard input stays open, and nobody waits for it.
  assert.deepEqual([(await open.finished).code, other.countOf("command/input")], [0, 0]);
});

test("P7: a slow reader of our output holds back the daemon, and everything arrives", async (t) => {
  const block = Buffer.alloc(256 * 1024, "x");
  let written = 0;
  const steps: Step[] = Array.from({ length: 80 }, () => [{ write: block }, { act: () => (written += 1) }]).flat();
  const daemon = await daemonWith(t, new FakeCommand(steps));
  const client = new RunningClient(exec(daemon, "x"));
  client.child.stdout?.pause();
  await daemon.untilAsked("command/execute");
  let before = -1;
  while (written === 0 || before !== written) {
    before = written; // Until nothing moves any more: then somebody waits for somebody.
    for (let turn = 0; turn < 2_000; turn += 1) await new Promise(setImmediate);
  }
  assert.ok(written < 60, `${written} of 80 blocks left the daemon although nobody reads`);
  client.child.stdout?.resume();
  const result = await client.finished;
  assert.deepEqual([result.code, result.stdout.length], [0, 80 * block.length]);
});

test("a reader that leaves (`| head`) ends quietly and cancels the command", async (t) => {
  const flowing: Step[] = Array.from({ length: 200 }, () => ({ write: Buffer.alloc(64 * 1024, "y\n") }));
  const daemon = await daemonWith(t, FakeCommand.untilCancelled(flowing));
  const client = new RunningClient(exec(daemon, "x"));
  await once(client.child.stdout!, "data");
  client.child.stdout?.destroy();
  const result = await client.finished;
  assert.deepEqual([result.code, result.stderr, daemon.countOf("command/cancel")], [141, "", 1]);
});

test("C1: a piece of input whose answer was lost is sent again from where it began, also after a reconnect that failed", async (t) => {
  const inputEnded = Promise.withResolvers<Partial<ReturnType<typeof resultOf>>>();
  const command = new FakeCommand([], inputEnded.promise);
  const daemon = await daemonWith(t, command);
  const take = daemon.handlers["command/input"];
  const subscribe = daemon.handlers["command/subscribe"];
  assert.ok(take !== undefined && subscribe !== undefined);
  const offsets: number[] = [];
  daemon.handlers["command/input"] = async (params, call) => {
    offsets.push(params.offset ?? -1);
    if (params.eof) inputEnded.resolve(succeeded);
    if (offsets.length > 1) return take(params, call);
    daemon.handlers["command/subscribe"] = async () => {
      daemon.handlers["command/subscribe"] = subscribe;
      throw new HlError("instance_offline", "not yet");
    };
    daemon.cutConnections();
    return { accepted_bytes: 0, closed: false };
  };
  const client = new RunningClient(exec(daemon, "--stdin", "x"));
  client.child.stdin?.end("typed once");
  assert.equal((await client.finished).code, 0);
  assert.deepEqual([Buffer.concat(command.input).toString(), offsets], ["typed once", [0, 0, 10]]);
});
