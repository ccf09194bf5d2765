/**
 * Goal: C1, C2: a request of the cloud has one effect however often it comes, and its answer is the same each time.
 * Method: the real inbox on disk; an inner handler whose work the test ends by hand; a kill is a new handler over the same file.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { Call, RequestHandler } from "@hl/core/rpc/answer.ts";
import type { MessageId, RequestMessage } from "@hl/core/rpc/message.ts";
import { errorTable, HlError } from "@hl/protocol/errors.ts";
import { settled } from "@hl/testkit/manual-clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { Database } from "../store/database.ts";
import { Inbox } from "../store/inbox.ts";
import { InboxHandler } from "./inbox-handler.ts";

const request = (id: MessageId, method = "claude/relay"): RequestMessage => ({
  kind: "request",
  id,
  method,
  params: {},
  authorization: undefined,
});

class Work implements RequestHandler {
  readonly begun: {
    readonly id: MessageId;
    readonly signal: AbortSignal;
    readonly end: (value: unknown) => void;
    readonly fail: (error: unknown) => void;
  }[] = [];

  /** Resolves when so many have begun; recording them takes the disk's time. */
  async until(count: number): Promise<void> {
    while (this.begun.length < count) await settled();
  }

  request(message: RequestMessage, call: Call): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.begun.push({ id: message.id, signal: call.signal, end: resolve, fail: reject });
    return promise;
  }

  describe(error: unknown): ReturnType<RequestHandler["describe"]> {
    const { code, message } = error as HlError;
    return { code, message };
  }
}

interface Connection {
  ask(message: RequestMessage): Promise<unknown>;
  readonly lost: AbortController;
}

class World implements Disposable {
  readonly #folder = temporaryFolder("hl-inbox-handler");
  database = new Database(join(this.#folder.path, "daemon.db"));
  work = new Work();
  handler = this.#handler();

  #handler(): InboxHandler {
    return new InboxHandler(this.work, new Inbox(this.database, () => 0), (method) => method === "system/ping");
  }

  /** kill -9: nothing that is under way says anything more. */
  restart(): void {
    this.database[Symbol.dispose]();
    this.database = new Database(join(this.#folder.path, "daemon.db"));
    this.work = new Work();
    this.handler = this.#handler();
  }

  connect(): Connection {
    const lost = new AbortController();
    const ask = async (message: RequestMessage): Promise<unknown> => {
      const call = {
        id: message.id,
        signal: lost.signal,
        canNotify: true,
        notify: async () => {},
        notifyBytes: async () => {},
        stream: () => {},
      };
      try {
        return { result: await this.handler.request(message, call) };
      } catch (error) {
        return { error: this.handler.describe(error, message.id) };
      }
    };
    return { ask, lost };
  }

  [Symbol.dispose](): void {
    this.database[Symbol.dispose]();
    this.#folder[Symbol.dispose]();
  }
}

test("C1: asked again while it runs it joins the first, also over another connection after the first is lost", async () => {
  using w = new World();
  const first = w.connect();
  const answers = [first.ask(request("r")), first.ask(request("r"))];
  await w.work.until(1);
  first.lost.abort();
  const second = w.connect();
  answers.push(second.ask(request("r")));
  await settled();
  assert.equal(w.work.begun.length, 1);
  assert.equal(w.work.begun[0]!.signal.aborted, false, "the work does not end with its connection");
  w.work.begun[0]!.end({ n: 1 });
  assert.deepEqual(await Promise.all(answers), Array(3).fill({ result: { n: 1 } }));
});

test("C2: an answer, also an error, is given again from the record, before and after a restart", async () => {
  using w = new World();
  const good = w.connect().ask(request("good"));
  const bad = w.connect().ask(request("bad"));
  await w.work.until(2);
  w.work.begun[0]!.end({ text: "é\u0000" });
  w.work.begun[1]!.fail(new HlError("claude_exited", "it died"));
  const answers = [await good, await bad];
  const again = async (): Promise<unknown[]> => [
    await w.connect().ask(request("good")),
    await w.connect().ask(request("bad")),
  ];
  assert.deepEqual(await again(), answers);
  w.restart();
  assert.deepEqual(await again(), answers);
  assert.equal(w.work.begun.length, 0);
  assert.deepEqual(answers[1], { error: { code: errorTable.claude_exited.code, message: "it died" } });
});

test("C1: what was under way when the daemon was killed is not run again: its outcome is not known, and that is said", async () => {
  using w = new World();
  void w.connect().ask(request("r"));
  await w.work.until(1);
  assert.equal(w.work.begun.length, 1);
  w.restart();
  for (let time = 0; time < 2; time += 1) {
    const answer = (await w.connect().ask(request("r"))) as { error: { code: number; message: string } };
    assert.equal(answer.error.code, errorTable.outcome_unknown.code);
    assert.match(answer.error.message, /claude\/relay was under way/);
  }
  assert.equal(w.work.begun.length, 0);
});

test("C1: what a stopping daemon refused begins at the next one; what it had begun is never run again", async () => {
  using w = new World();
  const asked = [w.connect().ask(request("refused")), w.connect().ask(request("begun"))];
  await w.work.until(2);
  w.work.begun[0]!.fail(new HlError("shutting_down", "no new work"));
  w.work.begun[1]!.fail(new HlError("shutting_down", "it goes on", { begun: true }));
  for (const answer of (await Promise.all(asked)) as { error: { code: number } }[])
    assert.equal(answer.error.code, errorTable.shutting_down.code);
  w.restart();
  const again = w.connect().ask(request("refused"));
  await w.work.until(1);
  w.work.begun[0]!.end({ done: true });
  assert.deepEqual(await again, { result: { done: true } });
  const answer = (await w.connect().ask(request("begun"))) as { error: { code: number } };
  assert.equal(answer.error.code, errorTable.outcome_unknown.code);
  assert.equal(w.work.begun.length, 1);
});

test("C1: nothing begins before it is recorded; what cannot be recorded does not begin", async () => {
  using w = new World();
  const asked = w.connect().ask(request("r"));
  assert.equal(w.work.begun.length, 0);
  await w.work.until(1);
  assert.equal(w.work.begun.length, 1);
  w.work.begun[0]!.end(1);
  await asked;
  w.database[Symbol.dispose]();
  assert.match(JSON.stringify(await w.connect().ask(request("s"))), /closed/);
  assert.equal(w.work.begun.length, 1);
});

test("C5: what is idempotent goes straight through, each time anew, without the disk", async () => {
  using w = new World();
  w.database[Symbol.dispose]();
  const connection = w.connect();
  const answers = [1, 2].map(() => connection.ask(request("p", "system/ping")));
  assert.equal(w.work.begun.length, 2);
  for (const [at, one] of w.work.begun.entries()) one.end(at);
  assert.deepEqual(await Promise.all(answers), [{ result: 0 }, { result: 1 }]);
});
