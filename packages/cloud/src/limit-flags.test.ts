/** Goal: every limit of hl-cloud can be set, within bounds, and the page for operators has the same table as the help. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Command } from "commander";
import { defaultLimits, judgeLimits, type CloudLimits } from "./cloud-limits.ts";
import { defaultOf, limitFlags, limitOptions, limitsOf, rangeOf, variableOf } from "./limit-flags.ts";
import { vmSettings } from "./vm-settings-flag.ts";

function parsed(...args: readonly string[]): Partial<CloudLimits> {
  const command = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  for (const option of limitOptions()) command.addOption(option);
  return limitsOf(command.parse(args, { from: "user" }).opts());
}

/** These have flags of their own, or follow from others. */
const elsewhere: readonly (keyof CloudLimits)[] = ["accessTokenSeconds", "drainSpreadSeconds", "eventBatchSize"];

test("every limit has one flag, and its default is within the bounds", () => {
  const all = Object.keys(defaultLimits).filter((name) => !elsewhere.includes(name as keyof CloudLimits));
  assert.deepEqual(limitFlags.map(({ limit }) => limit).toSorted(), all.toSorted());
  for (const flag of limitFlags) {
    const value = defaultOf(flag);
    assert.ok(value >= flag.min && value <= flag.max, flag.name);
    assert.deepEqual(parsed(`--${flag.name}`, String(value)), { [flag.limit]: defaultLimits[flag.limit] });
  }
  assert.deepEqual(parsed(), {}, "what nobody sets is left to the defaults");
});

test("the ends of a range are taken, what is outside or no number is refused with the range", () => {
  for (const flag of limitFlags) {
    for (const value of [flag.min, flag.max]) {
      assert.deepEqual(parsed(`--${flag.name}`, String(value)), { [flag.limit]: value * flag.factor });
    }
    for (const bad of [
      String(flag.max + 1),
      String(flag.min - 1),
      "",
      "ten",
      "1e999",
      ...(flag.isWhole ? ["1.5"] : []),
    ]) {
      if (flag.min === 0 && bad === "-1") continue; // Commander takes it for a flag.
      assert.throws(() => parsed(`--${flag.name}=${bad}`), new RegExp(`number from ${rangeOf(flag)}`), flag.name);
    }
  }
});

test("the environment sets a limit, a flag comes first, and a bad value names the variable", (t) => {
  t.after(() => delete process.env["HL_CLOUD_HEARTBEAT_SECONDS"]);
  process.env["HL_CLOUD_HEARTBEAT_SECONDS"] = "60";
  assert.deepEqual(parsed(), { heartbeatSeconds: 60 });
  assert.deepEqual(parsed("--heartbeat-seconds", "45"), { heartbeatSeconds: 45 });
  process.env["HL_CLOUD_HEARTBEAT_SECONDS"] = "1";
  assert.throws(() => parsed(), /from env 'HL_CLOUD_HEARTBEAT_SECONDS'.*from 15 to 300/);
});

test("numbers that cannot hold together are refused by name", () => {
  assert.throws(
    () => judgeLimits({ ...defaultLimits, heartbeatSeconds: 100, heartbeatSecondsMax: 60 }),
    /--heartbeat-seconds-max 60/,
  );
  assert.throws(() => judgeLimits({ ...defaultLimits, pingIntervalMs: 45_000 }), /--dead-after-seconds 45/);
  judgeLimits(defaultLimits);
});

test("docs/hl-cloud.md has a row for each", () => {
  const page = readFileSync(join(import.meta.dirname, "../../../docs/hl-cloud.md"), "utf8");
  for (const flag of limitFlags) {
    const row = `| \`--${flag.name}\` | ${defaultOf(flag)} | ${rangeOf(flag)} | ${flag.summary} |`;
    assert.ok(page.includes(row), `no row is ${row}`);
    assert.equal(variableOf(flag), `HL_CLOUD_${flag.name.toUpperCase().replaceAll("-", "_")}`);
  }
});

test("settings of VMs are read one by one or with commas, within what VMs obey", () => {
  assert.deepEqual(vmSettings("reconnect_spread=30"), { reconnect_spread: 30 });
  const both = vmSettings("flush_interval=0.25, batch_size=10", { reconnect_spread: 30, batch_size: 1 });
  assert.deepEqual(both, { reconnect_spread: 30, flush_interval: 0.25, batch_size: 10 });
  assert.throws(() => vmSettings("reconnect_spread=1"), /reconnect_spread must be seconds, 5 to 600/);
  assert.throws(() => vmSettings("batch_size=1.5"), /batch_size must be events, 1 to 1000/);
  assert.throws(() => vmSettings("reconnect_spred=30"), /There is no setting reconnect_spred/);
  for (const bad of ["", "reconnect_spread", "reconnect_spread=", "reconnect_spread=x"]) {
    assert.throws(() => vmSettings(bad), /is not NAME=VALUE/, bad);
  }
});
