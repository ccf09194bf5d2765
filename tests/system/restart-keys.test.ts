/**
 * Goal: keys that hold from the next start on do what they say; what holds at once is in live-config.test.ts, the link to the cloud in link-*.
 * Method: the real daemon with other values than the defaults; each is seen from outside.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { http } from "@hl/testkit/http.ts";
import { connectSocket, type MessageClient } from "@hl/testkit/message-client.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

const secret = "a value that nobody else has";
const security = {
  input_validation: { max_request_size: 4_096 },
  redaction: { values: [secret], patterns: [{ name: "aws_key", pattern: "AKIA[0-9A-Z]{16}" }] },
};
const config = {
  daemon: { workspace_id: "w-7", environment: "staging", version: "2.3.4" },
  local_api: { http_host: "127.0.0.2", socket_path: "data/other.sock", token_file: "data/auth/other_token" },
  process_management: { temp_dir: "data/cache/elsewhere" },
  security: { file_access: { allowed_paths: ["other-workspace"] } },
  logging: {
    ...{ level: "TRACE", file: "logs/other.log", format: "text", max_size: 4_096, backup_count: 2, compression: false },
    audit: { file: "logs/other-audit.log" },
  },
};

describe("keys that hold from the next start on", () => {
  let daemon: TestDaemon;
  let client: MessageClient;
  let token: string;
  before(async () => {
    daemon = await TestDaemon.start({
      config,
      prepare: (home) => {
        mkdirSync(join(home, "config"), { recursive: true });
        writeFileSync(join(home, "config/security.json"), JSON.stringify(security));
        return { [Symbol.dispose]: () => {} };
      },
    });
    token = readFileSync(join(daemon.home, "data/auth/other_token"), "utf8").trim();
    client = await connectSocket(daemon.program.ready.socket, token);
  });
  after(async () => {
    client[Symbol.dispose]();
    await daemon[Symbol.asyncDispose]();
  });

  test("daemon: what it is called is told by system/info", async () => {
    const { workspace_id, environment, deployment_version } = await client.call("system/info");
    assert.deepEqual([workspace_id, environment, deployment_version], ["w-7", "staging", "2.3.4"]);
  });

  test("local_api: socket, address, port and token are where they are told to be", () => {
    assert.equal(daemon.program.ready.socket, join(daemon.home, "data/other.sock"));
    assert.match(daemon.program.ready.http ?? "", /^127\.0\.0\.2:(?!8080)\d+$/); // 0: any that is free.
    assert.ok(!existsSync(join(daemon.home, "data/auth/local_token")));
  });

  test("process_management.temp_dir and the first of allowed_paths: where a command is, and has its files", async () => {
    const { stdout } = await client.call("command/execute", {
      ...{ command_id: "environment", command: "cat", args: ["/proc/self/environ"] },
    });
    const temporary = /\0?TMPDIR=([^\0]+)/.exec(stdout as string)?.[1] ?? "";
    assert.ok(temporary.startsWith(join(daemon.home, "data/cache/elsewhere/")), temporary);
    const { plan } = await client.call("command/execute", { command_id: "plan", command: "ls", dry_run: true });
    assert.equal(plan.cwd, join(daemon.home, "other-workspace"));
  });

  test("redaction.values and patterns: what is named is in no event", async () => {
    const data = { text: `${secret}, AKIA0123456789ABCDEF` };
    await client.call("event/stream", { event_id: crypto.randomUUID(), event_type: "x", timestamp: 0, data });
    await client.call("event/subscribe", { types: ["x"], after: 0 });
    const { params } = await client.next(({ params: told }) => told?.event_type === "x");
    assert.match(params.data.text, /^\[redacted:[^\]]+\], \[redacted:aws_key\]$/);
  });

  test("input_validation.max_request_size: a request over it is refused, one below is not", async () => {
    const ask = async (characters: number): Promise<number> => {
      const params = { command_id: `of-${characters}`, command: "echo", args: ["x".repeat(characters)] };
      const body = { jsonrpc: "2.0", id: 1, method: "command/execute", params };
      return (await http(`http://${daemon.program.ready.http}/rpc`, { token, body })).status;
    };
    assert.deepEqual([await ask(3_000), await ask(5_000)], [200, 413]);
  });

  test("logging: file, format, size, number and packing; the audit has its own file", async () => {
    const folder = join(daemon.home, "logs");
    const rotated = (): string[] => readdirSync(folder).filter((name) => /^other\.log\.\d+$/.test(name));
    await until("more rotations than are kept where nothing is said", async () => {
      await client.call("system/ping");
      return rotated().some((name) => Number(name.split(".").at(-1)) > 7);
    });
    assert.ok(rotated().length <= 3, rotated().join()); // The oldest goes when the next is there.
    assert.ok(!existsSync(join(folder, "daemon.log")));
    const lines = await until("one that does not go while it is read", () =>
      readFileSync(join(folder, rotated().at(-1) ?? "none"), "utf8"),
    );
    assert.match(lines, /^\d{4}-\d\d-\d\dT\S+Z [A-Z]+ +hl-daemon\[/);
    await client.call("command/execute", { command_id: "audited", command: "echo" });
    await until("the audit", () => existsSync(join(folder, "other-audit.log")));
    assert.ok(!existsSync(join(folder, "audit.log")));
  });
});

test("cloud_api.connection.retry_attempts: so many windows grow, none with 0: the first is the longest", async () => {
  const quick = { retry_delay: 0.01, max_retry_delay: 86_400, heartbeat_interval: 1, heartbeat_interval_min: 0.1 };
  const waitedWith = async (retry_attempts: number): Promise<number> => {
    const cloud_api = { base_url: "http://127.0.0.1:9", connection: { ...quick, retry_attempts } };
    await using daemon = await TestDaemon.start({ config: { cloud_api } });
    const wait = /"retry_ms":(\d+),"attempt":1,[^\n]*"msg":"the heartbeat failed/;
    const told = await until("the first wait to be told", () => wait.exec(daemon.log) ?? undefined);
    return Number(told[1]);
  };
  assert.ok((await waitedWith(5)) <= 10);
  assert.ok((await waitedWith(0)) > 10); // By chance it is not, once in eight million.
});

test("local_api.http_enabled and logging.audit.enabled: off is off", async () => {
  await using daemon = await TestDaemon.start({
    config: { local_api: { http_enabled: false }, logging: { audit: { enabled: false } } },
  });
  using client = await daemon.connect();
  await client.call("command/execute", { command_id: "one", command: "echo" });
  assert.equal(daemon.program.ready.http, undefined);
  assert.deepEqual(
    readdirSync(join(daemon.home, "logs")).filter((name) => name.startsWith("audit")),
    [],
  );
});

test("logging.output: to the standard error, and to no file", async () => {
  await using daemon = await TestDaemon.start({ config: { logging: { output: "stderr" } } });
  await until("its first lines", () => daemon.program.stderr.includes('"msg":"ready"'));
  assert.ok(!existsSync(join(daemon.home, "logs/daemon.log")));
});
