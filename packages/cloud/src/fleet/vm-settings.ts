import type { LinkSettings } from "@hl/protocol/link-settings.ts";
import type { VmConnection } from "./vm-connection.ts";

export interface VmSettingsOptions {
  /** What the operator of hl-cloud has set for every VM. */
  readonly settings: LinkSettings | undefined;
  /** Instead of the longest wait for a fuller batch, for a VM whose events somebody follows live. */
  readonly viewerFlushSeconds: number;
  readonly connection: (instanceId: string) => Pick<VmConnection, "peer"> | undefined;
}

/** The numbers of the link that a VM is told: with its hello, and again when somebody begins or ceases to look on. */
export class VmSettings {
  readonly #options: VmSettingsOptions;
  readonly #viewers = new Map<string, number>();

  constructor(options: VmSettingsOptions) {
    this.#options = options;
  }

  of(instanceId: string): LinkSettings {
    const { settings = {}, viewerFlushSeconds } = this.#options;
    return this.#viewers.has(instanceId) ? { ...settings, flush_interval: viewerFlushSeconds } : settings;
  }

  /** Somebody follows the events of the instance until this is disposed of. */
  view(instanceId: string): Disposable {
    this.#count(instanceId, 1);
    return { [Symbol.dispose]: () => this.#count(instanceId, -1) };
  }

  #count(instanceId: string, more: number): void {
    const before = this.#viewers.get(instanceId) ?? 0;
    const count = before + more;
    if (count > 0) this.#viewers.set(instanceId, count);
    else this.#viewers.delete(instanceId);
    if (before > 0 && count > 0) return;
    // Who is away is told with its next hello.
    this.#options
      .connection(instanceId)
      ?.peer.notify("vm/settings", this.of(instanceId))
      .catch(() => {});
  }
}
