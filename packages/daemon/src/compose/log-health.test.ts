import assert from "node:assert/strict";
import { test } from "node:test";
import { logConditions } from "./log-health.ts";

test("S4: health names the log that cannot be written, its file, why, and what to do; a log that can makes no alert", () => {
  const well = { log: "daemon", file: "/l/daemon.log", reason: undefined } as const;
  assert.deepEqual(logConditions([well]), []);
  const [alert, ...more] = logConditions([
    well,
    { log: "audit", file: "/l/audit.log", reason: "ENOSPC: no space left" },
  ]);
  assert.deepEqual([alert?.code, more.length], ["audit_log_failing", 0]);
  assert.match(alert?.text ?? "", /^\/l\/audit\.log: ENOSPC: no space left; .*free some space$/);
});
