import { randomUUID } from "node:crypto";
import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import { laneOf } from "@hl/protocol/event-lanes.ts";
import type { EventStore } from "../store/store.ts";

export interface SecurityEventsOptions {
  readonly events: Pick<EventStore, "append">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Between two events that say the identity of one instance is in use twice. */
  readonly identityAlarmMs: number;
  readonly onStored: (instanceId: string) => void;
}

/**
 * What hl-cloud itself has to say of a VM's identity, as events among those of the VM: the VM in question is the last one that
 * would tell. Their epoch is of this run of hl-cloud, so that no number meets one of the VM's.
 */
export class SecurityEvents {
  readonly #options: SecurityEventsOptions;
  readonly #epoch = `hl-cloud-${randomUUID()}`;
  readonly #alarmedAtMs = new Map<string, number>();
  #seq = 0;

  constructor(options: SecurityEventsOptions) {
    this.#options = options;
  }

  /** A second daemon under the identity was turned away. It asks again and again: so it is told only now and then. */
  async identityInUse(instanceId: string, facts: Readonly<Record<string, unknown>>): Promise<void> {
    const { clock, identityAlarmMs } = this.#options;
    const now = clock.now();
    const before = this.#alarmedAtMs.get(instanceId);
    if (before !== undefined && now - before < identityAlarmMs) return;
    this.#alarmedAtMs.set(instanceId, now);
    const message = "a second daemon came under this identity and was turned away: the VM may have been copied";
    await this.#store(instanceId, "security.identity_in_use", { message, ...facts });
  }

  /** A refresh token that had been replaced was presented. */
  async credentialsFenced(instanceId: string, facts: Readonly<Record<string, unknown>>): Promise<void> {
    const message = "a replaced refresh token was presented: two parties hold this identity, enrol the VM again";
    await this.#store(instanceId, "security.credentials_fenced", { message, ...facts });
  }

  async revoked(instanceId: string): Promise<void> {
    await this.#store(instanceId, "security.instance_revoked", { message: "an operator has revoked this VM" });
  }

  /** The instance is known no more. */
  forget(instanceId: string): void {
    this.#alarmedAtMs.delete(instanceId);
  }

  async #store(instanceId: string, event_type: string, data: object): Promise<void> {
    const { events, clock, logger, onStored } = this.#options;
    const receivedAtMs = clock.wallMs();
    this.#seq += 1;
    const event = {
      event_id: randomUUID(),
      event_type,
      timestamp: receivedAtMs / 1000,
      data,
      severity: "critical",
      epoch: this.#epoch,
      seq: this.#seq,
      lane: laneOf(event_type),
    };
    const { event_id: eventId, epoch, seq, lane } = event;
    try {
      await events.append({ instanceId, eventId, epoch, seq, lane, receivedAtMs, body: JSON.stringify(event) });
      onStored(instanceId);
    } catch (error) {
      logger.error({ instance: instanceId, event_type, error }, "what happened to an identity could not be recorded");
    }
  }
}
