/**
 * Goal: whatever a caller sends and whatever a handler does, each request gets exactly one answer with its id, and the
 * connection goes on.
 * Method: a peer with scripted handlers over a memory transport; the other end reads and writes the wire itself.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RpcError } from "./error.ts";
import { scripted, served, type Script } from "./testing/wire.ts";
import { Peer } from "./peer.ts";
import { memoryTransports } from "./memory.ts";
import { systemClock } from "../clock.ts";

const request = (id: unknown, method = "m", more: object = {}): object => ({ jsonrpc: "2.0", id, method, ...more });
const cancel = (id: unknown): object => ({ jsonrpc: "2.0", method: "$/cancelRequest", params: { id } });

const untilAborted: Script = (_message, { signal }) =>
  new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(new Error("aborted")));
  });

describe("answers", () => {
  test("ids come back with their type, every message has a timestamp, and a notification gets silence", async () => {
    const { wire } = served(({ method }) => method);
    wire.send({ jsonrpc: "2.0", method: "silent" });
    for (const id of [0, "", null, 1.5, "0"]) {
      wire.send(request(id));
      const answer = await wire.next();
      assert.strictEqual(answer.id, id);
      assert.equal(answer.result, "m");
      assert.ok(Math.abs((answer.timestamp ?? 0) - Date.now() / 1000) < 60);
    }
    assert.equal(wire.unread, 0);
  });

  test("a batch is answered as one, notifications and responses in it are not, and nothing at all where there are only those", async () => {
    const { wire } = served(({ method }) => Promise.resolve(method));
    wire.send([
      { jsonrpc: "2.0", method: "a" },
      { jsonrpc: "2.0", id: 5, result: 1 },
    ]);
    wire.send([
      request(1, "one"),
      { jsonrpc: "2.0", method: "n" },
      7,
      { jsonrpc: "2.0", id: "r", result: 1 },
      request(null, "two"),
    ]);
    const answers = await wire.nextBatch();
    assert.deepEqual(
      answers.map(({ id, result, error }) => [id, result, error?.code]),
      [
        [1, "one", undefined],
        [null, undefined, -32600],
        [null, "two", undefined],
      ],
    );
    wire.send("[]");
    assert.equal((await wire.next()).error?.code, -32600);
  });

  test("the order of answers is that in which handlers finish", async () => {
    const gates = new Map([1, 2, 3].map((id) => [id, Promise.withResolvers<undefined>()]));
    const { wire } = served(({ id }) => gates.get(id as number)?.promise.then(() => id));
    for (const id of [1, 2, 3]) wire.send(request(id));
    for (const id of [3, 1, 2]) {
      gates.get(id)?.resolve(undefined);
      assert.equal((await wire.next()).result, id);
    }
  });

  test("a handler may throw at once or later, also what is no error, and may return nothing", async () => {
    const { wire } = served(async ({ method }) => {
      await Promise.resolve();
      if (method === "text") throw "plain text";
      if (method === "null") throw null;
      if (method === "known") throw new RpcError(1101, "blocked", { fact: 1 });
      if (method === "nothing") return;
      throw new Error("later");
    });
    const expected = { text: [1, "plain text"], null: [1, "null"], known: [1101, "blocked"], late: [1, "later"] };
    for (const [method, [code, message]] of Object.entries(expected)) {
      wire.send(request(1, method));
      const { error } = await wire.next();
      assert.deepEqual([error?.code, error?.message], [code, message]);
    }
    wire.send(request(1, "nothing"));
    assert.equal((await wire.next()).result, null);
    const sync = served(() => {
      throw new Error("at once");
    });
    sync.wire.send(request(2));
    assert.equal((await sync.wire.next()).error?.message, "at once");
  });

  test("a result that is no JSON is an error of that request alone; the batch and the connection go on", async () => {
    const cyclic: Record<string, unknown> = {};
    cyclic.self = cyclic;
    const results: Record<string, unknown> = { cyclic, big: 1n, good: "fine" };
    const { wire, peer } = served(({ method }) => Promise.resolve(results[method]));
    for (const method of ["cyclic", "big"]) {
      wire.send(request(method, method));
      const answer = await wire.next();
      assert.deepEqual([answer.id, answer.error?.code], [method, 1]);
    }
    wire.send([request(1, "good"), request(2, "cyclic")]);
    const [good, bad] = await wire.nextBatch();
    assert.deepEqual([good?.id, good?.result], [1, "fine"]);
    assert.deepEqual([bad?.id, bad?.error?.code], [2, 1]);
    assert.equal(peer.isClosed, false);
  });

  test("without a handler every request is answered: no such method", async () => {
    const [left, right] = memoryTransports();
    const lonely = new Peer({ transport: left, clock: systemClock }).open();
    const asker = new Peer({ transport: right, clock: systemClock }).open();
    await assert.rejects(asker.request("m", {}), { code: -32601 });
    lonely.close("done");
  });

  test("handlers that are instances of classes keep their methods, also at the limit", async () => {
    class Counting {
      readonly #described: string[] = [];
      async request(): Promise<unknown> {
        return this.#described.length;
      }
      describe(error: unknown): { code: number; message: string } {
        this.#described.push(String(error));
        return { code: 42, message: `${this.#described.length} described` };
      }
    }
    const [left, right] = memoryTransports();
    const options = { clock: systemClock, handler: new Counting(), inFlightMax: 0 };
    const server = new Peer({ ...options, transport: left }).open();
    const asker = new Peer({ clock: systemClock, transport: right }).open();
    await assert.rejects(asker.request("m", {}), { code: 42, message: "1 described" });
    server.close("done");
  });
});

describe("cancellation", () => {
  test("during the request: the signal aborts and the answer says cancelled", async () => {
    const { wire } = served(untilAborted);
    for (const id of [1, "a", null, 0]) {
      wire.send(request(id));
      wire.send(cancel(id));
      const answer = await wire.next();
      assert.strictEqual(answer.id, id);
      assert.equal(answer.error?.code, -32800);
    }
  });

  test("before, after, and for an unknown or odd id it has no effect", async () => {
    const { wire } = served(() => Promise.resolve("done"));
    for (const params of [{ id: 1 }, { id: "unknown" }, { id: {} }, {}, [1], undefined]) {
      wire.send({ jsonrpc: "2.0", method: "$/cancelRequest", params });
    }
    wire.send(request(1));
    assert.equal((await wire.next()).result, "done");
    wire.send(cancel(1));
    wire.send(request(1));
    assert.equal((await wire.next()).result, "done");
  });

  test("an id used twice at once: both are cancelled, and the end of one does not hide the other", async () => {
    const first = Promise.withResolvers<string>();
    const signals: AbortSignal[] = [];
    const { wire, peer } = served((message, call) => {
      signals.push(call.signal);
      return signals.length === 1 ? first.promise : untilAborted(message, call);
    });
    wire.send(request("same"));
    wire.send(request("same"));
    first.resolve("first");
    assert.equal((await wire.next()).result, "first");
    wire.send(cancel("same"));
    assert.equal((await wire.next()).error?.code, -32800);
    wire.send(request("same"));
    wire.send(request("same"));
    wire.send(cancel("same"));
    for (let count = 0; count < 2; count += 1) assert.equal((await wire.next()).error?.code, -32800);
    assert.equal(signals.filter(({ aborted }) => aborted).length, 3);
    peer.close("done");
  });

  test("close aborts what is served, sends nothing more and serves nothing more", async () => {
    const signals: AbortSignal[] = [];
    const { wire, peer } = served((message, call) => {
      signals.push(call.signal);
      return untilAborted(message, call);
    });
    wire.send([request(1), request(2)]);
    wire.send(request(3));
    await new Promise(setImmediate);
    peer.close("enough");
    peer.close("again");
    wire.send(request(4));
    assert.equal(await peer.closed, "enough");
    assert.equal(await wire.closed, "enough");
    assert.deepEqual(
      signals.map(({ aborted }) => aborted),
      [true, true, true],
    );
    assert.equal(wire.unread, 0);
  });
});

describe("limits", () => {
  test("P7: inFlightMax counts each request of a batch, a refusal frees its place, and so does an answer", async () => {
    const gate = Promise.withResolvers<string>();
    const refusals = {
      tooMany: (most: number) => ({ code: 1003, message: `only ${most}`, data: { retry_after_ms: 5 } }),
      tooLarge: (message: string) => ({ code: 1004, message }),
    };
    const { wire } = served(() => gate.promise, { inFlightMax: 2, refusals });
    wire.send(request("held"));
    wire.send([request(1), request(2), request(3)]);
    wire.send(request("one more"));
    const refused = await wire.next();
    assert.deepEqual([refused.id, refused.error?.code, refused.error?.data], ["one more", 1003, { retry_after_ms: 5 }]);
    gate.resolve("done");
    assert.equal((await wire.next()).id, "held");
    const batch = await wire.nextBatch();
    assert.deepEqual(
      batch.map(({ result, error }) => result ?? error?.code),
      ["done", 1003, 1003],
    );
    wire.send(request("later"));
    assert.equal((await wire.next()).result, "done");
  });

  test("what a transport cannot make a message of is answered without an id, with the owner's words", async () => {
    const [left, right] = memoryTransports();
    const sent: string[] = [];
    let problem = (_kind: "too_large" | "not_text"): void => {};
    const peer = new Peer({
      clock: systemClock,
      handler: scripted(() => "done"),
      transport: {
        ...left,
        open: (receiver) => (problem = (kind) => receiver.problem({ kind, message: kind })),
        send: async (message) => void sent.push(message as string),
        close: () => {},
      },
    }).open();
    problem("too_large");
    problem("not_text");
    const codes = sent.map((text) => JSON.parse(text) as { id: unknown; error: { code: number } });
    assert.deepEqual(
      codes.map(({ id, error }) => [id, error.code]),
      [
        [null, -32600],
        [null, -32700],
      ],
    );
    peer.close("done");
    problem("too_large");
    assert.equal(sent.length, 2);
    right.close("done");
  });
});

describe("what the owner can see", () => {
  test("input that is no request is told with its number, and what is in progress or followed is counted", async () => {
    const told: unknown[] = [];
    const gate = Promise.withResolvers<string>();
    const [left, right] = memoryTransports();
    const handler = scripted(() => gate.promise);
    const server = new Peer({
      ...{ clock: systemClock, transport: left, handler },
      onOther: (count, kind) => told.push([count, kind]),
    }).open();
    const asker = new Peer({ clock: systemClock, transport: right }).open();
    await right.send("garbage");
    await right.send('[1,{"jsonrpc":"2.0","method":"fine"},null]');
    const asked = asker.request("m", {});
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(told, [
      [1, "message"],
      [3, "message"],
    ]);
    assert.equal(server.serving, 1);
    gate.resolve("done");
    assert.equal(await asked, "done");
    assert.equal(server.serving, 0);
    server.close("done");
  });
});
