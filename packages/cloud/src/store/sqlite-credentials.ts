import type { DatabaseSync, StatementSync } from "node:sqlite";
import { optional } from "./columns.ts";
import type { GroupCommit } from "@hl/core/store/group-commit.ts";
import type { CredentialStore, EnrollmentRecord, FamilyRecord } from "./store.ts";

interface EnrollmentRow {
  token_hash: string;
  instance_id: string;
  workspace_id: string | null;
  expires_at_ms: number;
  family_id: string | null;
}

interface FamilyRow {
  id: string;
  instance_id: string;
  generation: number;
  current_hash: string;
  current_rotation: string;
  previous_hash: string | null;
  issued_at_ms: number;
  used: number;
  fenced_at_ms: number | null;
  revoked_at_ms: number | null;
}

export class SqliteCredentials implements CredentialStore {
  readonly #commit: GroupCommit;
  readonly #addEnrollment: StatementSync;
  readonly #enrollment: StatementSync;
  readonly #useEnrollment: StatementSync;
  readonly #family: StatementSync;
  readonly #forgetUnused: StatementSync;
  readonly #addFamily: StatementSync;
  readonly #rotate: StatementSync;
  readonly #markUsed: StatementSync;
  readonly #retireOthers: StatementSync;
  readonly #fence: StatementSync;
  readonly #fenceInstance: StatementSync;
  readonly #revokeInstance: StatementSync;
  readonly #revokeFamilies: StatementSync;
  readonly #forgetEnrollments: StatementSync;
  readonly #pruneEnrollments: StatementSync;
  readonly #pruneFamilies: StatementSync;

  constructor(database: DatabaseSync, commit: GroupCommit) {
    this.#commit = commit;
    this.#addEnrollment = database.prepare(
      "insert into enrollments (token_hash, instance_id, workspace_id, expires_at_ms) values (?, ?, ?, ?)",
    );
    this.#enrollment = database.prepare("select * from enrollments where token_hash = ?");
    this.#useEnrollment = database.prepare(
      "update enrollments set family_id = ? where token_hash = ? and family_id is null",
    );
    this.#family = database.prepare("select * from families where id = ?");
    this.#forgetUnused = database.prepare("delete from families where instance_id = ? and used = 0");
    this.#addFamily = database.prepare(`
      insert into families (id, instance_id, generation, current_hash, current_rotation, previous_hash, issued_at_ms, used)
      values (?, ?, ?, ?, ?, ?, ?, ?)`);
    this.#rotate = database.prepare(`
      update families set generation = ?, current_hash = ?, current_rotation = ?, previous_hash = ?, issued_at_ms = ?, used = 1
      where id = ? and generation = ? and current_hash = ? and fenced_at_ms is null`);
    this.#markUsed = database.prepare("update families set used = 1 where id = ?");
    this.#retireOthers = database.prepare("delete from families where instance_id = ? and id <> ?");
    this.#fence = database.prepare(
      "update families set fenced_at_ms = ? where id = ? and fenced_at_ms is null returning instance_id",
    );
    this.#fenceInstance = database.prepare("update instances set fenced_at_ms = ? where id = ?");
    this.#revokeInstance = database.prepare("update instances set revoked_at_ms = ? where id = ?");
    this.#revokeFamilies = database.prepare("update families set revoked_at_ms = ? where instance_id = ?");
    this.#forgetEnrollments = database.prepare("delete from enrollments where instance_id = ?");
    this.#pruneEnrollments = database.prepare(
      "delete from enrollments where token_hash in (select token_hash from enrollments where expires_at_ms < ? limit ?)",
    );
    this.#pruneFamilies = database.prepare(
      "delete from families where id in (select id from families where issued_at_ms < ? limit ?)",
    );
  }

  async addEnrollment(enrollment: Omit<EnrollmentRecord, "familyId">): Promise<void> {
    const { tokenHash, instanceId, workspaceId, expiresAtMs } = enrollment;
    await this.#commit.run(() =>
      this.#addEnrollment.run(tokenHash, instanceId, workspaceId ?? null, Math.round(expiresAtMs)),
    );
  }

  async enrollment(tokenHash: string): Promise<EnrollmentRecord | undefined> {
    const row = this.#enrollment.get(tokenHash) as EnrollmentRow | undefined;
    if (row === undefined) return undefined;
    return {
      tokenHash: row.token_hash,
      instanceId: row.instance_id,
      workspaceId: optional(row.workspace_id),
      expiresAtMs: row.expires_at_ms,
      familyId: optional(row.family_id),
    };
  }

  async family(id: string): Promise<FamilyRecord | undefined> {
    const row = this.#family.get(id) as FamilyRow | undefined;
    if (row === undefined) return undefined;
    return {
      id: row.id,
      instanceId: row.instance_id,
      generation: row.generation,
      currentHash: row.current_hash,
      currentRotation: row.current_rotation,
      previousHash: optional(row.previous_hash),
      issuedAtMs: row.issued_at_ms,
      used: row.used === 1,
      fencedAtMs: optional(row.fenced_at_ms),
      revokedAtMs: optional(row.revoked_at_ms),
    };
  }

  addFamily(family: FamilyRecord, enrollmentHash: string | undefined): Promise<boolean> {
    return this.#commit.run(() => {
      if (enrollmentHash !== undefined && this.#useEnrollment.run(family.id, enrollmentHash).changes === 0)
        return false;
      this.#forgetUnused.run(family.instanceId);
      this.#addFamily.run(
        family.id,
        family.instanceId,
        family.generation,
        family.currentHash,
        family.currentRotation,
        family.previousHash ?? null,
        Math.round(family.issuedAtMs),
        family.used ? 1 : 0,
      );
      return true;
    });
  }

  rotate(expected: FamilyRecord, next: FamilyRecord): Promise<boolean> {
    return this.#commit.run(
      () =>
        this.#rotate.run(
          next.generation,
          next.currentHash,
          next.currentRotation,
          next.previousHash ?? null,
          Math.round(next.issuedAtMs),
          expected.id,
          expected.generation,
          expected.currentHash,
        ).changes === 1,
    );
  }

  async markUsed(family: FamilyRecord): Promise<void> {
    await this.#commit.run(() => {
      this.#markUsed.run(family.id);
      this.#retireOthers.run(family.instanceId, family.id);
    });
  }

  revoke(instanceId: string, atMs: number): Promise<boolean> {
    return this.#commit.run(() => {
      const { changes: enrollments } = this.#forgetEnrollments.run(instanceId);
      this.#revokeFamilies.run(Math.round(atMs), instanceId);
      return Number(this.#revokeInstance.run(Math.round(atMs), instanceId).changes) + Number(enrollments) > 0;
    });
  }

  async fence(familyId: string, atMs: number): Promise<void> {
    await this.#commit.run(() => {
      const row = this.#fence.get(Math.round(atMs), familyId) as { instance_id: string } | undefined;
      if (row !== undefined) this.#fenceInstance.run(Math.round(atMs), row.instance_id);
    });
  }

  pruneEnrollments(beforeMs: number, limit: number): Promise<number> {
    return this.#commit.run(() => Number(this.#pruneEnrollments.run(Math.round(beforeMs), limit).changes));
  }

  pruneFamilies(beforeMs: number, limit: number): Promise<number> {
    return this.#commit.run(() => Number(this.#pruneFamilies.run(Math.round(beforeMs), limit).changes));
  }
}
