import assert from "node:assert/strict";
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { register } from "./testing/fake-vm.ts";
import { testCloud } from "./testing/test-cloud.ts";

const program = fileURLToPath(new URL("../../../bin/hl-cloud", import.meta.url));

const start = (args: readonly string[]): ChildProcessWithoutNullStreams => spawn(program, args, { cwd: "/" });

async function run(...args: readonly string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = start(args);
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (data: Buffer) => (stdout += data.toString()));
  child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}

// Goal: the program as people start it: one ready line, tokens while it runs, one server a home, and an orderly end.
// Method: the real program from another directory; a connection that never asks anything is open when it stops.
test("hl-cloud serves, enrols beside a running server, and stops on SIGTERM", async () => {
  const home = mkdtempSync(join(tmpdir(), "hl-cloud-"));
  const server = start(["serve", "--home", home, "--listen", "127.0.0.1:0"]);
  const log: string[] = [];
  server.stderr.on("data", (data: Buffer) => log.push(data.toString()));
  const [line] = (await once(createInterface(server.stdout), "line")) as [string];
  const ready = JSON.parse(line) as { ready: boolean; url: string; pid: number };
  assert.equal(ready.ready, true);
  assert.equal(ready.pid, server.pid);

  const enrolled = await run("enroll", "--home", home, "--instance", "vm-1");
  assert.match(enrolled.stdout, /^hle_[\w-]{43}\n$/);
  const tokens = await register(ready.url, enrolled.stdout.trim(), "vm-1");
  const added = await run("operator", "add", "ann", "--home", home, "--role", "viewer");
  assert.match(added.stdout, /^hlo_[\w-]{43}\n$/);
  const list = await fetch(`${ready.url}/v1/instances`, {
    headers: { authorization: `Bearer ${added.stdout.trim()}` },
  });
  assert.equal(list.status, 200);
  assert.equal((await run("operator", "add", "ann", "--home", home, "--role", "viewer")).code, 78);

  const second = await run("serve", "--home", home, "--listen", "127.0.0.1:0");
  assert.equal(second.code, 1);
  assert.match(second.stderr, /another hl-cloud serves/);

  const silent = createConnection(Number(new URL(ready.url).port), "127.0.0.1");
  await once(silent, "connect");
  server.kill("SIGTERM");
  const [code, signal] = (await once(server, "exit")) as [number | null, string | null];
  assert.deepEqual([code, signal], [0, null]);
  silent.destroy();
  for (const secret of [enrolled.stdout, added.stdout, tokens.access_token, tokens.refresh_token]) {
    assert.equal(log.join("").includes(secret.trim()), false, "X4: a token is in the log");
  }
  rmSync(home, { recursive: true, force: true });
});

// Goal: a whole fleet is enrolled by one start of the program. Method: a list on disk; one of its tokens registers.
test("hl-cloud enroll --instances prints a token for each line of a file, and refuses a name that stands there twice", async () => {
  const home = mkdtempSync(join(tmpdir(), "hl-cloud-"));
  const list = join(home, "list");
  writeFileSync(list, "# the fleet\nvm-1\n\n  vm-2  \n");
  await using cloud = await testCloud({ home });
  const enrolled = await run("enroll", "--home", home, "--instances", list);
  const lines = enrolled.stdout.split("\n").map((line) => line.split("\t"));
  assert.deepEqual(
    lines.map(([, id]) => id),
    ["vm-1", "vm-2", undefined],
  );
  await register(cloud.url, lines[1]![0]!, "vm-2");
  writeFileSync(list, "vm-1\nvm-1\n");
  const twice = await run("enroll", "--home", home, "--instances", list);
  assert.deepEqual([twice.code, twice.stdout], [78, ""]);
  assert.match(twice.stderr, /names "vm-1" twice/);
  await cloud[Symbol.asyncDispose]();
  rmSync(home, { recursive: true, force: true });
});

// Goal: mistakes are told apart by sysexits' codes, before anything is made on disk.
test("wrong usage exits 64, configuration that cannot work exits 78", async () => {
  const home = join(tmpdir(), "hl-cloud-never-made");
  const cases = [
    [0, "--help"],
    [0, "--version"],
    [64],
    [64, "nonsense"],
    [64, "serve"],
    [64, "serve", "--home", home, "--listen", "nowhere"],
    [64, "operator", "add", "ann", "--home", home, "--role", "king"],
    [64, "enroll", "--home", home, "--instance", "vm", "--ttl", "soon"],
    [64, "enroll", "--home", home],
    [64, "enroll", "--home", home, "--instance", "vm", "--instances", "-"],
    [78, "enroll", "--home", home, "--instances", "/nowhere/list"],
    [78, "enroll", "--home", home, "--instances", "/dev/null"],
    [78, "serve", "--home", home, "--listen", "0.0.0.0:0"],
    [78, "serve", "--home", home, "--tls-cert", "/nowhere/cert.pem", "--tls-key", "/nowhere/key.pem"],
    [78, "serve", "--home", home, "--client-ca", "/nowhere/ca.pem"],
  ] as const;
  const outcomes = await Promise.all(cases.map(async ([, ...args]) => run(...args)));
  cases.forEach(([expected, ...args], index) => {
    assert.equal(outcomes[index]?.code, expected, args.join(" "));
  });
});

// Goal: a revoked VM is out at once, also when it says nothing; and the operator's stream says so.
// Method: the real subcommand beside a server whose VM only listens; no heartbeat would show it.
test("hl-cloud revoke ends the connection of a VM at the running server, and is an event", async () => {
  await using fixture = await testCloud();
  await using vm = await fixture.connect("vm-1", async () => ({}));
  await using other = await fixture.connect("vm-2", async () => ({}));
  const revoked = await run("revoke", "--home", fixture.home, "--instance", "vm-1");
  assert.deepEqual([revoked.code, revoked.stderr], [0, ""]);
  assert.equal(await vm.peer.closed, "this instance was revoked");
  assert.equal(other.peer.isClosed, false);
  const headers = { authorization: `Bearer ${fixture.admin}` };
  const answer = await fetch(`${fixture.url}/v1/instances/vm-1/events`, { headers });
  const { events } = (await answer.json()) as { events: { event_type: string; lane: string; severity: string }[] };
  assert.deepEqual(
    events.map(({ event_type, lane, severity }) => [event_type, lane, severity]),
    [["security.instance_revoked", "critical", "critical"]],
  );
  await fixture.cloud[Symbol.asyncDispose]();
  const enrolled = await connectableAgain(fixture.home);
  assert.equal(enrolled, 0, "without a server, or with the socket of one that has crashed, it works as well");
});

async function connectableAgain(home: string): Promise<number | null> {
  writeFileSync(join(home, "serve.sock"), "");
  return (await run("revoke", "--home", home, "--instance", "vm-2")).code;
}
