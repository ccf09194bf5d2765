/**
 * One walk: steps in one VM that build on each other, so after one fails the rest are not run. Each is timed by the VM's own clock; of one
 * that fails what systemd and the journal say is shown.
 */
import { after, before, describe, it } from "node:test";
import { missingForContainer, type Suite } from "./container.ts";
import { InstalledVm } from "./installed-vm.ts";

export type Step = (name: string, work: () => Promise<void>) => void;

const missing = await missingForContainer();

/** `needs`: a reason why this walk cannot be had here, beside those of every walk. The VM has booted when the first step begins. */
export function walk(
  title: string,
  body: (vm: InstalledVm, step: Step) => void,
  options: { readonly needs?: string | undefined; readonly suite?: Suite } = {},
): void {
  const why = missing ?? options.needs;
  if (why !== undefined) process.stderr.write(`*** NOT RUN: ${title}: ${why} ***\n`);
  describe(title, { skip: why ?? false }, () => {
    const vm = new InstalledVm();
    let failed = false;
    before(() => vm.boot(options.suite));
    after(() => vm[Symbol.asyncDispose]());
    body(vm, (name, work) => {
      void it(name, async (context) => {
        if (failed) {
          context.skip("an earlier step failed");
          return;
        }
        const from = await vm.uptime();
        try {
          await work();
        } catch (error) {
          failed = true;
          context.diagnostic(await vm.state().catch(String));
          throw error;
        }
        context.diagnostic(`${((await vm.uptime()) - from).toFixed(2)} s of the VM's clock`);
      });
    });
  });
}
