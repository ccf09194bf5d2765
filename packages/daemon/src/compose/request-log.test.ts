/** Goal: nothing that anybody can repeat at will fills the log, and what a known caller did is not hidden by it. Method: a log that keeps its lines; a clock moved by hand. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Logger } from "@hl/core/logger.ts";
import type { CallRecord } from "@hl/protocol/dispatch.ts";
import { HlError, type ErrorType } from "@hl/protocol/errors.ts";
import type { Caller } from "@hl/protocol/method.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { refusalReports } from "../api/refusal-reports.ts";
import { requestLog } from "./request-log.ts";

type Line = readonly [level: string, fields: Record<string, unknown>, text: string];

function keepingLogger(): { readonly lines: Line[]; readonly logger: Logger } {
  const lines: Line[] = [];
  const at = (level: string) => (fields: Record<string, unknown>, text: string) =>
    void lines.push([level, fields, text]);
  const logger = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") } as unknown as Logger;
  return { lines, logger };
}

const anna: Caller = { role: "vm-instance", subject: "anna", via: "socket", credential: "jwt" };
const record = (method: string, caller: Caller | undefined, error: unknown, from = "unix socket"): CallRecord => ({
  ...{ method, caller, error, from, definition: undefined, durationMs: 0.123 },
});
const refused = (type: ErrorType): HlError => new HlError(type, "no");

describe("the log of requests", () => {
  test("refusals of strangers by the ten thousand are a line for each error and address in a minute, and a count", async () => {
    const { lines, logger } = keepingLogger();
    const clock = new ManualClock();
    using log = requestLog(logger, clock);
    for (let index = 0; index < 10_000; index += 1) {
      log.call(record(`made/up/${index}`, undefined, refused(index % 2 === 0 ? "unauthenticated" : "rate_limited")));
    }
    assert.equal(lines.length, 2);
    log.call(record("command/list", anna, refused("permission_denied")));
    assert.equal(lines.length, 3, "a known caller's refusal is not hidden behind theirs");
    await clock.advance(60_000);
    assert.deepEqual(lines.at(-1)?.[1], { count: 9_998 });
    log.call(record("made/up", undefined, refused("unauthenticated")));
    assert.equal(lines.length, 5);
  });

  test("however many addresses and methods there are, a minute has at most fifty lines", () => {
    const { lines, logger } = keepingLogger();
    using log = requestLog(logger, new ManualClock());
    for (let index = 0; index < 1_000; index += 1) {
      log.call(record("x", undefined, refused("unauthenticated"), `10.0.0.${index}`));
      log.call(record(`no/such/${index}`, anna, refused("method_not_found")));
    }
    assert.equal(lines.length, 50);
  });

  test("what a handler failed with is a line each, without what quotes a command; what succeeded is for debugging", () => {
    const { lines, logger } = keepingLogger();
    using log = requestLog(logger, new ManualClock());
    for (let round = 0; round < 3; round += 1) log.call(record("command/execute", anna, refused("command_not_found")));
    log.call(record("command/execute", anna, new Error("bug")));
    log.call(record("system/ping", anna, undefined));
    assert.deepEqual(
      lines.map(([level, { error, error_type: type }]) => [level, type, error]),
      [
        ...Array.from({ length: 3 }, () => ["info", "command_not_found", undefined]),
        ["info", "internal_error", "bug"],
        ["debug", undefined, undefined],
      ],
    );
  });

  test("connections that are refused are a line for each reason and address in a minute, twenty at most, and a count", async () => {
    const { lines, logger } = keepingLogger();
    const clock = new ManualClock();
    const reports = refusalReports(logger, clock);
    for (let index = 0; index < 1_000; index += 1) {
      reports.report("no_room", "unix socket");
      reports.report("pushed_out", `10.0.0.${index}`);
    }
    assert.equal(lines.length, 20);
    reports[Symbol.dispose]();
    assert.deepEqual([lines.at(-1)?.[1], clock.timers], [{ count: 1_980 }, 0]);
  });
});
