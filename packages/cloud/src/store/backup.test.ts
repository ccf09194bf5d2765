/**
 * Goal: a backup that was taken while the server wrote is one moment of it, and a server on the restored copy has its fleet again:
 * VMs that renewed their tokens since, instances, and what was queued (C1, C2, C4).
 * Method: the real programs `backup` and `restore` beside a real server that writes all the time; then a server on the restored home.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { connectVm, errorOf, postBody, postRpc, type Tokens } from "../testing/fake-vm.ts";
import { testCloud } from "../testing/test-cloud.ts";

const program = fileURLToPath(new URL("../../../../bin/hl-cloud", import.meta.url));

function run(...args: readonly string[]): Promise<{ code: number; stderr: string }> {
  return new Promise((resolve) => {
    execFile(program, args, (error, _stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stderr });
    });
  });
}

const renew = async (url: string, tokens: Tokens): Promise<Tokens> => {
  const params = { refresh_token: tokens.refresh_token, rotation_id: randomUUID() };
  const reply = await postRpc(`${url}/v1/vm/token`, undefined, "vm/token/refresh", params);
  return { ...tokens, ...(reply.body.result as unknown as Tokens) };
};

test("a server on the restored copy has its fleet again: renewed tokens, instances, queued requests", async () => {
  using folder = temporaryFolder("hl-backup");
  const home = join(folder.path, "home");
  const file = join(folder.path, "backup.db");
  const restored = join(folder.path, "restored");
  let tokens: Tokens;
  let away: Tokens;
  {
    await using fixture = await testCloud({ home });
    tokens = await fixture.addVm("vm-1");
    away = await fixture.addVm("vm-2");
    const queued = await postRpc(`${fixture.url}/v1/instances/vm-2/rpc?wait=0`, fixture.admin, "command/execute", {
      command_id: "queued-before",
      command: "true",
    });
    assert.equal(errorOf(queued).data["queued"], true);
    const writing = new AbortController();
    const writer = writeUntil(writing.signal, `${fixture.url}/v1/vm/events`, tokens.access_token);
    assert.deepEqual(await run("backup", "--home", home, "--to", file), { code: 0, stderr: "" });
    writing.abort();
    await writer;
    // What happens after the backup and is not in it.
    tokens = await renew(fixture.url, await renew(fixture.url, tokens));
    assert.equal((await postRpc(`${fixture.url}/v1/vm/heartbeat`, tokens.access_token, "x", {})).status, 400);
  }
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.deepEqual(await run("restore", "--home", restored, "--from", file), { code: 0, stderr: "" });
  for (const name of ["cloud.db", "keys/signing.pem", "keys/refresh.secret"]) {
    assert.equal(statSync(join(restored, name)).mode & 0o777, 0o600, name);
  }
  await using fixture = await testCloud({ home: restored });
  const renewed = await renew(fixture.url, tokens);
  await using _vm = await connectVm(fixture.url, renewed.access_token, async () => ({}));
  await using late = await connectVm(fixture.url, away.access_token, async () => ({ status: "completed" }));
  assert.equal((await late.nth(1)).method, "command/execute");
  const listed = await fetch(`${fixture.url}/v1/instances`, { headers: { authorization: `Bearer ${fixture.admin}` } });
  const { instances } = (await listed.json()) as { instances: { id: string; credentials: string }[] };
  assert.deepEqual(
    instances.map(({ id, credentials }) => [id, credentials]),
    [
      ["vm-1", "valid"],
      ["vm-2", "valid"],
    ],
  );
});

test("each batch of events is in a backup whole or not at all, and the copy is in order", async () => {
  using folder = temporaryFolder("hl-backup");
  const home = join(folder.path, "home");
  const file = join(folder.path, "backup.db");
  await using fixture = await testCloud({ home });
  const { access_token } = await fixture.addVm("vm-1");
  const writing = new AbortController();
  const writer = writeUntil(writing.signal, `${fixture.url}/v1/vm/events`, access_token);
  assert.equal((await run("backup", "--home", home, "--to", file)).code, 0);
  writing.abort();
  const written = await writer;
  using copy = new DatabaseSync(file, { readOnly: true });
  const { check } = copy.prepare("SELECT integrity_check AS 'check' FROM pragma_integrity_check").get() as {
    check: string;
  };
  const { count } = copy.prepare("SELECT count(*) AS count FROM events").get() as { count: number };
  assert.equal(check, "ok");
  assert.equal(count % eventsInBatch, 0);
  assert.ok(count <= written);
});

test("nothing is written over, and what is no backup is not restored", async () => {
  using folder = temporaryFolder("hl-backup");
  const home = join(folder.path, "home");
  await using _fixture = await testCloud({ home });
  const taken = join(folder.path, "taken");
  writeFileSync(taken, "mine");
  const over = await run("backup", "--home", home, "--to", taken);
  assert.equal(over.code, 78);
  assert.match(over.stderr, /exists already/);
  assert.equal(readFileSync(taken, "utf8"), "mine");
  const cases: [expected: RegExp, ...args: string[]][] = [
    [/no database in/, "backup", "--home", folder.path, "--to", join(folder.path, "new")],
    [/has a database already/, "restore", "--home", home, "--from", taken],
    [/is not a backup of hl-cloud/, "restore", "--home", join(folder.path, "other"), "--from", taken],
    [/there is no file/, "restore", "--home", join(folder.path, "other"), "--from", join(folder.path, "none")],
  ];
  for (const [expected, ...args] of cases) {
    const { code, stderr } = await run(...args);
    assert.equal(code, 78, args.join(" "));
    assert.match(stderr, expected);
  }
});

const eventsInBatch = 20;

/** Sends batches of events, one behind the other; answers how many events were accepted. */
async function writeUntil(signal: AbortSignal, url: string, token: string): Promise<number> {
  let seq = 0;
  while (!signal.aborted) {
    const batch = Array.from({ length: eventsInBatch }, () => {
      seq += 1;
      const event = { event_id: `e-${seq}`, event_type: "test.event", timestamp: 1, data: {}, epoch: "epoch-1", seq };
      return { jsonrpc: "2.0", id: seq, method: "event/stream", params: event };
    });
    assert.equal((await postBody(url, token, JSON.stringify(batch))).status, 200);
  }
  return seq;
}
