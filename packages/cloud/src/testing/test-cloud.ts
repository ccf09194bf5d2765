import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startCloud, type Cloud, type CloudOptions } from "../compose.ts";
import { connectVm, register, type ConnectedVm, type Script, type Tokens } from "./fake-vm.ts";

/** A cloud in this process with a home of its own, which goes with it. */
export interface TestCloud extends AsyncDisposable {
  readonly home: string;
  readonly cloud: Cloud;
  readonly url: string;
  readonly admin: string;
  /** Enrols and registers. */
  addVm(instanceId: string): Promise<Tokens>;
  /** Enrols, registers and opens the command channel. */
  connect(instanceId: string, script: Script): Promise<ConnectedVm & { readonly tokens: Tokens }>;
}

export async function testCloud(options: Partial<CloudOptions> = {}): Promise<TestCloud> {
  const home = options.home ?? mkdtempSync(join(tmpdir(), "hl-cloud-"));
  const cloud = await startCloud({ listen: "127.0.0.1:0", ...options, home });
  const addVm = async (instanceId: string): Promise<Tokens> =>
    register(cloud.url, await cloud.enroll(instanceId), instanceId);
  return {
    home,
    cloud,
    url: cloud.url,
    admin: await cloud.addOperator("ann", "admin"),
    addVm,
    async connect(instanceId, script) {
      const tokens = await addVm(instanceId);
      return { ...(await connectVm(cloud.url, tokens.access_token, script)), tokens };
    },
    async [Symbol.asyncDispose]() {
      await cloud[Symbol.asyncDispose]();
      if (options.home === undefined) rmSync(home, { recursive: true, force: true });
    },
  };
}
