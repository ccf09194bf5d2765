/**
 * Goal: S1, S2: every accepted event arrives, in order; it is given up only by a clear verdict on it and taken for delivered only by
 * one. Method: a scripted cloud on loopback, a real database, time by hand.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { silentLogger } from "@hl/core/logger.ts";
import { errorTable } from "@hl/protocol/errors.ts";
import type { Lane } from "@hl/protocol/event-lanes.ts";
import { ManualClock, settled } from "@hl/testkit/manual-clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { Database } from "../store/database.ts";
import { EventSpool } from "../store/event-spool.ts";
import type { SpoolText } from "../store/spool-text.ts";
import { ScriptedCloud, type Received, type Responder } from "./cloud.fixture.test.ts";
import { isUnauthenticated } from "./link.ts";
import { Retry } from "./retry.ts";
import { Uplink, type UplinkOptions } from "./uplink.ts";

interface Sent {
  readonly id: number;
  readonly params: { readonly event_id: string; readonly seq: number; readonly epoch: string };
}

const one = (id: number, outcome: object): object => ({ jsonrpc: "2.0", id, ...outcome });
const accepted = { result: { status: "accepted" } };
const verdict =
  (outcomeOf: (sent: Sent) => object | undefined = () => accepted): Responder =>
  ({ body }) =>
    (body as Sent[]).flatMap((sent) => {
      const outcome = outcomeOf(sent);
      return outcome === undefined ? [] : [one(sent.id, outcome)];
    });
const error = (type: keyof typeof errorTable, data?: object): object => ({
  error: { code: errorTable[type].code, message: type, data },
});

class Fixture implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly cloud: ScriptedCloud;
  readonly spool: EventSpool;
  readonly database: Database;
  readonly uplink: Uplink;
  readonly renewals: number[] = [];
  readonly pauses: number[] = [];
  readonly #owned = new AsyncDisposableStack();

  private constructor(cloud: ScriptedCloud, changes: Partial<UplinkOptions>) {
    this.cloud = this.#owned.use(cloud);
    const folder = this.#owned.use(temporaryFolder("hl-uplink"));
    this.database = this.#owned.use(new Database(join(folder.path, "daemon.db")));
    this.spool = new EventSpool(this.database, () => 0);
    // Of a clock of its own: time that passes for the uplink ends no request.
    const http = this.#owned.use(cloud.client(new ManualClock()));
    const logger = {
      ...silentLogger,
      info: (fields: Readonly<Record<string, unknown>>) => void this.pauses.push(fields["retry_ms"] as number),
    };
    this.uplink = new Uplink({
      spool: this.spool,
      http,
      clock: this.clock,
      logger: silentLogger,
      retry: new Retry({ clock: this.clock, random: () => 0, minMs: 1_000, maxMs: 60_000, logger }),
      batchEventsMax: 3,
      batchBytesMax: 1_000,
      flushIntervalMs: 5_000,
      criticalFlushIntervalMs: 200,
      retention: { delivered: async () => {} },
      target: async () => ({ url: `${cloud.url}/events`, token: "t" }),
      renew: async () => void this.renewals.push(this.cloud.received.length),
      isUnauthenticated,
      onContact: () => {},
      ...changes,
    });
  }

  static async make(changes: Partial<UplinkOptions> = {}): Promise<Fixture> {
    return new Fixture(await ScriptedCloud.start(), changes);
  }

  async append(...ids: string[]): Promise<void> {
    await this.appendTo("session", ...ids);
  }

  async appendTo(lane: Lane, ...ids: string[]): Promise<void> {
    const body = (id: string): SpoolText => JSON.stringify({ event_id: id }) as SpoolText;
    await Promise.all(ids.map((id) => this.spool.append({ id, type: "t", lane, body: body(id) })));
  }

  /** One attempt at everything that waits; rejects with why it could not be sent. */
  flush(): Promise<void> {
    return this.uplink.flush(new AbortController().signal);
  }

  /** The events of each batch that arrived. */
  get batches(): string[][] {
    return this.cloud.received.map(({ body }: Received) => (body as Sent[]).map(({ params }) => params.event_id));
  }

  get deadLetters(): unknown[] {
    return this.database
      .prepare("SELECT seq, reason FROM dead_letters ORDER BY seq")
      .all()
      .map((row) => ({ ...row }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.uplink[Symbol.asyncDispose]();
    await this.#owned.disposeAsync();
  }
}

describe("uplink: verdicts", () => {
  test("S1, S3: events go in order, in batches, with epoch and sequence number, and are acknowledged", async () => {
    await using f = await Fixture.make();
    f.cloud.otherwise(verdict());
    await f.append("a", "b", "c", "d");
    await f.flush();
    assert.deepEqual(f.batches, [["a", "b", "c"], ["d"]]);
    const { params } = (f.cloud.received[1]!.body as Sent[])[0]!;
    assert.deepEqual(params, { epoch: f.spool.epoch, seq: 4, lane: "session", event_id: "d" });
    assert.equal(f.spool.depth, 0);
  });

  test("S2: what the cloud refuses for its own sake becomes a dead letter with the reason; its neighbours arrive", async () => {
    await using f = await Fixture.make({ batchEventsMax: 10 });
    await f.append("a", "b", "c", "d", "e");
    const outcomes: Record<string, object> = {
      b: { result: { status: "rejected", reason: "too old" } },
      c: { result: { status: "rejected" } },
      d: error("event_invalid"),
      e: { error: { code: -32602, message: "bad shape" } },
    };
    f.cloud.next(verdict(({ params }) => outcomes[params.event_id] ?? accepted));
    await f.flush();
    assert.equal(f.spool.depth, 0);
    assert.deepEqual(f.deadLetters, [
      { seq: 2, reason: "too old" },
      { seq: 3, reason: "no reason given" },
      { seq: 4, reason: "event_invalid" },
      { seq: 5, reason: "bad shape" },
    ]);
  });

  test("S1: anything but a clear verdict on each event delivers nothing and loses nothing: the batch is sent again", async () => {
    const unclear: [string, Responder][] = [
      ["no verdict on one", verdict(({ params }) => (params.event_id === "b" ? undefined : accepted))],
      ["no verdict at all", () => [one(99, accepted)]],
      ["a result of nothing", verdict(() => ({ result: null }))],
      ["a result that says neither", verdict(() => ({ result: {} }))],
      ["a status of its own", verdict(() => ({ result: { status: "queued" } }))],
      ["our token, on each", verdict(() => error("unauthenticated", { retry: "never" }))],
      ["our role, on each", verdict(() => error("permission_denied", { retry: "never" }))],
      ["its own failure", verdict(({ params }) => (params.event_id === "a" ? error("internal_error") : accepted))],
      ["its own failure, in full", verdict(() => error("rate_limited", { retry: "backoff" }))],
      ["an error of nobody's", verdict(() => ({ error: { code: 4711, message: "?" } }))],
      ["one error for all", () => ({ jsonrpc: "2.0", id: null, error: { code: 1001, message: "who?" } })],
      ["a page", (_received, response) => void response.end("<html>accepted</html>")],
      ["nothing", (_received, response) => void response.destroy()],
    ];
    for (const [name, responder] of unclear) {
      await using f = await Fixture.make();
      await f.append("a", "b");
      f.cloud.next(responder).otherwise(verdict());
      await assert.rejects(f.flush(), Error, name);
      assert.equal(f.spool.depth, 2, name);
      await f.flush();
      assert.deepEqual(
        f.batches,
        [
          ["a", "b"],
          ["a", "b"],
        ],
        name,
      );
      assert.equal(f.spool.depth, 0, name);
      assert.deepEqual(f.deadLetters, [], name);
    }
  });

  test("a batch stays within its bytes, and an event larger than a batch goes alone", async () => {
    await using f = await Fixture.make({ batchEventsMax: 10, batchBytesMax: 100 });
    f.cloud.otherwise(verdict());
    const text = (id: string, characters: number): string => id + "é".repeat(characters);
    const ids = [text("a", 10), text("b", 10), text("c", 300), text("d", 10), text("e", 25)];
    await f.append(...ids);
    await f.flush();
    assert.deepEqual(
      f.batches.map((batch) => batch.map((id) => id[0]).join("")),
      ["ab", "c", "d", "e"],
    );
  });
});

describe("uplink: lanes", () => {
  const letters = (f: Fixture): string[] => f.batches.map((batch) => batch.join(""));

  test("S1, S3: the critical lane goes first, each lane in order, and a flood in one keeps no other waiting", async () => {
    await using f = await Fixture.make({ batchEventsMax: 15 });
    f.cloud.otherwise(verdict());
    await f.appendTo("metric", "m", "n");
    await f.appendTo("session", ...Array.from("abcdefgh"));
    await f.appendTo("log", "x", "y", "z");
    await f.appendTo("critical", ...Array.from("ABCDEFGHIJKLMNOPQRST"));
    await f.flush();
    assert.deepEqual(letters(f), ["ABCDEFGHabcdxym", "IJKLMNOPQefghzn", "RST"]);
    assert.equal(f.spool.depth, 0);
  });

  test("what the other lanes do not need of a batch goes to the one that has more", async () => {
    await using f = await Fixture.make({ batchEventsMax: 8 });
    f.cloud.otherwise(verdict());
    await f.appendTo("metric", ...Array.from("mnopqrst"));
    await f.appendTo("critical", "A");
    await f.flush();
    assert.deepEqual(letters(f), ["Amnopqrs", "t"]);
  });

  test("a share counts in bytes too, and a lane's largest event comes to its turn", async () => {
    await using f = await Fixture.make({ batchEventsMax: 100, batchBytesMax: 200 });
    f.cloud.otherwise(verdict());
    await f.appendTo("critical", "A".repeat(20), "B".repeat(150), "C".repeat(20));
    await f.appendTo("metric", "m".repeat(300), "n");
    await f.flush();
    assert.equal(f.spool.depth, 0);
    assert.deepEqual(
      f.batches
        .flat()
        .filter((id) => id.toUpperCase() === id)
        .map((id) => id[0]),
      ["A", "B", "C"],
    );
  });
});

describe("uplink: too much at once", () => {
  /** Takes no request of more events than that. */
  const atMost =
    (count: number, refuse: Responder): Responder =>
    (received, response) =>
      ((received.body as Sent[]).length <= count ? verdict() : refuse)(received, response);
  const page: Responder = (_received, response) => void response.writeHead(413).end("<html>too large</html>");
  const envelope: Responder = () => ({ jsonrpc: "2.0", id: null, error: { code: 1004, message: "too large" } });

  for (const [name, refuse] of [
    ["a proxy's 413", page],
    ["the cloud's own error", envelope],
    ["what the cloud cannot read", () => ({ jsonrpc: "2.0", id: null, error: { code: -32700, message: "no JSON" } })],
  ] as const) {
    test(`after ${name} the batch is halved until it fits, and what fits is found again by doubling`, async () => {
      await using f = await Fixture.make({ batchEventsMax: 8 });
      f.cloud.otherwise(atMost(3, refuse));
      await f.append(...Array.from("abcdefghij"));
      await f.flush();
      assert.deepEqual(
        f.batches.map((batch) => batch.length),
        [8, 4, 2, 4, 2, 4, 2, 4, 2, 2],
      );
      assert.equal(f.spool.depth, 0);
      assert.deepEqual(f.deadLetters, []);
    });
  }

  test("S2: a single event that is refused so becomes a dead letter; a small one at a proxy's word does not", async () => {
    await using f = await Fixture.make({ batchEventsMax: 1 });
    f.cloud.next(envelope, page).otherwise(page);
    await f.append("a", "b".repeat(70_000), "c");
    await assert.rejects(f.flush(), /413/);
    assert.equal(f.spool.depth, 1);
    assert.deepEqual(
      f.deadLetters.map((row) => (row as { seq: number }).seq),
      [1, 2],
    );
    f.cloud.otherwise(verdict());
    await f.flush();
    assert.deepEqual(f.batches.at(-1), ["c"]);
  });
});

describe("uplink: a cloud that has something else", () => {
  test("S3: when the numbers are in use for other events a new epoch begins, and everything goes out under it", async () => {
    await using f = await Fixture.make();
    const { epoch } = f.spool;
    f.cloud.next(verdict(({ params }) => (params.seq === 2 ? error("epoch_conflict") : accepted))).otherwise(verdict());
    await f.append("a", "b");
    await f.flush();
    assert.notEqual(f.spool.epoch, epoch);
    const sent = f.cloud.received.map(({ body }) =>
      (body as Sent[]).map(({ params }) => [params.epoch, params.event_id]),
    );
    assert.deepEqual(sent, [
      [
        [epoch, "a"],
        [epoch, "b"],
      ],
      [
        [f.spool.epoch, "a"],
        [f.spool.epoch, "b"],
      ],
    ]);
    assert.equal(f.spool.depth, 0);
  });

  test("S1: a cloud from a backup takes nothing new before what it lacks has been compared, also when no channel is there to tell", async () => {
    await using f = await Fixture.make();
    const run = (id: string): Responder =>
      verdict(() => error("cloud_restarted", { cloud_run_id: id, events_acked: { epoch: f.spool.epoch, lanes } }));
    let lanes: Record<string, number> = {};
    f.cloud.next(run("first")).otherwise(verdict());
    await f.append("a", "b", "c");
    await f.flush();
    // It had taken all three; what it was restored from had one.
    lanes = { session: 1 };
    f.cloud.next(run("restored"));
    await f.append("d");
    await f.flush();
    const sent = f.cloud.received.map(({ headers }, at) => [headers["hl-cloud-run-id"], f.batches[at]?.join("")]);
    assert.deepEqual(sent, [
      ["", "abc"],
      ["first", "abc"],
      ["first", "d"],
      ["restored", "bcd"],
    ]);
    assert.equal(f.spool.depth, 0);
  });

  test("S1, S3: a cloud that came back and has another event under a number gets everything under a new epoch", async () => {
    await using f = await Fixture.make();
    f.cloud.otherwise(verdict());
    await f.append("a", "b");
    await f.flush();
    const { epoch } = f.spool;
    const acked = { epoch, lanes: { session: 2 }, event_ids: { session: "of a copy" } };
    f.cloud.next(verdict(() => error("cloud_restarted", { cloud_run_id: "restored", events_acked: acked })));
    await f.append("c");
    await f.flush();
    const [before, refused, after] = f.batches;
    assert.deepEqual([before, refused, after], [["a", "b"], ["c"], ["a", "b", "c"]]);
    assert.notEqual(f.spool.epoch, epoch);
    assert.equal(f.spool.depth, 0);
  });

  for (const [how, acked] of [
    ["has less", { lanes: { session: 3 }, event_ids: { session: "c" } }],
    ["has another event under a number", { lanes: { session: 4 }, event_ids: { session: "of a copy" } }],
  ] as const) {
    test(`S1: a batch that was read while it was compared that the cloud ${how} is not sent behind that`, async () => {
      const token = Promise.withResolvers<undefined>();
      const asked = Promise.withResolvers<undefined>();
      let url = "";
      let isSlow = false;
      const target = async (): Promise<{ url: string; token: string }> => {
        asked.resolve(undefined);
        if (isSlow) await token.promise;
        return { url, token: "t" };
      };
      await using f = await Fixture.make({ batchEventsMax: 100, target });
      url = `${f.cloud.url}/events`;
      f.cloud.otherwise(verdict());
      await f.append("a", "b", "c", "d", "e");
      await f.flush();
      isSlow = true;
      await f.append("f");
      const comparing = f.uplink.compare({ epoch: f.spool.epoch, ...acked }, "restored");
      const sending = f.flush();
      await Promise.all([comparing, asked.promise]);
      token.resolve(undefined);
      await sending;
      const expected = how === "has less" ? "def" : "abcdef";
      assert.deepEqual(
        f.batches.map((batch) => batch.join("")),
        ["abcde", expected],
      );
      assert.equal(f.spool.depth, 0);
    });
  }

  test("S1: what a cloud says it has of an epoch that is over is no comparison: it is asked again", async () => {
    await using f = await Fixture.make();
    f.cloud.otherwise(verdict());
    await f.append("a");
    await f.flush();
    const { epoch } = f.spool;
    await f.spool.beginEpoch();
    await f.uplink.compare({ epoch, lanes: {} }, "restored");
    await f.flush();
    assert.equal(f.cloud.received.at(-1)?.headers["hl-cloud-run-id"], "");
  });

  test("one that is always another hl-cloud is asked again with a pause, and not at once for ever", async () => {
    await using f = await Fixture.make();
    f.cloud.otherwise(
      verdict(() =>
        error("cloud_restarted", { cloud_run_id: "next", events_acked: { epoch: f.spool.epoch, lanes: {} } }),
      ),
    );
    await f.append("a");
    await assert.rejects(f.flush(), /cloud_restarted/);
    assert.equal(f.batches.length, 2);
    f.cloud.otherwise(verdict());
    await f.flush();
    assert.equal(f.spool.depth, 0);
  });

  test("S1: what goes back while a batch is on its way is sent again, whatever becomes of that batch", async () => {
    await using f = await Fixture.make({ batchEventsMax: 2 });
    await f.append("a", "b", "c", "d");
    f.cloud
      .next(verdict(), async (received, response) => {
        await f.spool.reconcile({ epoch: f.spool.epoch, lanes: { session: 1 } });
        return verdict()(received, response);
      })
      .otherwise(verdict());
    await f.flush();
    assert.deepEqual(
      f.batches.map((batch) => batch.join("")),
      ["ab", "cd", "bc", "d"],
    );
  });
});

/** Moves time until so many requests have arrived; what the sockets do takes turns of the loop. */
async function untilReceived(f: Fixture, count: number): Promise<void> {
  while (f.cloud.received.length < count) await settled();
}

describe("uplink: the loop", () => {
  test("a small batch waits for the flush interval, a full one and the first event after a rest go at once", async () => {
    await using f = await Fixture.make();
    f.cloud.otherwise(verdict());
    await f.append("a", "b");
    await f.uplink.start();
    await f.clock.advance(4_999);
    assert.deepEqual(f.batches, []);
    await f.clock.advance(1);
    const delivered = async (...ids: string[]): Promise<void> => {
      while (f.spool.depth > 0) await settled();
      assert.deepEqual(f.batches.at(-1), ids);
    };
    await delivered("a", "b");
    await f.append("c", "d", "e");
    f.uplink.poke();
    await delivered("c", "d", "e");
    await f.append("f");
    f.uplink.poke();
    await delivered("f");
    assert.equal(f.batches.length, 3);
  });

  test("what is critical waits for its own, shorter interval, whether it was there first or came to others", async () => {
    await using f = await Fixture.make();
    f.cloud.otherwise(verdict());
    await f.appendTo("critical", "a");
    await f.uplink.start();
    await f.clock.advance(199);
    assert.deepEqual(f.batches, []);
    await f.clock.advance(1);
    while (f.spool.depth > 0) await settled();
    await using g = await Fixture.make();
    g.cloud.otherwise(verdict());
    await g.append("d");
    await g.uplink.start();
    await g.clock.advance(1_000);
    await g.appendTo("critical", "e");
    for (let pokes = 0; pokes < 3; pokes += 1) {
      g.uplink.poke();
      await g.clock.advance(66);
    }
    assert.deepEqual(g.batches, []);
    await g.clock.advance(2);
    while (g.spool.depth > 0) await settled();
    assert.deepEqual(g.batches, [["e", "d"]]);
    assert.equal(g.clock.timers, 0);
  });

  test("a shorter interval that the cloud sets lets nothing wait for the longer one", async () => {
    await using f = await Fixture.make();
    f.cloud.otherwise(verdict());
    await f.append("a");
    await f.uplink.start();
    await f.clock.advance(1);
    f.uplink.poke();
    await settled();
    assert.deepEqual(f.batches, []);
    f.uplink.poke(true);
    while (f.spool.depth > 0) await settled();
    assert.deepEqual(f.batches, [["a"]]);
  });

  test("C3: after 429 it waits as long as it was asked to, and then sends the same again", async () => {
    await using f = await Fixture.make({ batchEventsMax: 1 });
    const busy: Responder = (_received, response) => {
      response.writeHead(429, { "retry-after": "7" });
      response.end('{"jsonrpc":"2.0","id":null,"error":{"code":1003,"message":"slow down"}}');
    };
    f.cloud.next(busy).otherwise(verdict());
    await f.append("a");
    await f.uplink.start();
    await untilReceived(f, 1);
    while (f.pauses.length === 0) await settled();
    assert.deepEqual(f.pauses, [7_000]);
    await f.clock.advance(6_999);
    assert.equal(f.batches.length, 1);
    await f.clock.advance(1);
    await untilReceived(f, 2);
    assert.deepEqual(f.batches, [["a"], ["a"]]);
  });

  test("C4: a token that is refused, for the batch or an event, is renewed before the next attempt", async () => {
    await using f = await Fixture.make({ batchEventsMax: 1 });
    const whole: Responder = () => ({ jsonrpc: "2.0", id: null, error: { code: 1001, message: "expired" } });
    f.cloud
      .next(
        whole,
        verdict(() => error("unauthenticated")),
      )
      .otherwise(verdict());
    await f.append("a");
    await f.uplink.start();
    for (const count of [1, 2, 3]) {
      await untilReceived(f, count);
      while (count < 3 && f.renewals.length < count) await settled();
      while (count < 3 && f.clock.timers === 0) await settled();
      await f.clock.advance(60_000); // A renewed token that is refused again waits a minute (C3).
    }
    assert.deepEqual(f.renewals, [1, 2]);
    while (f.spool.depth > 0) await settled();
  });

  test("S4: events that are counted and cannot be read are tried again with a pause, and hold no stop up", async () => {
    await using f = await Fixture.make({ batchEventsMax: 1 });
    await f.append("a");
    await f.database.write(() => f.database.prepare("DELETE FROM events").run());
    await assert.rejects(f.flush(), /1 events wait, and none of them can be read/);
    await f.uplink.start();
    while (f.pauses.length === 0) await settled();
    await settled();
    assert.equal(f.pauses.length, 1, "it waits for its time");
  });

  test("a stop ends every kind of wait at once", async () => {
    for (const ids of [[], ["a"], ["a", "b", "c"]]) {
      await using f = await Fixture.make();
      await f.append(...ids);
      f.cloud.otherwise(() => undefined); // Never answers.
      await f.uplink.start();
      if (ids.length === 3) await untilReceived(f, 1);
      await f.uplink[Symbol.asyncDispose]();
      assert.equal(f.spool.depth, ids.length);
      assert.equal(f.clock.timers, 0);
    }
  });
});
