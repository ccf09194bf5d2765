/** Events that a test hands over inside the VM, and whether the cloud has each of them once (S1). */
import assert from "node:assert/strict";
import { CallFailed, type Message } from "@hl/testkit/message-client.ts";
import { until } from "@hl/testkit/waiting.ts";
import { slowMsMax, type InstalledVm } from "./installed-vm.ts";

export class Notes {
  readonly #vm: InstalledVm;
  readonly #accepted: string[] = [];

  constructor(vm: InstalledVm) {
    this.#vm = vm;
  }

  /** At the daemon's own socket, until each is accepted, which says that it is durable. */
  async emit(kind: string, count: number): Promise<void> {
    const refused = await this.emitMany(kind, count);
    assert.deepEqual(refused, []);
  }

  /** The same; answers the errors of those that were refused. */
  async emitMany(kind: string, count: number, data: object = {}): Promise<CallFailed[]> {
    using client = await this.#vm.connect();
    const refused: CallFailed[] = [];
    const one = async (event_id: string): Promise<void> => {
      const event = { event_id, event_type: "test.note", timestamp: Date.now() / 1000, data };
      try {
        const { status } = await client.call("event/stream", event);
        assert.equal(status, "accepted");
        this.#accepted.push(event_id);
      } catch (error) {
        if (!(error instanceof CallFailed)) throw error;
        refused.push(error);
      }
    };
    await Promise.all(Array.from({ length: count }, (_, index) => one(`${kind}-${index}`)));
    return refused;
  }

  /** Waits until the cloud has all that were accepted: each once, in the order of their acceptance, and nothing that was accepted is a gap. */
  async delivered(): Promise<Message[]> {
    const all = await until(
      "every accepted event",
      async () => {
        const events = await this.#vm.cloudEvents();
        const there = new Set(events.map(({ event_id }) => event_id as string));
        const absent = this.#accepted.filter((id) => !there.has(id));
        if (absent.length > 0) throw new Error(`${absent.length} of ${this.#accepted.length} absent, as ${absent[0]}`);
        return events;
      },
      slowMsMax,
    );
    const of = (type: string): Message[] => all.filter(({ event_type }) => event_type === type);
    assert.deepEqual(
      of("test.note").map(({ event_id }) => event_id as string),
      this.#accepted,
    );
    // A gap without numbers is of what was never accepted, as the daemon's own figures on a full disk (S2).
    assert.deepEqual(
      of("gap").filter(({ data }) => data.from !== null),
      [],
    );
    return all;
  }
}
