import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { RpcError } from "@hl/core/rpc/error.ts";
import { connectVm, errorOf, openPeer, postRpc } from "../testing/fake-vm.ts";
import { testCloud } from "../testing/test-cloud.ts";

const execute = { command_id: "c-1", command: "git", args: ["--version"] };

// Goal: a request and its answer cross the cloud unchanged, under an id of the cloud's own, with the caller's id put back.
// Method: a fake VM that answers and refuses; real HTTP.
test("POST rpc: forwarded under a fresh id, answered under the caller's", async () => {
  await using fixture = await testCloud();
  await using vm = await fixture.connect("vm-1", async (message) => {
    if (message.method === "system/ping") return { pong: true, version: "0.1.0" };
    throw new RpcError(1101, "the command is blocked", { error_type: "command_blocked", request_id: "inner" });
  });
  const url = `${fixture.url}/v1/instances/vm-1/rpc`;

  const pong = await postRpc(url, fixture.admin, "system/ping", {}, { id: 7 });
  assert.equal(pong.status, 200);
  assert.equal(pong.body.id, 7);
  assert.deepEqual(pong.body.result, { pong: true, version: "0.1.0" });
  assert.match(String(vm.received[0]?.id), /^[0-9a-f-]{36}$/);

  const refused = await postRpc(url, fixture.admin, "command/execute", execute, { id: "mine" });
  assert.equal(refused.status, 200, "an error of the VM is not an error of this HTTP exchange");
  assert.equal(refused.body.id, "mine");
  assert.equal(errorOf(refused).code, 1101);
  assert.equal(errorOf(refused).data.request_id, "mine");
  assert.equal(errorOf(refused).data.rpc_id, vm.received[1]?.id);
  assert.equal(refused.headers.get("hl-rpc-id"), vm.received[1]?.id);
});

// Goal: C1, C2: what was not answered is asked again under the same id, and only one answer counts.
// Method: the first connection breaks with the request in it; the VM comes back.
test("C1: an unanswered request goes out again under the same id after a reconnect", async () => {
  await using fixture = await testCloud();
  const first = await fixture.connect("vm-1", () => new Promise(() => {}));
  const asked = postRpc(`${fixture.url}/v1/instances/vm-1/rpc`, fixture.admin, "command/execute", execute);
  const { id } = await first.nth(1);
  first.peer.close("the network broke");

  await using second = await connectVm(fixture.url, first.tokens.access_token, async () => ({ status: "completed" }));
  const again = await second.nth(1);
  assert.equal(again.id, id);
  assert.deepEqual((await asked).body.result, { status: "completed" });
  assert.equal(second.received.length, 1);
});

// Goal: C2: a request for a VM that is away is kept, also over a restart of the cloud, and its answer can be looked up.
// Method: queue, stop the cloud, start another on the same home, connect the VM.
test("C2: a queued request survives a restart of the cloud and is answered once", async () => {
  const home = mkdtempSync(join(tmpdir(), "hl-cloud-"));
  let rpcId: string;
  let token: string;
  {
    await using fixture = await testCloud({ home });
    token = (await fixture.addVm("vm-1")).access_token;
    const url = `${fixture.url}/v1/instances/vm-1/rpc`;
    const queued = await postRpc(`${url}?wait=0`, fixture.admin, "command/execute", execute);
    assert.equal(queued.status, 503);
    assert.equal(errorOf(queued).code, 1701);
    assert.equal(errorOf(queued).data.queued, true);
    rpcId = String(errorOf(queued).data.rpc_id);
    const read = await postRpc(url, fixture.admin, "system/health", {});
    assert.equal(errorOf(read).code, 1701);
    assert.equal(errorOf(read).data.queued, false);
    const keystroke = await postRpc(url, fixture.admin, "command/input", { command_id: "c-1", data: "y" });
    assert.equal(errorOf(keystroke).data.queued, false, "input makes sense only now");
  }
  await using fixture = await testCloud({ home });
  const lookUp = async (): Promise<{ state: string; answer: unknown }> => {
    const response = await fetch(`${fixture.url}/v1/instances/vm-1/rpc/${rpcId}`, {
      headers: { authorization: `Bearer ${fixture.admin}` },
    });
    return (await response.json()) as { state: string; answer: unknown };
  };
  assert.equal((await lookUp()).state, "queued");

  await using vm = await connectVm(fixture.url, token, async () => ({ status: "completed" }));
  assert.equal((await vm.nth(1)).id, rpcId);
  // A second request behind it: when that is answered, the first answer has been recorded too.
  await postRpc(`${fixture.url}/v1/instances/vm-1/rpc`, fixture.admin, "claude/stop", { process_id: "p" });
  const found = await lookUp();
  assert.equal(found.state, "answered");
  assert.deepEqual(found.answer, { result: { status: "completed" } });
  rmSync(home, { recursive: true, force: true });
});

