/** What the installed processes take while nothing is asked of them: figures for people beside the budgets of DESIGN.md 9; the machine decides about them. */
import assert from "node:assert/strict";
import type { InstalledVm } from "./installed-vm.ts";

/** More, as 300, for figures that count. */
const idleSeconds = Number(process.env["HL_TEST_IDLE_SECONDS"] ?? 5);

const measure = `for unit in hl-daemon hl-runner@developer; do pid=$(systemctl show -P MainPID $unit)
  echo $unit $pid $(awk '/VmRSS|RssAnon/ { print $1 $2 "kB" }' /proc/$pid/status) ticks:$(cut -d' ' -f14,15 /proc/$pid/stat); done`;

/** Prints both ends of a while of idleness, of which the processes must not notice anything. */
export async function idle(vm: InstalledVm, what: string): Promise<void> {
  const pids = (text: string): string[] => [...text.matchAll(/^hl-\S+ ([1-9]\d*) VmRSS/gm)].map(([, pid = ""]) => pid);
  const first = await vm.mustRun(measure);
  await new Promise((resolve) => setTimeout(resolve, idleSeconds * 1000));
  const last = await vm.mustRun(measure);
  process.stdout.write(`${what}, before and after ${idleSeconds} s:\n${first}${last}`);
  assert.equal(pids(first).length, 2);
  assert.deepEqual(pids(last), pids(first));
}
