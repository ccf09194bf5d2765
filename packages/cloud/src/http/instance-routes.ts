import { HlError } from "@hl/protocol/errors.ts";
import type { FastifyInstance } from "fastify";
import * as z from "zod";
import type { Fleet } from "../fleet/fleet.ts";
import type { Leases } from "../fleet/leases.ts";
import type { Presence } from "../fleet/presence.ts";
import type { InstanceRecord, InstanceStore } from "../store/store.ts";
import type { OperatorGuard } from "./operator-guard.ts";

export interface InstanceRoutesOptions {
  readonly instances: InstanceStore;
  readonly fleet: Fleet;
  readonly presence: Presence;
  readonly leases: Leases;
  readonly guard: OperatorGuard;
  /** Ends everything that lets an instance in. */
  readonly revoke: (instanceId: string) => Promise<boolean>;
}

export const instanceParams = z.object({ id: z.string().min(1).max(256) });

/** The fleet as operators see it. */
export function instanceRoutes(app: FastifyInstance, options: InstanceRoutesOptions): void {
  const { instances, guard, revoke } = options;

  app.post(
    "/v1/instances/:id/revoke",
    { onRequest: guard.admits("POST /v1/instances/{id}/revoke") },
    async (request) => {
      const { id } = await requireInstance(instances, request.params);
      await revoke(id);
      return { id, credentials: "revoked" };
    },
  );

  app.get("/v1/instances", { onRequest: guard.admits("GET /v1/instances") }, async () => ({
    instances: (await instances.list()).map((record) => summary(record, options)),
  }));

  app.get("/v1/instances/:id", { onRequest: guard.admits("GET /v1/instances/{id}") }, async (request) => {
    const record = await requireInstance(instances, request.params);
    return {
      ...summary(record, options),
      registration_id: record.registrationId,
      epoch: record.epoch,
      boot_id: record.bootId,
      fence: record.fence,
      capabilities: record.capabilities,
      system_info: record.systemInfo,
      network_info: record.networkInfo,
      full_health: record.health ?? null,
      full_health_at: record.healthAtMs === undefined ? null : record.healthAtMs / 1000,
    };
  });
}

function standingOf({ revokedAtMs, fencedAtMs }: InstanceRecord): "valid" | "fenced" | "revoked" {
  if (revokedAtMs !== undefined) return "revoked";
  return fencedAtMs === undefined ? "valid" : "fenced";
}

export async function requireInstance(instances: InstanceStore, params: unknown): Promise<InstanceRecord> {
  const { id } = instanceParams.parse(params);
  const record = await instances.get(id);
  if (record === undefined) throw new HlError("instance_unknown", `there is no instance ${JSON.stringify(id)}`);
  return record;
}

/** Times are Unix seconds with a fraction, as everywhere on the wire. */
function summary(record: InstanceRecord, { fleet, presence, leases }: InstanceRoutesOptions): Record<string, unknown> {
  const latest = presence.latest(record.id);
  const connection = fleet.connection(record.id);
  const heartbeat = latest?.heartbeat ?? record.heartbeat;
  return {
    id: record.id,
    workspace: record.workspaceId,
    online: connection !== undefined,
    state: leases.stateOf(record.id, connection !== undefined),
    connected_at: connection === undefined ? null : connection.connectedAtMs / 1000,
    last_seen: (latest?.lastSeenMs ?? record.lastSeenMs) / 1000,
    registered_at: record.registeredAtMs / 1000,
    daemon_version: record.daemonVersion ?? null,
    credentials: standingOf(record),
    identity_in_use_at: record.identityInUseAtMs === undefined ? null : record.identityInUseAtMs / 1000,
    health: {
      status: heartbeat?.["status"] ?? record.health?.["status"] ?? "unknown",
      uptime: heartbeat?.["uptime"] ?? null,
      spool_depth: heartbeat?.["spool_depth"] ?? null,
      commands_running: heartbeat?.["commands_running"] ?? null,
      agents_running: heartbeat?.["agents_running"] ?? null,
      memory_rss_mb: heartbeat?.["memory_rss_mb"] ?? null,
    },
  };
}
