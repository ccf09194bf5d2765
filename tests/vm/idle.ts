/** What the installed processes take while nothing is asked of them: figures for people beside the budgets of DESIGN.md 9; the machine decides about them. */
import assert from "node:assert/strict";
import { ownShares, processorShares } from "@hl/testkit/idle-cost.ts";
import type { InstalledVm } from "./installed-vm.ts";

/** More, as 300, for figures that count. */
const idleSeconds = Number(process.env["HL_TEST_IDLE_SECONDS"] ?? 5);

const measure = `for unit in hl-daemon hl-runner@developer; do pid=$(systemctl show -P MainPID $unit)
  echo $unit $pid $(awk '/VmRSS|RssAnon/ { print $1 $2 "kB" }' /proc/$pid/status); done`;

/** Prints both ends of a while of idleness, of which the processes must not notice anything, and what they take of a processor meanwhile. */
export async function idle(vm: InstalledVm, what: string): Promise<void> {
  const pids = (text: string): string[] => [...text.matchAll(/^hl-\S+ ([1-9]\d*) VmRSS/gm)].map(([, pid = ""]) => pid);
  const first = await vm.mustRun(measure);
  const onHost = pids(first).map((pid) => vm.container.hostPid(pid));
  const atRest = await processorShares(onHost, idleSeconds);
  const last = await vm.mustRun(measure);
  const own = await ownShares(onHost, idleSeconds);
  const percent = (values: readonly number[]): string => values.map((value) => `${value.toFixed(2)} %`).join(" and ");
  process.stdout.write(
    `${what}, before and after ${idleSeconds} s:\n${first}${last}of a processor ${percent(atRest)}, and as long with their pages kept at hand ${percent(own)}\n`,
  );
  assert.equal(pids(first).length, 2);
  assert.deepEqual(pids(await vm.mustRun(measure)), pids(first));
}
