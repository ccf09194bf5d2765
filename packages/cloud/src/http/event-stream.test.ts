import assert from "node:assert/strict";
import { test } from "node:test";
import { postRpc } from "../testing/fake-vm.ts";
import { testCloud, type TestCloud } from "../testing/test-cloud.ts";

interface ServerSentEvent {
  readonly id: string;
  readonly data: { readonly event_id: string };
}

async function* follow(
  fixture: TestCloud,
  headers: Record<string, string>,
  signal: AbortSignal,
): AsyncGenerator<ServerSentEvent> {
  const response = await fetch(`${fixture.url}/v1/instances/vm-1/events`, {
    headers: { accept: "text/event-stream", authorization: `Bearer ${fixture.admin}`, ...headers },
    signal,
  });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "text/event-stream");
  assert.match(response.headers.get("content-security-policy") ?? "", /default-src 'none'/);
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk as Uint8Array).toString();
    for (let end = text.indexOf("\n\n"); end !== -1; end = text.indexOf("\n\n")) {
      const fields = new Map(
        text
          .slice(0, end)
          .split("\n")
          .map((line) => line.split(/: (.*)/s, 2) as [string, string]),
      );
      text = text.slice(end + 2);
      const data = fields.get("data");
      if (data !== undefined) yield { id: fields.get("id") ?? "", data: JSON.parse(data) as { event_id: string } };
    }
  }
}

// Goal: an operator sees events as they come, and a reader that lost its connection goes on where it was.
// Method: follow, emit, read two; open again with Last-Event-ID of the first.
test("server-sent events: live, and resumed by Last-Event-ID", async () => {
  await using fixture = await testCloud();
  const { access_token } = await fixture.addVm("vm-1");
  const emit = async (seq: number): Promise<void> => {
    const event = { event_id: `e-${seq}`, event_type: "t", timestamp: 1, data: {}, epoch: "x", seq };
    const reply = await postRpc(`${fixture.url}/v1/vm/events`, access_token, "event/stream", event);
    assert.equal(reply.body.result?.["status"], "accepted");
  };
  await emit(1);
  const leave = new AbortController();
  const live = follow(fixture, {}, leave.signal);
  const first = (await live.next()).value as ServerSentEvent;
  assert.equal(first.data.event_id, "e-1");
  const waiting = live.next();
  await emit(2);
  assert.equal(((await waiting).value as ServerSentEvent).data.event_id, "e-2");
  leave.abort();
  await assert.rejects(live.next(), { name: "AbortError" });

  const again = new AbortController();
  const resumed = follow(fixture, { "last-event-id": first.id }, again.signal);
  assert.equal(((await resumed.next()).value as ServerSentEvent).data.event_id, "e-2");
  // A stop of the cloud ends the stream instead of waiting for it.
  const end = resumed.next();
  await fixture.cloud[Symbol.asyncDispose]();
  assert.equal((await end).done, true);
});
