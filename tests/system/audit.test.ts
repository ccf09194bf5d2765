/**
 * Goal: X3, S4: who did what is in the audit log, by whatever way they came; logrotate and a disk that takes nothing lose no record.
 * Method: the real programs; the file is read as an auditor reads it, and taken away as logrotate does.
 */
import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { connectSocket, type Message } from "@hl/testkit/message-client.ts";
import { startSystem, TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

const recordsIn = (path: string): Message[] =>
  existsSync(path)
    ? readFileSync(path, "utf8")
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line))
    : [];

test("X3: calls from the socket, over HTTP and of the cloud, and a refusal, are a record each; the log is where it is told to be", async () => {
  await using system = await startSystem({
    config: { logging: { output: "stderr" }, process_management: { allowed_commands: ["true"] } },
  });
  const { daemon, operator } = system;
  const path = join(daemon.home, "logs/audit.log");
  using client = await daemon.connect();
  await client.call("command/execute", { command_id: "mine", command: "true", args: ["unseen-argument"] });
  await daemon.post({ jsonrpc: "2.0", id: "h", method: "file/mkdir", params: { path: "made" } });
  await operator.call("file/write", { path: "made/x", data: "unseen-content" });
  await assert.rejects(client.call("file/read", { path: "none" }));
  using stranger = await connectSocket(daemon.program.ready.socket);
  await assert.rejects(stranger.call("file/read", { path: "unseen-path" }));
  const records = (): Message[] => recordsIn(path);
  const of = (method: string, via: string | undefined): Promise<Message> =>
    until(`${method} via ${via}`, () => records().find((one) => one.method === method && one.via === via));
  const ran = await of("command/execute", "socket");
  assert.deepEqual(
    [ran.kind, ran.decision, ran.caller, ran.role, ran.permission, ran.command_id, ran.command],
    ["call", "allow", "local-token", "admin", "process:execute", "mine", "true"],
  );
  assert.ok(ran.duration_ms > 0 && ran.request_id !== undefined && Date.parse(ran.time) > 0);
  const made = await of("file/mkdir", "http");
  assert.deepEqual([made.path, made.request_id], ["made", "h"]);
  assert.deepEqual(
    [(await of("file/write", "cloud")).path, (await of("file/write", "cloud")).caller],
    ["made/x", "cloud"],
  );
  const failed = await of("file/read", "socket");
  assert.deepEqual([failed.decision, failed.error_type, failed.path], ["allow", "file_not_found", "none"]);
  const refused = await of("file/read", undefined);
  assert.deepEqual([refused.decision, refused.error_type, refused.path], ["deny", "unauthenticated", undefined]);
  assert.ok(
    records().some(({ kind, command_id, rule }) => kind === "command" && command_id === "mine" && rule === "true"),
  );
  assert.ok(!readFileSync(path, "utf8").includes("unseen"), readFileSync(path, "utf8"));
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.match(daemon.program.stderr, /"msg":"a command was allowed"/);
  assert.ok(!existsSync(join(daemon.home, "logs/daemon.log")));
});

test("S4: a file that logrotate takes is made again; what cannot be written waits, health says so, and it is written when it can", async () => {
  await using daemon = await TestDaemon.start();
  const path = join(daemon.home, "logs/audit.log");
  using client = await daemon.connect();
  let made = 0;
  const make = async (): Promise<string> => {
    made += 1;
    await client.call("file/mkdir", { path: `folder-${made}` });
    return `folder-${made}`;
  };
  const has = (file: string, name: string): boolean => recordsIn(file).some((one) => one.path === name);
  const first = await make();
  await until("the first record", () => has(path, first));
  renameSync(path, `${path}-20261129`);
  // Some record is the first behind the second in which it is looked for again: none of them is lost.
  const since: string[] = [];
  await until("a new file", async () => {
    since.push(await make());
    return existsSync(path);
  });
  await until("all of them", () => since.every((name) => has(path, name) || has(`${path}-20261129`, name)));

  rmSync(path);
  const logs = join(daemon.home, "logs");
  // The daemon makes the folder again at any moment.
  await until("a folder in which nothing can be made", () => {
    rmSync(logs, { recursive: true, force: true });
    symlinkSync("/proc/none", logs);
    return true;
  });
  const codes = async (): Promise<string[]> => {
    const { alerts } = await client.call("system/health", {});
    return alerts.map(({ code }: Message) => code);
  };
  await until("health to say so", async () => {
    since.push(await make());
    return (await codes()).includes("audit_log_failing");
  });
  const waits = await make();
  rmSync(logs);
  mkdirSync(logs, { recursive: true });
  chmodSync(logs, 0o750);
  await until("what has waited", () => has(path, waits));
  await until("health to be well", async () => !(await codes()).includes("audit_log_failing"));
});
