/** Goal: a server that says when to come back is obeyed, within bounds, whichever way it says so and whatever its clock. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { retryAfterMs } from "./retry-after.ts";

const maxMs = 900_000;
const now = "Wed, 21 Oct 2026 07:28:00 GMT";
const nowMs = Date.UTC(2026, 9, 21, 7, 28, 0);

test("Retry-After in seconds is obeyed from one second to the maximum", () => {
  const table = { "0": 1_000, "1": 1_000, " 30 ": 30_000, "900": 900_000, "901": 900_000, "999999999": 900_000 };
  for (const [retryAfter, ms] of Object.entries(table))
    assert.equal(retryAfterMs({ retryAfter }, maxMs, 0), ms, retryAfter);
});

test("Retry-After as a moment is obeyed within the same bounds", () => {
  const table = {
    "Wed, 21 Oct 2026 07:28:30 GMT": 30_000,
    " Wednesday, 21-Oct-26 07:29:00 GMT ": 60_000,
    "Wed, 21 Oct 2026 07:28:00 GMT": 1_000,
    "Wed, 21 Oct 2015 07:28:00 GMT": 1_000,
    "Wed, 21 Oct 2026 07:43:00 GMT": 900_000,
    "Wed, 21 Oct 2026 07:43:01 GMT": 900_000,
    "Wed, 21 Oct 2099 07:28:00 GMT": 900_000,
  };
  for (const [retryAfter, ms] of Object.entries(table)) {
    assert.equal(retryAfterMs({ retryAfter }, maxMs, nowMs), ms, retryAfter);
    const hourAhead = nowMs + 3_600_000;
    assert.equal(retryAfterMs({ retryAfter, date: now }, maxMs, hourAhead), ms, `${retryAfter}, by a clock of our own`);
    assert.equal(
      retryAfterMs({ retryAfter, date: "today" }, maxMs, nowMs),
      ms,
      `${retryAfter}, with a date nobody can read`,
    );
  }
});

test("what is neither says nothing", () => {
  const none = [
    undefined,
    "",
    "-5",
    "1e3",
    "Infinity",
    "soon",
    "2026-10-21",
    "Wed, 99 Oct 2026 07:28:00 GMT",
    "Wed Oct 21 07:28:00 2026",
  ];
  for (const retryAfter of none)
    assert.equal(retryAfterMs({ retryAfter }, maxMs, nowMs), undefined, String(retryAfter));
});
