import assert from "node:assert/strict";
import { test } from "node:test";
import { WebSocket } from "ws";
import { errorOf, openPeer, postRpc } from "../testing/fake-vm.ts";
import { testCloud } from "../testing/test-cloud.ts";

const execute = { command_id: "c-1", command: "git", args: ["--version"] };

// Goal: X3: the cloud judges an operator's role before anything reaches a VM.
// Method: one method of each permission, asked by each role, over HTTP and over the WebSocket.
test("X3: a role can do what its permissions say, and no more", async () => {
  await using fixture = await testCloud();
  await using vm = await fixture.connect("vm-1", async () => ({ ok: true }));
  const url = `${fixture.url}/v1/instances/vm-1/rpc`;
  const viewer = await fixture.cloud.addOperator("vera", "viewer");
  const operator = await fixture.cloud.addOperator("otto", "operator");
  const asked = [
    [viewer, "system/health", {}, undefined],
    [viewer, "system/ping", {}, undefined],
    [viewer, "command/execute", execute, 1002],
    [viewer, "event/subscribe", {}, 1002],
    [operator, "command/execute", execute, undefined],
    [operator, "auth/login", { token: "x" }, -32601],
    [operator, "vm/hello", {}, -32601],
    [operator, "__proto__", {}, -32601],
  ] as const;
  for (const [token, method, params, code] of asked) {
    const reply = await postRpc(url, token, method, params);
    assert.equal(reply.body.error?.code, code, method);
    if (code === 1002) assert.equal(reply.status, 403);
  }
  assert.equal(vm.received.length, 3);
  const refused = await postRpc(url, viewer, "command/execute", execute);
  assert.equal(errorOf(refused).data["permission"], "process:execute");

  const peer = await openPeer(url, viewer);
  await assert.rejects(peer.request("command/execute", execute), { code: 1002 });
  assert.deepEqual(await peer.request("system/health", {}), { ok: true });
  peer.close("done");
  const events = await fetch(`${fixture.url}/v1/instances/vm-1/events`, {
    headers: { authorization: `Bearer ${viewer}` },
  });
  assert.equal(events.status, 403);
  assert.equal(errorOf(await postRpc(`${fixture.url}/v1/instances/vm-0/rpc`, operator, "system/ping", {})).code, 1702);
});

// Goal: a browser, which cannot set headers on a WebSocket, gets in with its token as a subprotocol, and only so.
test("the operator token may come as a second subprotocol, never in the address", async () => {
  await using fixture = await testCloud();
  await using _vm = await fixture.connect("vm-1", async () => ({ ok: true }));
  const url = `${fixture.url.replace("http", "ws")}/v1/instances/vm-1/rpc`;
  const opened = async (socket: WebSocket): Promise<string> =>
    new Promise((resolve) => {
      socket.on("error", (error) => resolve(error.message));
      socket.on("open", () => {
        resolve(socket.protocol);
        socket.close();
      });
    });
  assert.equal(await opened(new WebSocket(url, ["hl.v1", `bearer.${fixture.admin}`])), "hl.v1");
  assert.match(await opened(new WebSocket(`${url}?token=${fixture.admin}`, ["hl.v1"])), /401/);
  assert.match(await opened(new WebSocket(url, ["hl.v1", "bearer.hlo_guess"])), /401/);
  assert.match(await opened(new WebSocket(url, [`bearer.${fixture.admin}`])), /400/);
  assert.match(await opened(new WebSocket(`${fixture.url.replace("http", "ws")}/elsewhere`, ["hl.v1"])), /400/);
});

// Goal: what no peer should send ends in an error or a closed connection, on both WebSockets, and nobody else notices.
// Method: broken JSON, wrong shapes, deep nesting, binary and 11 MB on a connection each; then a normal request.
test("malformed frames: the right error or a closed connection, and no crash", async () => {
  await using fixture = await testCloud();
  await using vm = await fixture.connect("vm-1", async () => ({ ok: true }));
  const { access_token } = await fixture.addVm("vm-2");
  const addresses = [
    [`${fixture.url}/v1/instances/vm-1/rpc`, fixture.admin],
    [`${fixture.url}/v1/vm/commands`, access_token],
  ] as const;
  const frames: readonly (readonly [string | Buffer, number | "closed"])[] = [
    ['{"jsonrpc', -32700],
    ["[]", -32600],
    [`[${"[".repeat(5_000)}`, -32600],
    ['{"jsonrpc":"2.0","id":true,"method":"x"}', -32600],
    ['{"jsonrpc":"2.0","id":1,"method":"no/such"}', -32601],
    [Buffer.from([0, 1, 2]), -32700],
    [Buffer.alloc(11 * 1024 * 1024, " ").toString(), "closed"],
  ];
  for (const [url, token] of addresses) {
    for (const [frame, expected] of frames) {
      const socket = new WebSocket(url.replace("http", "ws"), ["hl.v1"], {
        headers: { authorization: `Bearer ${token}` },
      });
      const answer = await new Promise<number | "closed">((resolve, reject) => {
        socket.on("open", () => socket.send(frame));
        socket.on("message", (data: Buffer) => {
          resolve((JSON.parse(data.toString()) as { error: { code: number } }).error.code);
        });
        socket.on("close", () => resolve("closed"));
        socket.on("error", (error) => {
          if (expected !== "closed") reject(error);
        });
      });
      assert.equal(answer, expected, `${url}: ${frame.slice(0, 30).toString()}`);
      socket.terminate();
    }
  }
  const reply = await postRpc(`${fixture.url}/v1/instances/vm-1/rpc`, fixture.admin, "system/ping", {});
  assert.deepEqual(reply.body.result, { ok: true });
  assert.equal(vm.peer.isClosed, false);
});

