import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import { LoopService } from "@hl/core/service.ts";
import type { CredentialStore, EventStore, InstanceStore, RequestStore } from "./store/store.ts";

/**
 * Forgets what is older than it needs to be, in small bites so that no other write waits for long (P7). Every table has its rule:
 * events, requests, enrolments, families and instances by age; operators are people's own business.
 */
export interface MaintenanceOptions {
  readonly store: {
    readonly events: Pick<EventStore, "prune">;
    readonly requests: Pick<RequestStore, "prune">;
    readonly credentials: Pick<CredentialStore, "pruneEnrollments" | "pruneFamilies">;
    readonly instances: Pick<InstanceStore, "prune">;
  };
  readonly clock: Clock;
  readonly logger: Logger;
  readonly eventLifeMs: number;
  /** Of answered requests. */
  readonly requestLifeMs: number;
  /** Of enrolment tokens that have expired: so long a late VM is told why its token is not valid. */
  readonly enrollmentLifeMs: number;
  /** Of credentials that nobody renewed; longer than any of their tokens lives. */
  readonly familyLifeMs: number;
  /** Of instances that nobody has heard of, and that have nothing queued. */
  readonly instanceLifeMs: number;
  /** Settles requests that wait for instances which did not come back in time. */
  readonly expireRequests: (limit: number) => Promise<number>;
  readonly onForgotten: (instanceId: string) => void;
}

const intervalMs = 3_600_000;
const rowsPerBite = 1_000;

export class Maintenance extends LoopService {
  readonly name = "maintenance";
  readonly #options: MaintenanceOptions;

  constructor(options: MaintenanceOptions) {
    super();
    this.#options = options;
  }

  protected async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      await this.#sweep(signal);
      await clock.sleep(intervalMs, signal).catch(() => {}); // Only an abort rejects, and the loop condition sees it.
    }
  }

  async #sweep(signal: AbortSignal): Promise<void> {
    const { store, clock, logger, expireRequests } = this.#options;
    const { eventLifeMs, requestLifeMs, enrollmentLifeMs, familyLifeMs } = this.#options;
    const before = (lifeMs: number): number => clock.wallMs() - lifeMs;
    const bites: Readonly<Record<string, () => Promise<number>>> = {
      events: () => store.events.prune(before(eventLifeMs), rowsPerBite),
      "waiting requests": () => expireRequests(rowsPerBite),
      requests: () => store.requests.prune(before(requestLifeMs), rowsPerBite),
      enrollments: () => store.credentials.pruneEnrollments(before(enrollmentLifeMs), rowsPerBite),
      families: () => store.credentials.pruneFamilies(before(familyLifeMs), rowsPerBite),
      instances: () => this.#pruneInstances(),
    };
    for (const [rows, bite] of Object.entries(bites)) {
      try {
        while (!signal.aborted && (await bite()) === rowsPerBite);
      } catch (error) {
        logger.error({ error, rows }, "old rows could not be removed"); // The others are tried all the same.
      }
    }
  }

  async #pruneInstances(): Promise<number> {
    const { store, clock, logger, instanceLifeMs, onForgotten } = this.#options;
    const ids = await store.instances.prune(clock.wallMs() - instanceLifeMs, rowsPerBite);
    for (const id of ids) {
      onForgotten(id);
      logger.info({ instance: id }, "an instance was not heard of for long and is forgotten");
    }
    return ids.length;
  }
}
