/**
 * Goal: X4: a secret of what runs, or of the daemon itself, is neither on the disk of the spool nor at the cloud, whoever put it into an
 * event. Method: the real programs; the raw bytes of both databases are searched. The caller that gave the secret sees its output as it was.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { CallFailed } from "@hl/testkit/message-client.ts";
import { startSystem } from "@hl/testkit/system.ts";

/** All files below a folder whose names begin so, as bytes. */
function bytesOf(folder: string, prefix: string): Buffer {
  const names = readdirSync(folder).filter((name) => name.startsWith(prefix));
  return Buffer.concat(names.map((name) => readFileSync(join(folder, name))));
}

describe("redaction", () => {
  test("X4: a secret is in no event, on no disk of the spool and not in the cloud; its own caller sees it", async () => {
    const secret = 'S3cr3t/"value"+2026 é';
    const encodings = [
      secret,
      JSON.stringify(secret).slice(1, -1),
      encodeURIComponent(secret),
      Buffer.from(secret).toString("base64").replace(/=+$/, "").slice(0, -1),
    ];
    await using system = await startSystem({
      config: {
        process_management: { allowed_commands: ["sh", "sleep"] },
        claude_integration: { environment: { ANTHROPIC_API_KEY: "sk-ant-of-the-configuration" } },
      },
    });
    const { daemon, cloud, operator } = system;
    using client = await daemon.connect();
    const env = { SECRET_TOKEN: secret };
    const ran = await client.call("command/execute", {
      ...{ command_id: "prints", command: "sh", args: ["-c", 'printf %s "$SECRET_TOKEN"'], env },
    });
    assert.equal(ran.stdout, secret);
    const refreshToken = readFileSync(join(daemon.home, "data/auth/refresh_token"), "utf8").trim();
    const tokens = [daemon.token, refreshToken, "sk-ant-of-the-configuration"];
    const emit = (event_id: string, data: unknown): Promise<unknown> =>
      client.call("event/stream", { event_id, event_type: "test.note", timestamp: 1, data });
    await emit("told", { encodings, [secret]: tokens, as: `token ${daemon.token}!` });
    await emit("untouched", { text: "nothing of it" });
    const isRefused = (error: unknown): boolean => error instanceof CallFailed && error.error.code === 1402;
    await assert.rejects(emit(`id-${secret}`, {}), isRefused);

    const told = await operator.event(({ event_id }) => event_id === "told");
    const mark = "[redacted:SECRET_TOKEN]";
    const [plain, json, url, base64] = told.data.encodings as string[];
    assert.deepEqual([plain, json, url], [mark, mark, mark]);
    assert.match(String(base64), /^\[redacted:SECRET_TOKEN\].{0,1}$/);
    assert.deepEqual(told.data[mark], [
      "[redacted:local_token]",
      "[redacted:refresh_token]",
      "[redacted:ANTHROPIC_API_KEY]",
    ]);
    assert.equal(told.data.as, "token [redacted:local_token]!");
    assert.deepEqual((await operator.event(({ event_id }) => event_id === "untouched")).data, {
      text: "nothing of it",
    });
    await operator.event(({ event_type, data }) => event_type === "process_end" && data.command_id === "prints");

    const ofDaemon = bytesOf(join(daemon.home, "data/state"), "daemon.db");
    const ofCloud = bytesOf(cloud.home, "cloud.db");
    assert.ok(
      ofDaemon.includes(mark) && ofCloud.includes(mark),
      "the files that were looked at are not those of the events",
    );
    for (const form of [...encodings, ...encodings.map((one) => JSON.stringify(one).slice(1, -1)), ...tokens]) {
      assert.ok(!ofDaemon.includes(form), `the daemon's database holds ${form}`);
      assert.ok(!ofCloud.includes(form), `the cloud's database holds ${form}`);
    }
  });

  test("X4: the password of a URL in the environment of a command that goes on is redacted", async () => {
    await using system = await startSystem({ config: { process_management: { allowed_commands: ["sleep"] } } });
    const { daemon, operator } = system;
    using client = await daemon.connect();
    await client.call("command/execute", {
      ...{ command_id: "goes-on", command: "sleep", args: ["60"], env: { DB_URL: "pg://me:longpass@db/x" }, wait: 0 },
    });
    const data = { said: "it connects with longpass" };
    await client.call("event/stream", { event_id: "note", event_type: "test.note", timestamp: 1, data });
    const { data: stored } = await operator.event(({ event_id }) => event_id === "note");
    assert.deepEqual(stored, { said: "it connects with [redacted:DB_URL]" });
    await client.call("command/cancel", { command_id: "goes-on" });
  });

  test("X4: after a crash of the daemon the secrets of what runs on are known again", async () => {
    await using system = await startSystem({ config: { process_management: { allowed_commands: ["sleep"] } } });
    const { daemon, operator } = system;
    {
      using client = await daemon.connect();
      const env = { DEPLOY_TOKEN: "tok-of-a-command-that-goes-on" };
      await client.call("command/execute", { command_id: "on", command: "sleep", args: ["600"], env, wait: 0 });
    }
    await daemon.kill();
    await daemon.restart();
    using client = await daemon.connect();
    const data = { said: "it has tok-of-a-command-that-goes-on" };
    await client.call("event/stream", { event_id: "note", event_type: "test.note", timestamp: 1, data });
    const { data: stored } = await operator.event(({ event_id }) => event_id === "note");
    assert.deepEqual(stored, { said: "it has [redacted:DEPLOY_TOKEN]" });
    await client.call("command/cancel", { command_id: "on" });
  });
});
