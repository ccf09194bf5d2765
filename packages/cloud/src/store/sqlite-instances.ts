import type { DatabaseSync, StatementSync } from "node:sqlite";
import { json, optional, parsed } from "./columns.ts";
import type { GroupCommit } from "@hl/core/store/group-commit.ts";
import type { InstanceRecord, InstanceStore, Registration, Sighting } from "./store.ts";

interface Row {
  id: string;
  workspace_id: string;
  registration_id: string;
  registered_at_ms: number;
  last_seen_ms: number;
  daemon_version: string | null;
  epoch: string | null;
  boot_id: string | null;
  capabilities: string;
  system_info: string;
  network_info: string | null;
  health: string | null;
  health_at_ms: number | null;
  heartbeat: string | null;
  fenced_at_ms: number | null;
  revoked_at_ms: number | null;
  identity_in_use_at_ms: number | null;
  fence: number;
}

export class SqliteInstances implements InstanceStore {
  readonly #commit: GroupCommit;
  readonly #get: StatementSync;
  readonly #list: StatementSync;
  readonly #register: StatementSync;
  readonly #setHealth: StatementSync;
  readonly #setHello: StatementSync;
  readonly #setIdentityInUse: StatementSync;
  readonly #touch: StatementSync;
  readonly #ids: StatementSync;
  readonly #prune: StatementSync;
  readonly #forgetFamilies: StatementSync;
  readonly #forgetCursors: StatementSync;

  constructor(database: DatabaseSync, commit: GroupCommit) {
    this.#commit = commit;
    this.#get = database.prepare("select * from instances where id = ?");
    this.#list = database.prepare("select * from instances order by id");
    this.#register = database.prepare(`
      insert into instances (id, workspace_id, registration_id, registered_at_ms, last_seen_ms,
        daemon_version, epoch, capabilities, system_info, network_info)
      values (:id, :workspace_id, :registration_id, :at_ms, :at_ms, :daemon_version, :epoch, :capabilities, :system_info, :network_info)
      on conflict (id) do update set workspace_id = excluded.workspace_id, last_seen_ms = excluded.last_seen_ms,
        daemon_version = excluded.daemon_version, epoch = excluded.epoch, capabilities = excluded.capabilities,
        system_info = excluded.system_info, network_info = excluded.network_info, fenced_at_ms = null, revoked_at_ms = null
      returning registration_id`);
    this.#setHealth = database.prepare("update instances set health = ?, health_at_ms = ? where id = ?");
    this.#setHello = database.prepare(
      "update instances set daemon_version = ?, epoch = ?, boot_id = ?, fence = fence + 1 where id = ? returning fence",
    );
    this.#setIdentityInUse = database.prepare("update instances set identity_in_use_at_ms = ? where id = ?");
    this.#touch = database.prepare(
      "update instances set last_seen_ms = max(last_seen_ms, ?), heartbeat = coalesce(?, heartbeat) where id = ?",
    );
    this.#ids = database.prepare("select id from instances");
    this.#prune = database.prepare(`
      delete from instances where id in (
        select id from instances where last_seen_ms < ? and not exists (
          select 1 from requests where instance_id = instances.id and settled_at_ms is null) limit ?)
      returning id`);
    this.#forgetFamilies = database.prepare("delete from families where instance_id = ?");
    this.#forgetCursors = database.prepare("delete from event_cursors where instance_id = ?");
  }

  async ids(): Promise<readonly string[]> {
    return (this.#ids.all() as { id: string }[]).map(({ id }) => id);
  }

  async get(id: string): Promise<InstanceRecord | undefined> {
    const row = this.#get.get(id) as Row | undefined;
    return row === undefined ? undefined : toRecord(row);
  }

  async list(): Promise<readonly InstanceRecord[]> {
    return (this.#list.all() as unknown as Row[]).map(toRecord);
  }

  register(registration: Registration): Promise<string> {
    return this.#commit.run(() => {
      const row = this.#register.get({
        id: registration.instanceId,
        workspace_id: registration.workspaceId,
        registration_id: registration.registrationId,
        at_ms: Math.round(registration.atMs),
        daemon_version: registration.daemonVersion ?? null,
        epoch: registration.epoch ?? null,
        capabilities: json(registration.capabilities),
        system_info: json(registration.systemInfo),
        network_info: registration.networkInfo === undefined ? null : json(registration.networkInfo),
      }) as { registration_id: string };
      return row.registration_id;
    });
  }

  async setHealth(id: string, health: Readonly<Record<string, unknown>>, atMs: number): Promise<void> {
    await this.#commit.run(() => this.#setHealth.run(json(health), Math.round(atMs), id));
  }

  setHello(id: string, hello: { daemonVersion: string; epoch: string; bootId: string }): Promise<number> {
    return this.#commit.run(() => {
      const row = this.#setHello.get(hello.daemonVersion, hello.epoch, hello.bootId, id) as { fence: number };
      return row.fence;
    });
  }

  async setIdentityInUse(id: string, atMs: number): Promise<void> {
    await this.#commit.run(() => this.#setIdentityInUse.run(Math.round(atMs), id));
  }

  prune(beforeMs: number, limit: number): Promise<readonly string[]> {
    return this.#commit.run(() => {
      const ids = (this.#prune.all(Math.round(beforeMs), limit) as { id: string }[]).map(({ id }) => id);
      for (const id of ids) {
        this.#forgetFamilies.run(id);
        this.#forgetCursors.run(id);
      }
      return ids;
    });
  }

  async touch(sightings: readonly Sighting[]): Promise<void> {
    await this.#commit.run(() => {
      for (const { instanceId, lastSeenMs, heartbeat } of sightings) {
        this.#touch.run(Math.round(lastSeenMs), heartbeat === undefined ? null : json(heartbeat), instanceId);
      }
    });
  }
}

function toRecord(row: Row): InstanceRecord {
  return {
    id: row.id,
    workspaceId: row.workspace_id,
    registrationId: row.registration_id,
    registeredAtMs: row.registered_at_ms,
    lastSeenMs: row.last_seen_ms,
    daemonVersion: optional(row.daemon_version),
    epoch: optional(row.epoch),
    bootId: optional(row.boot_id),
    capabilities: parsed(row.capabilities) as string[],
    systemInfo: parsed(row.system_info),
    networkInfo: parsed(row.network_info),
    health: parsed(row.health) as Record<string, unknown> | undefined,
    healthAtMs: optional(row.health_at_ms),
    heartbeat: parsed(row.heartbeat) as Record<string, unknown> | undefined,
    fencedAtMs: optional(row.fenced_at_ms),
    revokedAtMs: optional(row.revoked_at_ms),
    identityInUseAtMs: optional(row.identity_in_use_at_ms),
    fence: row.fence,
  };
}