// Goal: P5: an operator who does not read stops neither the VM nor others, and still gets every byte once he reads.
// Method: a VM that writes as fast as its connection takes it; the operator's socket is paused until the cloud has told the
// VM to stop; another request is answered meanwhile; then the rest is read and the positions are checked for holes.
test("P5: a slow reader suspends its stream at the VM and loses nothing", async () => {
  await using fixture = await testCloud({ limits: { streamQueueBytesMax: 256 * 1024 } });
  const chunk = "x".repeat(32 * 1024);
  let total = Infinity; // Until it is told to stop: how much the kernel takes in between differs from machine to machine.
  const stopped = Promise.withResolvers<undefined>();
  await using vm = await fixture.connect("vm-1", async (message, call) => {
    if (message.method === "system/ping") return { pong: true };
    const { command_id, offset = 0 } = message.params as { command_id: string; offset?: number };
    call.stream(async (signal) => {
      for (let position = offset; position < total; position += chunk.length) {
        if (signal.aborted) {
          if (total === Infinity) total = position + 100 * chunk.length;
          stopped.resolve(undefined);
          return;
        }
        await call.notify("command/output", { command_id, position, data: chunk, encoding: "utf8" });
      }
      await call.notify("command/exited", { command_id });
    });
    return { status: "started" };
  });
  const url = `${fixture.url}/v1/instances/vm-1/rpc`;
  const peer = await openPeer(url, fixture.admin);
  const ended = Promise.withResolvers<string>();
  let bytes = 0;
  peer.pause();
  const started = peer.request(
    "command/execute",
    { ...execute, stream_output: true },
    {
      onNotification: (method, params) => {
        if (method !== "command/output") {
          ended.resolve(method);
          return;
        }
        const { data, position } = params as { data: string; position: number };
        assert.equal(position, bytes, "a hole in the stream");
        bytes += data.length;
      },
    },
  );
  await stopped.promise;
  assert.deepEqual((await postRpc(url, fixture.admin, "system/ping", {})).body.result, { pong: true });
  peer.resume();
  assert.deepEqual(await started, { status: "started" });
  assert.equal(await ended.promise, "command/exited");
  assert.equal(bytes, total);
  assert.ok(vm.received.some((message) => message.method === "command/subscribe"));
  peer.close("done");
});

// Goal: a reader whose VM goes away is told so, explicitly.
test("a stream whose VM disconnects ends with stream/closed", async () => {
  await using fixture = await testCloud();
  const vm = await fixture.connect("vm-1", async (_message, call) => {
    call.stream((signal) => new Promise((resolve) => signal.addEventListener("abort", () => resolve())));
    return { status: "started" };
  });
  const peer = await openPeer(`${fixture.url}/v1/instances/vm-1/rpc`, fixture.admin);
  const closed = Promise.withResolvers<unknown>();
  await peer.request(
    "command/subscribe",
    { command_id: "c-1" },
    {
      onNotification: (method, params) => closed.resolve({ method, reason: (params as { reason: string }).reason }),
    },
  );
  vm.peer.close("gone");
  assert.deepEqual(await closed.promise, { method: "stream/closed", reason: "vm_disconnected" });
  peer.close("done");
});

// Goal: limits have an answer that says when to come back.
test("limits: requests of an instance and connections of an operator are bounded", async () => {
  await using fixture = await testCloud({ limits: { requestsPerInstanceMax: 2, connectionsPerOperatorMax: 1 } });
  await using vm = await fixture.connect("vm-1", () => new Promise(() => {}));
  const url = `${fixture.url}/v1/instances/vm-1/rpc`;
  const pending = [1, 2].map((id) =>
    postRpc(url, fixture.admin, "command/execute", { ...execute, command_id: `c-${id}` }),
  );
  await vm.nth(2);
  const third = await postRpc(url, fixture.admin, "command/execute", execute);
  assert.equal(third.status, 429);
  assert.equal(errorOf(third).code, 1003);
  assert.equal(errorOf(third).data["retry_after_ms"], 1_000);
  assert.equal(third.headers.get("retry-after"), "1");

  const peer = await openPeer(url, fixture.admin);
  await assert.rejects(openPeer(url, fixture.admin), { status: 429 });
  peer.close("done");
  await fixture.cloud[Symbol.asyncDispose]();
  for (const reply of await Promise.all(pending)) {
    assert.equal(reply.status, 503);
    assert.equal(errorOf(reply).code, 1005);
    assert.equal(errorOf(reply).data["queued"], true);
  }
});
