/**
 * Goal: `system/restart` restarts the daemon in order, what runs goes on, and it happens once; where nothing would start it again it is refused.
 * Method: the real programs; the supervisor is a shell that starts the daemon again when it ends with 75, as hl-daemon.service does.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { CallFailed, type Message } from "@hl/testkit/message-client.ts";
import { startSystem, TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

/** Writes each exit code; a signal to it is the daemon's, as from systemd. */
const supervisor = `
trap 'kill -TERM "$daemon"' TERM
while :; do
  HL_SUPERVISED=1 "$@" &
  daemon=$!
  while :; do
    wait "$daemon"
    code=$?
    kill -0 "$daemon" 2>/dev/null || break
  done
  echo "$code" >> "$HL_TEST_CODES"
  [ "$code" = 75 ] || exit "$code"
done`;
/** The folder is not known before the daemon's home is: it is the value of `--home`, the third argument. */
const shell = ["sh", "-c", `HL_TEST_CODES=$3/codes\n${supervisor}`, "sh"];
const config = { process_management: { allowed_commands: ["sh", "env"] } };

/** Commands that wait for a file, so that it is known that they were there before and after. */
const waiting = "echo before; until [ -e go ]; do sleep 0.1; done; echo after";

function codesOf(daemon: TestDaemon): string[] {
  return readFileSync(join(daemon.home, "codes"), "utf8").split("\n").filter(Boolean);
}

const prepare = (home: string): Disposable => {
  writeFileSync(join(home, "codes"), "");
  return { [Symbol.dispose]: () => {} };
};

async function back(daemon: TestDaemon, before: number): Promise<Message> {
  return await until("another daemon", async () => {
    using client = await daemon.connect();
    const info = await client.call("system/info");
    return info.pid === before ? undefined : info;
  });
}

describe("system/restart", () => {
  test("P3: answered first, told as an event and in the audit; what runs goes on in the next daemon, with all of its output", async () => {
    await using daemon = await TestDaemon.start({ config, through: shell, prepare });
    using client = await daemon.connect();
    const script = { command: "sh", args: ["-c", waiting], cwd: daemon.workspace, stream_output: true };
    await client.call("command/execute", { command_id: "long", ...script });
    await client.call("command/execute", { command_id: "environment", command: "env" });
    const { stdout } = await client.call("command/status", { command_id: "environment", wait: 30 });
    assert.doesNotMatch(stdout, /HL_SUPERVISED/);
    const before = await client.call("system/info");
    const { process_id: pid } = await client.call("command/status", { command_id: "long" });
    const answer = await client.call("system/restart");
    assert.deepEqual(
      [answer.status, answer.pid, answer.commands_running, answer.agents_running],
      ["restarting", before.pid, 1, 0],
    );
    await client.closed;
    await back(daemon, before.pid);
    assert.deepEqual(codesOf(daemon), ["75"]);

    using next = await daemon.connect();
    const still = await next.call("command/status", { command_id: "long" });
    assert.deepEqual([still.status, still.process_id], ["started", pid]);
    writeFileSync(join(daemon.workspace, "go"), "");
    const end = await next.call("command/status", { command_id: "long", wait: 60 });
    assert.deepEqual([end.reason, end.stdout], ["exited", "before\nafter\n"]);

    await next.call("event/subscribe", { types: ["daemon.restarting"], after: 0 });
    const { params } = await next.next(({ method }) => method === "event/event");
    assert.deepEqual(
      [params.lane, params.data.via, params.data.role, params.data.commands_running],
      ["critical", "socket", "admin", 1],
    );
    const records = readFileSync(join(daemon.home, "logs/audit.log"), "utf8").trim().split("\n");
    const audited = records.map((line) => JSON.parse(line)).filter(({ method }) => method === "system/restart");
    assert.equal(audited.length, 1, JSON.stringify(audited));
    assert.match(daemon.log, /a restart was asked for/);
  });

  test("over HTTP too; SIGTERM still stops for good, with 0", async () => {
    await using daemon = await TestDaemon.start({ config, through: shell, prepare });
    const { pid } = daemon.program.ready;
    const { result } = await daemon.post({ jsonrpc: "2.0", id: 1, method: "system/restart" });
    assert.deepEqual([result.status, result.pid], ["restarting", pid]);
    await back(daemon, pid);
    await daemon.program.stop();
    assert.deepEqual(codesOf(daemon), ["75", "0"]);
  });

  test("X3: refused without a supervisor, clearly, and to roles without daemon:restart; the daemon goes on", async () => {
    await using system = await startSystem({ config });
    const { daemon, operator } = system;
    using client = await daemon.connect();
    await assert.rejects(client.call("system/restart"), (error) => {
      assert.ok(error instanceof CallFailed);
      const { code, message, data } = error.error;
      assert.deepEqual([code, data.error_type], [1007, "not_supervised"]);
      assert.match(message, /nothing would start this daemon again/);
      assert.match(data.help, /HL_SUPERVISED=1/);
      return true;
    });
    await assert.rejects(
      operator.call("system/restart"),
      (error) => error instanceof CallFailed && error.error.code === 1002,
    );
    const told = await daemon.client(["restart"]);
    assert.deepEqual([told.code, told.stdout.length], [1, 0]);
    assert.match(told.stderr, /nothing would start this daemon again[^]*HL_SUPERVISED=1/);
    assert.equal((await client.call("system/info")).pid, daemon.pid);
  });

  test("C1: through the cloud, where its role allows it: answered, and done once; hl-client restart waits until it is back", async () => {
    const allowed = ["system:monitor", "process:execute", "daemon:restart"];
    const security = { authorization: { permissions: { "vm-instance": allowed } } };
    await using system = await startSystem({
      ...{ config, through: shell },
      prepare: (home) => {
        writeFileSync(join(home, "config/security.json"), JSON.stringify(security));
        return prepare(home);
      },
    });
    const { daemon, operator } = system;
    const { pid } = daemon.program.ready;
    const answer = await operator.call("system/restart");
    assert.deepEqual([answer.status, answer.pid], ["restarting", pid]);
    const { pid: second } = await back(daemon, pid);
    await operator.online();
    assert.equal((await operator.call("system/info")).pid, second, "what was answered is not asked for again");

    const through = await system.client(["restart"]);
    assert.deepEqual([through.code, through.stderr], [0, ""]);
    assert.match(
      through.stdout.toString(),
      new RegExp(`^restarting \\(pid ${second}\\): 0 commands and 0 agents go on\nback after .* \\(pid \\d+\\)\n$`),
    );
    const local = await daemon.client(["restart", "--json"]);
    const { status, info, pid: third } = JSON.parse(local.stdout.toString());
    assert.deepEqual([local.code, status, info.pid === third], [0, "restarting", false]);
    assert.deepEqual(codesOf(daemon), ["75", "75", "75"]);
  });
});
