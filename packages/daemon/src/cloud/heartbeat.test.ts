/** Goal: heartbeats come at the configured interval until the cloud says another, within limits that may change. Method: a cloud that is a function, time by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { Heartbeat, type HeartbeatOptions } from "./heartbeat.ts";

test("a configured interval and limits that change hold from the next heartbeat on", async () => {
  const clock = new ManualClock();
  const now = { intervalMs: 10_000, intervalMinMs: 5_000, intervalMaxMs: 60_000 };
  const beats: number[] = [];
  const answer = { server_time: 0, heartbeat_interval: 1_000 };
  const http = {
    call: async () => {
      beats.push(clock.now());
      return answer;
    },
  };
  await using heartbeat = new Heartbeat({
    ...{ clock, random: () => 0.5, http, retry: { succeeded: () => {} } },
    ...{ target: async () => ({ url: "u", token: "t" }), beat: () => ({}), onContact: () => {} },
    ...{ renew: async () => {}, isUnauthenticated: () => false },
    get intervalMs() {
      return now.intervalMs;
    },
    get intervalMinMs() {
      return now.intervalMinMs;
    },
    get intervalMaxMs() {
      return now.intervalMaxMs;
    },
  } as unknown as HeartbeatOptions);
  now.intervalMs = 20_000;
  await heartbeat.start();
  await clock.advance(10_000);
  assert.deepEqual(beats, [10_000], "the first comes within the interval that is configured now");
  await clock.advance(60_000);
  assert.deepEqual(beats, [10_000, 70_000], "what the cloud says is kept within the limits");
  now.intervalMaxMs = 6_000;
  await clock.advance(66_000);
  assert.deepEqual(beats, [10_000, 70_000, 130_000, 136_000]);
  answer.heartbeat_interval = 1;
  now.intervalMinMs = 2_000;
  await clock.advance(8_000);
  assert.deepEqual(beats.slice(4), [142_000, 144_000]);
});
