/**
 * A process that holds some hundreds or thousands of simulated daemons; bench/fleet/vm-hosts.ts starts it and speaks to it over IPC.
 * Each message is a request `{id, task}` and is answered `{id, result}` or `{id, error}`.
 */
import { closedLoop } from "../load.ts";
import { FakeVm } from "./fake-vm.ts";
import type { AttemptReport, HostTask } from "./host-tasks.ts";

let vms: readonly FakeVm[] = [];
let attempts: number[] = [];
let refusals: Record<string, number> = {};
let beats: number[] = [];

async function perform(task: HostTask): Promise<unknown> {
  switch (task.do) {
    case "make":
      vms = task.instances.map(
        (instanceId) =>
          new FakeVm({
            url: task.url,
            ca: task.ca,
            instanceId,
            onAttempt: () => void attempts.push(Date.now()),
            onRefused: (status) => (refusals[status] = (refusals[status] ?? 0) + 1),
          }),
      );
      return undefined;
    case "register":
      return spread(task.spreadMs, (vm, index) => vm.register(task.enrollments[index]!));
    case "connect":
      return spread(task.spreadMs, (vm) => vm.stayConnected());
    case "beat":
      for (const vm of vms) vm.beat(task.intervalMs, (ms) => beats.push(ms));
      return undefined;
    case "beaten": {
      for (const vm of vms) vm.stopBeating();
      const samples = beats;
      beats = [];
      return samples;
    }
    case "events": {
      let next = 0;
      const count = vms.length * task.batches;
      const { samples } = await closedLoop({ atOnce: task.atOnce, count }, () =>
        vms[next++ % vms.length]!.sendEvents(task.eventsInBatch),
      );
      return samples;
    }
    case "report": {
      const connected = vms.filter((vm) => vm.connected).length;
      const executed = vms.reduce((sum, vm) => sum + vm.executed, 0);
      const report: AttemptReport = { connected, executed, attempts, refusals };
      attempts = [];
      refusals = {};
      return report;
    }
    case "stop":
      for (const vm of vms) vm.stop();
      setImmediate(() => process.disconnect());
      return undefined;
  }
}

/** Each VM begins at a moment of its own inside the window, as a fleet does. */
function spread(ms: number, work: (vm: FakeVm, index: number) => Promise<number>): Promise<number[]> {
  return Promise.all(
    vms.map(async (vm, index) => {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * ms));
      return work(vm, index);
    }),
  );
}

process.on("message", ({ id, task }: { id: number; task: HostTask }) => {
  perform(task).then(
    (result) => answer({ id, result }),
    (error: unknown) => answer({ id, error: String(error) }),
  );
});

function answer(message: object): void {
  if (process.connected) process.send?.(message);
}