// Goal: the notifications of a request come back under the operator's own id, after the answer that opens them.
// Method: a WebSocket of an operator; the VM streams three chunks and the end.
test("WebSocket rpc: a stream comes back under the operator's id", async () => {
  await using fixture = await testCloud();
  await using vm = await fixture.connect("vm-1", async (message, call) => {
    call.stream(async () => {
      for (const data of ["a", "b", "c"]) await call.notify("command/output", { command_id: "c-1", data });
      await call.notify("command/exited", { command_id: "c-1", exit_code: 0 });
    });
    return { status: "started", command_id: (message.params as { command_id: string }).command_id };
  });
  const operator = await openPeer(`${fixture.url}/v1/instances/vm-1/rpc`, fixture.admin);
  const seen: unknown[] = [];
  const exited = Promise.withResolvers<undefined>();
  const leave = new AbortController();
  const started = await operator.request(
    "command/execute",
    { ...execute, stream_output: true },
    {
      id: "operator-7",
      signal: leave.signal,
      onNotification: (method, params) => {
        seen.push((params as { data?: string }).data ?? method);
        if (method === "command/exited") exited.resolve(undefined);
      },
    },
  );
  assert.deepEqual(started, { status: "started", command_id: "c-1" });
  await exited.promise;
  assert.deepEqual(seen, ["a", "b", "c", "command/exited"]);
  assert.notEqual(vm.received[0]?.id, "operator-7");
  leave.abort();
  operator.close("done");
});

// Goal: an operator who leaves stops what he was watching, in the request and in the stream.
// Method: the VM notes when the signals of its two calls abort.
test("WebSocket rpc: the operator's leaving cancels the request and the stream at the VM", async () => {
  await using fixture = await testCloud();
  const cancelled = { request: Promise.withResolvers<undefined>(), stream: Promise.withResolvers<undefined>() };
  await using vm = await fixture.connect("vm-1", async (message, call) => {
    if (message.method === "event/subscribe") {
      call.stream(
        (signal) =>
          new Promise((resolve) => {
            signal.addEventListener("abort", () => {
              cancelled.stream.resolve(undefined);
              resolve();
            });
          }),
      );
      return { epoch: "e", next_seq: 1 };
    }
    call.signal.addEventListener("abort", () => cancelled.request.resolve(undefined));
    return new Promise(() => {});
  });
  const operator = await openPeer(`${fixture.url}/v1/instances/vm-1/rpc`, fixture.admin);
  await operator.request("event/subscribe", {}, { onNotification: () => {} });
  operator.request("command/execute", execute).catch(() => {});
  await vm.nth(2);
  operator.close("closing the browser");
  await Promise.all([cancelled.request.promise, cancelled.stream.promise]);
});

// Goal: X3: who decides is who the cloud knows, whatever the request says. Method: a request that names somebody else.
test("X3: a decision on an approval carries the operator's own name", async () => {
  await using fixture = await testCloud();
  await using vm = await fixture.connect("vm-1", async () => ({}));
  const decision = { approval_id: "a", decision: "deny", on_behalf_of: "somebody else" };
  await postRpc(`${fixture.url}/v1/instances/vm-1/rpc`, fixture.admin, "approval/decide", decision);
  const { on_behalf_of, ...rest } = vm.received[0]?.params as Record<string, unknown>;
  assert.deepEqual(rest, { approval_id: "a", decision: "deny" });
  assert.ok(typeof on_behalf_of === "string" && on_behalf_of !== "somebody else");
});
