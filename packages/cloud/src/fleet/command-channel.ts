import { randomUUID } from "node:crypto";
import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import type { RequestHandler } from "@hl/core/rpc/answer.ts";
import { Peer } from "@hl/core/rpc/peer.ts";
import { defaultTransportLimits, type Transport } from "@hl/core/rpc/transport.ts";
import { WebSocketTransport } from "@hl/core/rpc/websocket.ts";
import { requestHandler } from "@hl/protocol/dispatch.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { LinkSettings } from "@hl/protocol/link-settings.ts";
import { vmHello } from "@hl/protocol/methods/vm.ts";
import { shippedRoles } from "@hl/protocol/permissions.ts";
import { commonVersion, protocolVersion, protocolVersionMin } from "@hl/protocol/version.ts";
import type { WireErrorOptions } from "@hl/protocol/wire-error.ts";
import type { WebSocket } from "ws";
import { peerRefusals } from "../peer-refusals.ts";
import type { EventStore, InstanceStore } from "../store/store.ts";
import type { Fleet } from "./fleet.ts";
import type { Presence } from "./presence.ts";
import type { VmConnection } from "./vm-connection.ts";

/**
 * The command channel of one VM.
 * States: opened → hello received (the VM is in the fleet) → closed. Without a hello in time it is closed.
 */
export interface CommandChannelOptions {
  readonly fleet: Fleet;
  readonly instances: InstanceStore;
  readonly events: Pick<EventStore, "cursors">;
  readonly presence: Presence;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly wireError: WireErrorOptions;
  readonly helloWithinMs: number;
  readonly pingIntervalMs: number;
  readonly deadAfterMs: number;
  /** Told to the daemon in the answer to its hello. */
  readonly welcome: {
    readonly cloud_run_id: string;
    readonly heartbeatSeconds: (instanceId: string) => number;
    readonly limits: { readonly message_bytes_max: number; readonly in_flight_max: number };
    readonly settings: (instanceId: string) => LinkSettings;
  };
}

export function openCommandSocket(socket: WebSocket, instanceId: string, options: CommandChannelOptions): Peer {
  const transport = new WebSocketTransport({ ...options, socket, limits: defaultTransportLimits });
  return openCommandChannel(transport, instanceId, options);
}

/** The same channel over any transport: a WebSocket, or polls where those are blocked. */
export function openCommandChannel(transport: Transport, instanceId: string, options: CommandChannelOptions): Peer {
  const { clock } = options;
  const peer: Peer = new Peer({
    transport,
    clock,
    refusals: peerRefusals,
    handler: helloHandler(instanceId, options, () => {
      cancelDeadline();
      return peer;
    }),
  });
  const cancelDeadline = clock.after(options.helloWithinMs, () =>
    peer.close(`no vm/hello within ${options.helloWithinMs / 1000} s`),
  );
  void peer.closed.then(cancelDeadline);
  return peer.open();
}

function helloHandler(instanceId: string, options: CommandChannelOptions, greeted: () => Peer): RequestHandler {
  const { fleet, instances, presence, clock, logger, wireError } = options;
  let helloSeen = false;
  return requestHandler({
    table: { "vm/hello": vmHello },
    handlers: {
      "vm/hello": async (hello, call) => {
        if (helloSeen) throw new HlError("invalid_request", "this connection has said hello already");
        helloSeen = true;
        const version = commonVersion(
          { newest: hello.protocol_version, oldest: hello.protocol_min ?? hello.protocol_version },
          { newest: protocolVersion, oldest: protocolVersionMin },
        );
        if (version === undefined) {
          const supported = [...new Set([protocolVersionMin, protocolVersion])];
          const text = `hl-cloud speaks ${supported.join(" to ")} of the protocol, the daemon ${hello.protocol_version}`;
          throw new HlError("protocol_unsupported", text, { supported });
        }
        await fleet.requireSole(instanceId, hello.run_id, true);
        const peer = greeted();
        const sessionId = randomUUID();
        presence.seen(instanceId);
        const fence = await instances.setHello(instanceId, {
          daemonVersion: hello.daemon_version,
          epoch: hello.epoch,
          bootId: hello.boot_id,
        });
        const connection: VmConnection = {
          instanceId,
          sessionId,
          bootId: hello.boot_id,
          runId: hello.run_id,
          connectedAtMs: clock.wallMs(),
          peer,
        };
        const { daemon_version, unacked_results: unacked } = hello;
        const about = {
          instance: instanceId,
          session: sessionId,
          fence,
          version: daemon_version,
          unacked: unacked.length,
        };
        logger.info(about, "a VM has connected");
        // After the answer to the hello has gone out: no request overtakes it.
        call.stream(async () => {
          await fleet.attach(connection).catch((error: unknown) => {
            logger.error({ instance: instanceId, error }, "a VM could not be taken in");
            peer.close(errorText(error));
          });
        });
        const { epoch } = hello;
        return {
          protocol_version: version,
          session_id: sessionId,
          server_time: clock.wallMs() / 1000,
          fence,
          events_acked: { epoch, ...(await options.events.cursors(instanceId, epoch)) },
          cloud_run_id: options.welcome.cloud_run_id,
          heartbeat_interval: options.welcome.heartbeatSeconds(instanceId),
          limits: options.welcome.limits,
          settings: options.welcome.settings(instanceId),
        };
      },
    },
    roles: shippedRoles,
    clock,
    wireError,
    caller: () => ({ role: "vm-instance", subject: instanceId, via: "websocket" }),
  });
}
