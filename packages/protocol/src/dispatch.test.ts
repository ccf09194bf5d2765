/**
 * Goal: X3: no handler sees a request that is unknown, unauthenticated, not permitted or malformed; and every refusal says what
 * and why. Method: the real table with handlers that only count, every method against every shipped role.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Call } from "@hl/core/rpc/answer.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import * as z from "zod";
import { isRefusal, requestHandler, type CallRecord } from "./dispatch.ts";
import { errorTable, HlError, type ErrorType } from "./errors.ts";
import { defineMethod, type Caller, type MethodCall, type MethodTable } from "./method.ts";
import { daemonMethods } from "./methods.ts";
import { roleAllows, shippedRoles } from "./permissions.ts";

interface Served {
  readonly ask: (method: string, params?: unknown, signal?: AbortSignal) => Promise<unknown>;
  readonly records: CallRecord[];
  readonly calls: MethodCall[];
  readonly clock: ManualClock;
}

function serve(
  table: MethodTable,
  caller: Caller | undefined,
  work: () => Promise<unknown> = async () => "served",
): Served {
  const [records, calls, clock]: [CallRecord[], MethodCall[], ManualClock] = [[], [], new ManualClock()];
  const handle = (_params: unknown, call: MethodCall): Promise<unknown> => {
    calls.push(call);
    return work();
  };
  const handler = requestHandler({
    table,
    handlers: Object.fromEntries(Object.keys(table).map((name) => [name, handle])),
    roles: shippedRoles,
    clock,
    wireError: { stackTrace: false },
    caller: () => caller,
    observe: (record) => records.push(record),
  });
  const ask = (method: string, params: unknown = {}, signal = new AbortController().signal): Promise<unknown> => {
    const call: Call = {
      id: 1,
      signal,
      canNotify: true,
      notify: async () => {},
      notifyBytes: async () => {},
      stream: () => {},
    };
    return handler.request({ kind: "request", id: 1, method, params, authorization: undefined }, call);
  };
  return { ask, records, calls, clock };
}

const roleAllowsByHand = (role: string, permission: string): boolean =>
  new Map(Object.entries(shippedRoles)).get(role)?.includes(permission) ?? false;
const as = (role: string): Caller => ({ role, subject: "test", via: "socket" });
const typed =
  (type: ErrorType, message = /./) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof HlError);
    assert.equal(error.type, type);
    assert.match(error.message, message);
    return true;
  };

describe("before a handler", () => {
  test("X3: without authentication only `none` methods are served, and an unknown method tells nothing more", async () => {
    for (const [name, { permission }] of Object.entries(daemonMethods)) {
      const served = serve(daemonMethods, undefined);
      const outcome = served.ask(name);
      if (permission === "none") await assert.rejects(outcome, typed("invalid_params"));
      else await assert.rejects(outcome, typed("unauthenticated", /auth\/login/));
      assert.equal(served.calls.length, 0);
    }
    for (const name of ["unknown", "constructor", "__proto__", ""]) {
      await assert.rejects(serve(daemonMethods, undefined).ask(name), typed("unauthenticated"));
    }
  });

  test("an unknown method is named, also one that every object has", async () => {
    for (const name of ["unknown", "constructor", "toString", "__proto__", "System/ping", ""]) {
      await assert.rejects(serve(daemonMethods, as("admin")).ask(name), (error) => {
        assert.ok(typed("method_not_found")(error) && (error as Error).message.includes(JSON.stringify(name)));
        return true;
      });
    }
  });

  const everybody = ["auth/login", "rpc.discover", "system/ping", "system/info"];
  for (const role of [...Object.keys(shippedRoles), "unknown-role", "", "constructor"]) {
    test(`X3: role "${role}": every method is permitted or refused as its permission says`, async () => {
      for (const [name, definition] of Object.entries(daemonMethods)) {
        const { permission } = definition;
        const granted = role === "admin" || everybody.includes(name) || roleAllowsByHand(role, permission);
        // With parameters that fit nothing: who is refused learns of the refusal first, and no handler runs.
        const served = serve(daemonMethods, as(role));
        const outcome = served.ask(name, []);
        if (granted) await assert.rejects(outcome, typed(definition.invalidParams ?? "invalid_params"));
        else {
          await assert.rejects(outcome, (error) => {
            assert.ok(typed("permission_denied")(error) && error instanceof HlError);
            assert.deepEqual(error.facts, { permission, role });
            assert.ok(isRefusal(error.type));
            return true;
          });
        }
        assert.equal(served.calls.length, 0, name);
      }
    });
  }

  test("the shipped roles: vm-instance has six permissions, admin has what any method may ever need", () => {
    const vm = ["process:execute", "file:read", "file:write", "system:monitor", "events:stream", "approval:decide"];
    assert.deepEqual(shippedRoles["vm-instance"], vm);
    for (const { permission } of Object.values(daemonMethods)) assert.ok(roleAllows({}, "admin", permission));
    assert.ok(!roleAllows(shippedRoles, "vm-instance", "system:configure"));
  });
});

const slow = defineMethod({
  name: "slow",
  summary: "For these tests.",
  direction: "to-daemon",
  permission: "any",
  idempotent: true,
  timeoutMs: 1_000,
  errors: [],
  params: z.object({ n: z.int().default(7) }),
  result: z.string(),
});

describe("the handler", () => {
  test("gets parameters with defaults and the caller; what happened is recorded", async () => {
    const seen: unknown[] = [];
    const clock = new ManualClock();
    const records: CallRecord[] = [];
    const handler = requestHandler({
      table: { slow },
      handlers: { slow: async (params, { caller, id }) => String(seen.push(params, caller.subject, id)) },
      roles: shippedRoles,
      clock,
      wireError: { stackTrace: false },
      caller: () => as("admin"),
      observe: (record) => records.push(record),
    });
    const call: Call = {
      id: "x",
      signal: new AbortController().signal,
      canNotify: true,
      notify: async () => {},
      notifyBytes: async () => {},
      stream: () => {},
    };
    const message = { kind: "request", id: "x", method: "slow", params: undefined, authorization: undefined } as const;
    assert.equal(await handler.request(message, call), "3");
    assert.deepEqual(seen, [{ n: 7 }, "test", "x"]);
    assert.deepEqual([records.length, records[0]?.method, records[0]?.error], [1, "slow", undefined]);
    assert.equal(clock.timers, 0);
  });

  test("what it throws is recorded and passed on as it is, also at once", async () => {
    for (const thrown of [new HlError("queue_full", "full"), new Error("a bug"), "text"]) {
      const served = serve({ slow }, as("admin"), () => {
        throw thrown;
      });
      await assert.rejects(served.ask("slow"), (error) => error === thrown);
      assert.equal(served.records[0]?.error, thrown);
      assert.equal(served.clock.timers, 0);
    }
  });

  test("a time limit answers, aborts the work, and keeps the first cause", async () => {
    const served = serve({ slow }, as("admin"), () => {
      const [call] = served.calls;
      return new Promise((_resolve, reject) => {
        call?.signal.addEventListener("abort", () => reject(new Error("torn down")));
      });
    });
    const asked = assert.rejects(served.ask("slow"), typed("internal_error", /slow did not finish within 1000 ms/));
    await served.clock.advance(999);
    assert.equal(served.calls[0]?.signal.aborted, false);
    await served.clock.advance(1);
    await asked;
    assert.equal(served.calls[0]?.signal.aborted, true);
  });

  test("a caller that leaves aborts the work within its time limit too", async () => {
    const served = serve({ slow }, as("admin"), () => new Promise(() => {}));
    const abort = new AbortController();
    void served.ask("slow", {}, abort.signal).catch(() => {});
    abort.abort();
    assert.equal(served.calls[0]?.signal.aborted, true);
    await served.clock.advance(1_000);
  });
});

test("only mistakes of callers and policies count as refusals", () => {
  const refusals = (Object.keys(errorTable) as ErrorType[]).filter(isRefusal);
  assert.deepEqual(refusals, [
    "unauthenticated",
    "permission_denied",
    "command_blocked",
    "command_not_allowed",
    "path_denied",
  ]);
});

describe("who is judged", () => {
  interface Asked {
    readonly caller: Caller;
    readonly authorization?: string;
    readonly more?: Partial<Parameters<typeof requestHandler<{ slow: typeof slow }>>[0]>;
  }
  const clock = new ManualClock();
  const ask = async ({
    caller,
    authorization,
    more,
  }: Asked): Promise<{ seen: Caller | undefined; record: CallRecord }> => {
    const records: CallRecord[] = [];
    let seen: Caller | undefined;
    const handler = requestHandler({
      table: { slow: { ...slow, permission: "system:configure" } },
      handlers: {
        slow: async (_params, call) => {
          seen = call.caller;
          return "served";
        },
      },
      roles: shippedRoles,
      clock,
      wireError: { stackTrace: false },
      caller: () => caller,
      observe: (record) => records.push(record),
      ...more,
    });
    const call: Call = {
      id: 1,
      signal: new AbortController().signal,
      canNotify: true,
      notify: async () => {},
      notifyBytes: async () => {},
      stream: () => {},
    };
    await handler.request({ kind: "request", id: 1, method: "slow", params: {}, authorization }, call).catch(() => {});
    const [record] = records;
    assert.ok(record !== undefined && records.length === 1);
    return { seen, record };
  };
  const typeOf = ({ record }: { record: CallRecord }): string | undefined =>
    record.error instanceof HlError ? record.error.type : undefined;

  test("X3: with rbac_enabled false every authenticated caller does everything, and nobody else anything", async () => {
    assert.equal(typeOf(await ask({ caller: as("vm-instance") })), "permission_denied");
    for (const role of ["vm-instance", "unknown", ""])
      assert.equal(typeOf(await ask({ caller: as(role), more: { checksRoles: false } })), undefined, role);
    const nobody = { checksRoles: false, caller: () => undefined };
    assert.equal(typeOf(await ask({ caller: as("admin"), more: nobody })), "unauthenticated");
  });

  test("X3: a caller whose token has expired is nobody, to the millisecond, whatever its role", async () => {
    const until = (expiresAtMs: number): Caller => ({ ...as("admin"), expiresAtMs });
    assert.equal(typeOf(await ask({ caller: until(clock.wallMs() + 1) })), undefined);
    assert.equal(typeOf(await ask({ caller: until(clock.wallMs()) })), "unauthenticated");
    const off = { checksRoles: false };
    assert.equal(typeOf(await ask({ caller: until(clock.wallMs()), more: off })), "unauthenticated");
  });

  test("X3: the `authorization` of a message decides in place of its connection, upwards and downwards", async () => {
    const actingAs = async (token: string): Promise<Caller> => {
      if (token === "bad") throw new HlError("unauthenticated", "this token is not valid here");
      return { role: token, subject: "alice", via: "cloud" };
    };
    const more = { actingAs };
    const up = await ask({ caller: as("vm-instance"), authorization: "admin", more });
    assert.deepEqual([up.seen?.subject, up.record.caller?.subject, up.record.error], ["alice", "alice", undefined]);
    const down = await ask({ caller: as("admin"), authorization: "vm-instance", more });
    assert.deepEqual([typeOf(down), down.record.caller?.subject], ["permission_denied", "alice"]);
    const bad = await ask({ caller: as("admin"), authorization: "bad", more });
    assert.deepEqual([typeOf(bad), bad.seen, bad.record.caller?.subject], ["unauthenticated", undefined, "test"]);
    // Where nobody may act for others the member is one that is not known.
    assert.equal(typeOf(await ask({ caller: as("vm-instance"), authorization: "admin" })), "permission_denied");
    // It does not stand in for a login.
    const nobody = await ask({ caller: as("x"), authorization: "admin", more: { ...more, caller: () => undefined } });
    assert.equal(typeOf(nobody), "unauthenticated");
  });

  test("a request behind a login that is being checked waits for what comes of it", async () => {
    const coming = Promise.withResolvers<undefined>();
    const known: Caller[] = [];
    const more = { callerComing: () => (known.length === 0 ? coming.promise : undefined), caller: () => known[0] };
    const asked = ask({ caller: as("x"), more });
    known.push(as("admin"));
    coming.resolve(undefined);
    assert.equal(typeOf(await asked), undefined);
  });
});

test("whoever may not ask just now is refused before anything else is judged, and that is a record with where it came from", async () => {
  const records: CallRecord[] = [];
  const admitted: unknown[] = [];
  const handler = requestHandler({
    table: daemonMethods,
    handlers: {} as never,
    roles: shippedRoles,
    clock: new ManualClock(),
    wireError: { stackTrace: false },
    caller: () => undefined,
    admit: (caller, method) => {
      admitted.push([caller, method]);
      throw new HlError("rate_limited", "not now");
    },
    from: "10.0.0.1",
    observe: (record) => records.push(record),
  });
  const message = { kind: "request", id: 1, method: "no/such", params: 7, authorization: undefined } as const;
  await assert.rejects(handler.request(message, {} as Call), typed("rate_limited", /not now/));
  assert.deepEqual(admitted, [[undefined, "no/such"]]);
  assert.deepEqual(records.map(({ from, method }) => [from, method]), [["10.0.0.1", "no/such"]]); // prettier-ignore
});
