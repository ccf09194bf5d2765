/**
 * Goal: the unix socket bounds what anybody can take of it: connections, memory, time and answers, before a login and behind it.
 * Method: the real server and real sockets, written to byte by byte; a clock moved by hand where time matters.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ManualClock, settled } from "@hl/testkit/manual-clock.ts";
import { jwt, LocalServers, localToken, login, request } from "./local-server.fixture.test.ts";

const ping = `${request(1, "system/ping")}\n`;

describe("unix socket: who has not logged in", () => {
  test("is answered a few times and then closed, whatever it sends", async () => {
    const kinds = {
      "no JSON": "garbage\n",
      "no message": "{}\n",
      "no UTF-8": "\xff\xfe\n",
      "unknown methods": `${request(1, "no/such")}\n`,
      "known methods": ping,
      "wrong tokens": login("hl_local_wrong"),
      "tokens that are none": `${request(1, "auth/login", { token: 5 })}\n`,
    };
    for (const [name, line] of Object.entries(kinds)) {
      await using servers = await LocalServers.start();
      const stranger = (await servers.open("socket")).send(line.repeat(15));
      assert.equal((await stranger.until(/"error"/, 15)).includes("too many messages"), false, name);
      stranger.send(line.repeat(1_000));
      await stranger.closed;
      assert.ok((stranger.text.match(/"error"/g)?.length ?? 0) <= 18, `${name}: ${stranger.text.slice(-200)}`);
      assert.match(stranger.text, /too many messages before a login/, name);
      assert.deepEqual(servers.reports, ["no_login_but_messages"], name);
      assert.equal(servers.slots.size, 0, name);
    }
  });

  test("is closed for what needs no answer too: notifications, answers that nobody asked for, and empty lines", async () => {
    const kinds = ['{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":1}}\n', '{"jsonrpc":"2.0","id":1,"result":1}\n', "\n".repeat(100)]; // prettier-ignore
    for (const line of kinds) {
      await using servers = await LocalServers.start();
      const stranger = await servers.open("socket");
      for (let index = 0; index < 15; index += 1) stranger.send(line);
      stranger.send(login("wrong"));
      if (line !== kinds[2]) await stranger.until(/too many messages/);
      else assert.doesNotMatch(await stranger.until(/1001/), /too many messages/);
      stranger.send(line.repeat(4_000));
      await stranger.closed;
    }
  });

  test("has a short line only: a longer one, or a batch, ends the connection before it is held or answered", async () => {
    await using servers = await LocalServers.start();
    for (const text of ["x".repeat(20 * 1024 + 1), `${"x".repeat(21_000)}\n`]) {
      const stranger = (await servers.open("socket")).send(text);
      await stranger.closed;
      assert.match(stranger.text, /1004/);
    }
    const batch = (await servers.open("socket")).send(`[${"1,".repeat(999)}1]\n`);
    assert.match(await batch.until(/\n/), /a batch may hold 16 messages/);
    assert.ok(batch.text.length < 1_000);
  });

  test("may log in with the longest token that is allowed, and then send what max_request_size allows", async () => {
    await using servers = await LocalServers.start({ limits: { messageBytesMax: 100_000 } });
    const caller = (await servers.open("socket")).send(login("x".repeat(16_384)));
    await caller.until(/1001/);
    caller.send(login(localToken));
    await caller.until(/"role":"admin"/);
    caller.send(`${request(1, "system/ping", { filling: "x".repeat(99_000) })}\n`);
    await caller.until(/"pong":true/);
    caller.send(`${"x".repeat(100_001)}\n`);
    await caller.until(/1004/);
    caller.send(ping);
    await caller.until(/"pong":true/, 2);
  });

  test("X3: is refused 1003 over the rate of strangers, and its refusals are records; the local token is not kept out by it", async () => {
    await using servers = await LocalServers.start({ clock: new ManualClock(), rate: { burst: 3 } });
    const stranger = (await servers.open("socket")).send(ping.repeat(5));
    const codes = [...(await stranger.until(/"code":/, 5)).matchAll(/"code":(\d+)/g)].map(([, code]) => Number(code));
    assert.deepEqual(codes, [1001, 1001, 1001, 1003, 1003]);
    assert.deepEqual(servers.records.map(({ from, caller }) => [from, caller]), Array.from({ length: 5 }, () => ["unix socket", undefined])); // prettier-ignore
    const caller = (await servers.open("socket")).send(login(localToken)).send(ping);
    await caller.until(/"pong":true/);
  });

  test("half lines, and a reader that takes nothing of its refusals, end with the login's time", async () => {
    const clock = new ManualClock();
    await using servers = await LocalServers.start({ clock, numbers: { loginTimeoutMs: 1_000 } });
    const half = (await servers.open("socket")).send('{"jsonrpc":');
    const silent = await servers.open("socket");
    const logged = (await servers.open("socket")).send(login(localToken));
    await logged.until(/"role":"admin"/);
    await settled();
    await clock.advance(1_000);
    await Promise.all([half.closed, silent.closed]);
    assert.equal(servers.slots.size, 1);
    assert.deepEqual(servers.reports, ["no_login_in_time", "no_login_in_time"]);
  });
});

describe("unix socket: limits of callers and connections", () => {
  test("requests of a token over its rate are refused with a wait; nothing else of the connection suffers", async () => {
    const clock = new ManualClock();
    await using servers = await LocalServers.start({ clock, rate: { requestsPerMinute: 60, burst: 3, strategy: "exponential" } }); // prettier-ignore
    const anna = (await servers.open("socket")).send(login(jwt)).send(ping.repeat(4));
    const text = await anna.until(/retry_after_ms/, 2);
    assert.equal(text.match(/"pong":true/g)?.length, 2, "the login is a request too");
    assert.deepEqual([...text.matchAll(/"retry_after_ms":(\d+)/g)].map(([, ms]) => ms), ["1000", "2000"]); // prettier-ignore
    const admin = (await servers.open("socket")).send(login(localToken)).send(ping.repeat(100));
    await admin.until(/"pong":true/, 100);
    await clock.advance(1_000);
    anna.send(ping);
    await anna.until(/"pong":true/, 3);
  });

  test("max_pending_requests: one more is refused, and an answer frees its place", async () => {
    await using servers = await LocalServers.start({ numbers: { inFlightMax: 2 } });
    const caller = (await servers.open("socket")).send(login(localToken));
    await caller.until(/"role":"admin"/);
    const run = (id: number): string => `${request(id, "command/execute", { command_id: `c${id}`, command: "x" })}\n`;
    caller.send(run(1) + run(2) + ping);
    assert.match(await caller.until(/1003/), /2 requests of this connection are in progress/);
    servers.gate.resolve({ done: true });
    await caller.until(/"done":true/, 2);
    caller.send(ping);
    await caller.until(/"pong":true/);
  });

  test("max_connections: strangers that hold every place give one to each newcomer, and never that of a known caller", async () => {
    await using servers = await LocalServers.start({ connectionsMax: 8 });
    const known = (await servers.open("socket")).send(login(localToken));
    await known.until(/"role":"admin"/);
    const strangers = await Promise.all(Array.from({ length: 5 }, () => servers.open("socket")));
    await settled();
    await settled();
    const late = (await servers.open("socket")).send(login(localToken)).send(ping);
    await late.until(/"pong":true/);
    await Promise.race(strangers.map(({ closed }) => closed));
    known.send(ping);
    await known.until(/"pong":true/);
    assert.deepEqual(servers.reports, ["pushed_out"]);
    assert.equal(servers.slots.size, 6);
  });

  test("max_connections: where all places are those of known callers, one more is told so and closed", async () => {
    await using servers = await LocalServers.start({ connectionsMax: 4 });
    const callers = await Promise.all(Array.from({ length: 3 }, () => servers.open("socket")));
    for (const caller of callers) await caller.send(login(localToken)).until(/"role":"admin"/);
    const late = await servers.open("socket");
    await late.closed;
    assert.match(late.text, /4 connections are open/);
    assert.match(late.text, /retry_after_ms/);
    const http = (await servers.open("http")).send(servers.post(localToken, request(1, "system/ping")));
    await http.until(/"pong":true/);
  });
});
