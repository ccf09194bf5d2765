import { randomUUID } from "node:crypto";
import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import type { RequestHandler } from "@hl/core/rpc/answer.ts";
import { requestHandler } from "@hl/protocol/dispatch.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { Caller, Handlers, MethodTable } from "@hl/protocol/method.ts";
import { eventDeliver } from "@hl/protocol/methods/event-deliver.ts";
import { vmHeartbeat, vmRegister, vmStatus, vmTokenRefresh } from "@hl/protocol/methods/vm.ts";
import { shippedRoles } from "@hl/protocol/permissions.ts";
import type { WireErrorOptions } from "@hl/protocol/wire-error.ts";
import type { Counters } from "../counters.ts";
import type { RateLimits } from "../limits/rate-limits.ts";
import type { Store } from "../store/store.ts";
import type { Credentials } from "../tokens/credentials.ts";
import type { EventFeed } from "./event-feed.ts";
import type { Pace } from "./pace.ts";
import type { Presence } from "./presence.ts";

/** What VMs ask of the cloud, as one request handler for each endpoint. */
export interface VmMethodsOptions {
  readonly store: Store;
  readonly credentials: Credentials;
  readonly presence: Presence;
  readonly feed: EventFeed;
  readonly counters: Counters;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly wireError: WireErrorOptions;
  /** This process; see cloudRunIdHeader. */
  readonly runId: string;
  /** Registrations of one instance; each is a signature and two writes. */
  readonly registrations: RateLimits;
  readonly pace: Pace;
  /** Told at registration, as the specification has it; what holds is told in the answer to the hello. */
  readonly eventBatchSize: number;
}

/** With what a VM that registers shows who it is. */
export interface Proof {
  readonly bearer: string | undefined;
  /** The common name of a client certificate that was verified. */
  readonly certificateName: string | undefined;
  readonly runId: string | undefined;
}

/** A larger one is refused for good, so that it cannot stop what stands behind it. */
const eventBytesMax = 1024 * 1024;

/** Paths, not addresses: the Host header is not trusted, and the VM knows under which base URL it reaches us. */
export const vmPaths = {
  register: "/v1/vm/register",
  token: "/v1/vm/token",
  heartbeat: "/v1/vm/heartbeat",
  status: "/v1/vm/status",
  events: "/v1/vm/events",
  commands: "/v1/vm/commands",
} as const;

export function enrollmentNeeded(): HlError {
  const help = "Make an enrolment token: `hl-cloud enroll --home DIR --instance ID`.";
  return new HlError("unauthenticated", "an enrolment token is needed", { help });
}

export class VmMethods {
  readonly #options: VmMethodsOptions;

  constructor(options: VmMethodsOptions) {
    this.#options = options;
  }

  register({ bearer, certificateName, runId }: Proof): RequestHandler {
    const { store, credentials, clock, logger, pace, eventBatchSize, registrations } = this.#options;
    const handlers: Handlers<{ "vm/register": typeof vmRegister }> = {
      "vm/register": async (params) => {
        if (bearer === undefined && certificateName !== params.instance_id) {
          throw enrollmentNeeded();
        }
        let enrollment: Awaited<ReturnType<typeof credentials.admit>>;
        if (bearer === undefined) {
          await credentials.admitCertified(params.instance_id, await store.instances.get(params.instance_id), runId);
        } else enrollment = await credentials.admit(bearer, params.instance_id);
        registrations.take(params.instance_id);
        const registrationId = await store.instances.register({
          instanceId: params.instance_id,
          workspaceId: enrollment?.workspaceId ?? params.workspace_id,
          registrationId: randomUUID(),
          daemonVersion: params.daemon_version,
          epoch: params.epoch,
          capabilities: params.capabilities,
          systemInfo: params.system_info,
          networkInfo: params.network_info,
          atMs: clock.wallMs(),
        });
        const tokens = await credentials.issue(params.instance_id, enrollment);
        logger.info({ instance: params.instance_id, registration: registrationId }, "a VM has registered");
        const { commands, events, heartbeat, status, token } = vmPaths;
        return {
          ...tokens,
          registration_id: registrationId,
          api_endpoints: { commands, events, heartbeat, status, token },
          configuration: {
            heartbeat_interval: pace.seconds,
            event_batch_size: eventBatchSize,
            log_level: "info",
          },
        };
      },
    };
    return this.#handler({ "vm/register": vmRegister }, handlers, undefined);
  }

