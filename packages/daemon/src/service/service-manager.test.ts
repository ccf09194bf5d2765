import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { ServiceManager } from "./service-manager.ts";

function setUp(watchdogMs?: number): { clock: ManualClock; told: string[]; manager: ServiceManager } {
  const clock = new ManualClock();
  const told: string[] = [];
  const monotonicMicroseconds = (): bigint => 123_456n;
  const manager = new ServiceManager({ clock, send: (text) => told.push(text), monotonicMicroseconds, watchdogMs });
  return { clock, told, manager };
}

test("says ready, reloading with the monotonic time, and stopping", () => {
  const { told, manager } = setUp();
  manager.ready("ready");
  manager.reloading();
  manager.reloaded("ready\nREADY=0");
  manager.stopping();
  assert.deepEqual(told.slice(0, 3), [
    "READY=1\nSTATUS=ready",
    "RELOADING=1\nMONOTONIC_USEC=123456\nSTATUS=reading the configuration",
    "READY=1\nSTATUS=ready READY=0",
  ]);
  assert.match(told[3] ?? "", /^STOPPING=1\n/);
});

test("feeds the watchdog twice within its time, and only while there is progress", async () => {
  const { clock, told, manager } = setUp(60_000);
  let isProgressing = true;
  manager.ready("ready", () => isProgressing);
  const fed = (): number => told.filter((text) => text === "WATCHDOG=1").length;
  await clock.advance(60_000);
  assert.equal(fed(), 2);
  isProgressing = false;
  await clock.advance(120_000);
  assert.equal(fed(), 2);
  isProgressing = true;
  await clock.advance(30_000);
  assert.equal(fed(), 3);
  manager[Symbol.dispose]();
  await clock.advance(120_000);
  assert.equal(fed(), 3);
});

test("a systemd that does not take it stops nothing", () => {
  const send = (): void => {
    throw new Error("EAGAIN");
  };
  const ports = { clock: new ManualClock(), send, monotonicMicroseconds: () => 0n, watchdogMs: undefined };
  assert.doesNotThrow(() => new ServiceManager(ports).ready("ready"));
});

test("takes what is systemd's out of the environment", () => {
  const env = { HL_NOTIFY_FD: "junk", NOTIFY_SOCKET: "/run/x", WATCHDOG_USEC: "5", WATCHDOG_PID: "1", PATH: "/bin" };
  ServiceManager.from(env, new ManualClock()).ready("ready");
  assert.deepEqual(env, { PATH: "/bin" });
});
