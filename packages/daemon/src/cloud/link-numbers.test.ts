/** Goal: the cloud sets numbers of the link, within their bounds, and what it does not set stays as configured. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "@hl/core/logger.ts";
import { linkSettingNames, linkSettings, type LinkSettingName } from "@hl/protocol/link-settings.ts";
import { LinkNumbers } from "./link-numbers.ts";

/** Far outside of the bounds: they are for what the cloud says, not for what the machine's owner has configured. */
const configured = Object.fromEntries(linkSettingNames.map((name, index) => [name, 0.001 * (index + 1)])) as Record<
  LinkSettingName,
  number
>;

test("without a word of the cloud every number is the configured one, whatever that is", () => {
  const numbers = new LinkNumbers(configured, silentLogger);
  for (const name of linkSettingNames) assert.equal(numbers.value(name), configured[name]);
  assert.equal(numbers.ms("timeout"), 1);
  assert.deepEqual(numbers.set, {});
});

test("what is configured may change; what the cloud has set stays before it", () => {
  const now = { ...configured, timeout: 5, retry_delay: 5 };
  const numbers = new LinkNumbers(now, silentLogger);
  numbers.take({ retry_delay: 30 });
  Object.assign(now, { timeout: 6, retry_delay: 6 });
  assert.deepEqual([numbers.value("timeout"), numbers.value("retry_delay")], [6, 30]);
  numbers.take({});
  assert.equal(numbers.value("retry_delay"), 6);
});

test("what the cloud sets is brought within its bounds, one by one", () => {
  for (const name of linkSettingNames) {
    const { min, max } = linkSettings[name];
    const numbers = new LinkNumbers({ ...configured, dead_after: 180, ping_interval: 1 }, silentLogger);
    numbers.take({ [name]: min - 1 });
    assert.equal(numbers.value(name), min, name);
    numbers.take({ [name]: max + 1 });
    assert.equal(numbers.value(name), name === "dead_after" ? 180 : max, name);
    const others = linkSettingNames.filter(
      (other) => other !== name && !["dead_after", "ping_interval"].includes(other),
    );
    for (const other of others) assert.equal(numbers.value(other), configured[other]);
  }
});

test("each word of the cloud replaces the one before as a whole", () => {
  const numbers = new LinkNumbers(configured, silentLogger);
  numbers.take({ flush_interval: 2, batch_size: 10.7 });
  assert.deepEqual(numbers.set, { flush_interval: 2, batch_size: 10 });
  numbers.take({ batch_size: 20 });
  assert.deepEqual(numbers.set, { batch_size: 20 });
  numbers.take({});
  assert.deepEqual(numbers.set, {});
});

test("a dead-peer test that would give up before it asks is not taken over", () => {
  const numbers = new LinkNumbers({ ...configured, ping_interval: 20, dead_after: 45 }, silentLogger);
  for (const told of [{ dead_after: 20 }, { ping_interval: 50 }, { ping_interval: 30, dead_after: 30 }]) {
    numbers.take({ ...told, flush_interval: 1 });
    assert.deepEqual(numbers.set, { flush_interval: 1 }, JSON.stringify(told));
  }
  numbers.take({ ping_interval: 30, dead_after: 31 });
  assert.deepEqual(numbers.set, { ping_interval: 30, dead_after: 31 });
});