  token(runId: string | undefined): RequestHandler {
    const handlers: Handlers<{ "vm/token/refresh": typeof vmTokenRefresh }> = {
      "vm/token/refresh": ({ refresh_token, rotation_id }) =>
        this.#options.credentials.refresh(refresh_token, rotation_id, runId),
    };
    return this.#handler({ "vm/token/refresh": vmTokenRefresh }, handlers, undefined);
  }

  heartbeat(instanceId: string): RequestHandler {
    const { presence, counters, clock, pace } = this.#options;
    const handlers: Handlers<{ "vm/heartbeat": typeof vmHeartbeat }> = {
      "vm/heartbeat": async (params) => {
        presence.seen(instanceId, params);
        counters.heartbeats += 1;
        return { server_time: clock.wallMs() / 1000, heartbeat_interval: pace.beat(instanceId) };
      },
    };
    return this.#handler({ "vm/heartbeat": vmHeartbeat }, handlers, instanceId);
  }

  status(instanceId: string): RequestHandler {
    const { store, presence, clock } = this.#options;
    const handlers: Handlers<{ "vm/status": typeof vmStatus }> = {
      "vm/status": async ({ health }) => {
        presence.seen(instanceId);
        await store.instances.setHealth(instanceId, health, clock.wallMs());
        return { ok: true };
      },
    };
    return this.#handler({ "vm/status": vmStatus }, handlers, instanceId);
  }

  /**
   * The store commits all events of a batch together and before any is answered.
   * @param comparedWith the process of ours that has told the daemon what we have; undefined where it does not say
   */
  events(instanceId: string, comparedWith: string | undefined): RequestHandler {
    const { store, presence, feed, counters, clock, runId } = this.#options;
    presence.seen(instanceId);
    const whatWeHave = new Map<string, ReturnType<typeof store.events.cursors>>();
    const handlers: Handlers<{ "event/stream": typeof eventDeliver }> = {
      "event/stream": async (event) => {
        const body = JSON.stringify(event);
        const { event_id, epoch, seq, lane } = event;
        if (comparedWith !== undefined && comparedWith !== runId) {
          const known = whatWeHave.get(epoch) ?? store.events.cursors(instanceId, epoch);
          whatWeHave.set(epoch, known);
          const facts = { cloud_run_id: runId, events_acked: { epoch, ...(await known) } };
          throw new HlError("cloud_restarted", "compare first what is here with what was acknowledged", facts);
        }
        if (Buffer.byteLength(body) > eventBytesMax) {
          counters.eventsRejected += 1;
          return { event_id, status: "rejected", reason: `an event may have ${eventBytesMax} bytes` };
        }
        const receivedAtMs = clock.wallMs();
        const stored = { instanceId, eventId: event_id, epoch, seq, lane, receivedAtMs, body };
        const outcome = await store.events.append(stored);
        if (outcome === "conflict") {
          counters.eventsRejected += 1;
          throw new HlError("epoch_conflict", `another event is number ${seq} of this epoch`, { epoch, seq });
        }
        counters[outcome === "stored" ? "eventsStored" : "eventsRepeated"] += 1;
        if (outcome === "stored") feed.published(instanceId);
        return { event_id, status: "accepted" };
      },
    };
    return this.#handler({ "event/stream": eventDeliver }, handlers, instanceId);
  }

  #handler<T extends MethodTable>(table: T, handlers: Handlers<T>, instanceId: string | undefined): RequestHandler {
    const { clock, wireError } = this.#options;
    const caller: Caller =
      instanceId === undefined
        ? { role: "", subject: "anonymous", via: "http" } // Its methods judge the token in their own way.
        : { role: "vm-instance", subject: instanceId, via: "http" };
    return requestHandler({ table, handlers, roles: shippedRoles, clock, wireError, caller: () => caller });
  }
}
