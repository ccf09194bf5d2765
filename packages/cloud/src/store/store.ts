import type { LanesAcked } from "@hl/protocol/event-lanes.ts";

/**
 * What hl-cloud remembers. One interface, so that a fleet's store can take the place of the single machine's SQLite;
 * every method is one atomic step, and a write has reached the disk when its promise resolves (S5).
 */
export interface Store extends AsyncDisposable {
  readonly instances: InstanceStore;
  readonly credentials: CredentialStore;
  readonly operators: OperatorStore;
  readonly events: EventStore;
  readonly requests: RequestStore;
}

export interface InstanceRecord {
  readonly id: string;
  readonly workspaceId: string;
  readonly registrationId: string;
  readonly registeredAtMs: number;
  readonly lastSeenMs: number;
  readonly daemonVersion: string | undefined;
  readonly epoch: string | undefined;
  readonly bootId: string | undefined;
  readonly capabilities: readonly string[];
  readonly systemInfo: unknown;
  readonly networkInfo: unknown;
  /** The last full health the VM sent. */
  readonly health: Readonly<Record<string, unknown>> | undefined;
  readonly healthAtMs: number | undefined;
  /** The last heartbeat that was flushed; presence.ts knows the newest. */
  readonly heartbeat: Readonly<Record<string, unknown>> | undefined;
  /** Set while its credentials are fenced and nobody has enrolled it again. */
  readonly fencedAtMs: number | undefined;
  /** Set while an operator has revoked it and nobody has enrolled it again. */
  readonly revokedAtMs: number | undefined;
  /** When a second daemon under its identity was last turned away. */
  readonly identityInUseAtMs: number | undefined;
  /** The number of its newest session. */
  readonly fence: number;
}

export interface Registration {
  readonly instanceId: string;
  readonly workspaceId: string;
  /** Used when the instance is new; a known instance keeps the one it has. */
  readonly registrationId: string;
  readonly daemonVersion: string | undefined;
  readonly epoch: string | undefined;
  readonly capabilities: readonly string[];
  readonly systemInfo: unknown;
  readonly networkInfo: unknown;
  readonly atMs: number;
}

export interface Sighting {
  readonly instanceId: string;
  readonly lastSeenMs: number;
  readonly heartbeat: Readonly<Record<string, unknown>> | undefined;
}

export interface InstanceStore {
  get(id: string): Promise<InstanceRecord | undefined>;
  list(): Promise<readonly InstanceRecord[]>;
  ids(): Promise<readonly string[]>;
  /** Answers the registration id that holds. */
  register(registration: Registration): Promise<string>;
  setHealth(id: string, health: Readonly<Record<string, unknown>>, atMs: number): Promise<void>;
  /** Answers the fence of the session that begins: it grows with each. */
  setHello(id: string, hello: { daemonVersion: string; epoch: string; bootId: string }): Promise<number>;
  setIdentityInUse(id: string, atMs: number): Promise<void>;
  /** One write for a whole fleet's heartbeats. */
  touch(sightings: readonly Sighting[]): Promise<void>;
  /** Forgets at most `limit` instances that were last seen before and have no unsettled request, with their credentials and cursors; answers which. */
  prune(beforeMs: number, limit: number): Promise<readonly string[]>;
}

export interface EnrollmentRecord {
  readonly tokenHash: string;
  readonly instanceId: string;
  readonly workspaceId: string | undefined;
  readonly expiresAtMs: number;
  /** The credentials that were issued for it; missing while it is unused. */
  readonly familyId: string | undefined;
}

/** The refresh tokens of one registration, newest and the one before; see tokens/credentials.ts for the states. */
export interface FamilyRecord {
  readonly id: string;
  readonly instanceId: string;
  readonly generation: number;
  readonly currentHash: string;
  readonly currentRotation: string;
  readonly previousHash: string | undefined;
  readonly issuedAtMs: number;
  /** Whether any token of it was ever presented. */
  readonly used: boolean;
  readonly fencedAtMs: number | undefined;
  /** Set when an operator revoked its instance. */
  readonly revokedAtMs: number | undefined;
}

export interface CredentialStore {
  addEnrollment(enrollment: Omit<EnrollmentRecord, "familyId">): Promise<void>;
  enrollment(tokenHash: string): Promise<EnrollmentRecord | undefined>;
  family(id: string): Promise<FamilyRecord | undefined>;
  /**
   * Stores a new family and, with an enrolment, uses that up; false when the enrolment was used up meanwhile.
   * Families of the instance that nobody ever used are forgotten: their answer was lost.
   */
  addFamily(family: FamilyRecord, enrollmentHash: string | undefined): Promise<boolean>;
  /** Replaces the newest generation if it still is the expected one; false when another request was faster. */
  rotate(expected: FamilyRecord, next: FamilyRecord): Promise<boolean>;
  /** Notes the first use and retires every other family of the instance. */
  markUsed(family: FamilyRecord): Promise<void>;
  fence(familyId: string, atMs: number): Promise<void>;
  /** Ends everything that lets the instance in, enrolment tokens that nobody used included; false when it is unknown. */
  revoke(instanceId: string, atMs: number): Promise<boolean>;
  /** Forgets enrolments that expired before; answers how many, at most `limit`. */
  pruneEnrollments(beforeMs: number, limit: number): Promise<number>;
  /** Forgets families whose newest token was issued before; answers how many, at most `limit`. */
  pruneFamilies(beforeMs: number, limit: number): Promise<number>;
}

export interface OperatorRecord {
  readonly name: string;
  readonly role: string;
  readonly tokenHash: string;
  readonly createdAtMs: number;
}

export interface OperatorStore {
  /** False when the name is taken and `replace` is not set. */
  add(operator: OperatorRecord, replace: boolean): Promise<boolean>;
  byTokenHash(tokenHash: string): Promise<OperatorRecord | undefined>;
}

export interface NewEvent {
  readonly instanceId: string;
  readonly eventId: string;
  readonly epoch: string;
  readonly seq: number;
  /** Undefined from a daemon that has no lanes: all its events come in one order. */
  readonly lane: string | undefined;
  readonly receivedAtMs: number;
  /** The event as JSON. */
  readonly body: string;
}

export interface EventRecord {
  /** hl-cloud's own number, increasing inside an instance; the cursor of every reader. */
  readonly row: number;
  readonly receivedAtMs: number;
  readonly body: string;
}

export type EventCursors = Required<Omit<LanesAcked, "epoch">>;

export interface EventStore {
  /**
   * Once by (instance, event_id) (S1). `conflict`: another event has this epoch and number. What is asked for in one turn is one
   * transaction, and the cursors of the lanes are part of it.
   */
  append(event: NewEvent): Promise<"stored" | "duplicate" | "conflict">;
  /** The newest number of each lane of an epoch, and the event that came first under it. */
  cursors(instanceId: string, epoch: string): Promise<EventCursors>;
  /** Stops early once `bytesMax` is reached, but never before the first event. */
  after(instanceId: string, row: number, limit: number, bytesMax: number): Promise<readonly EventRecord[]>;
  /** The cursor behind which the last `count` events lie. */
  cursorBefore(instanceId: string, count: number): Promise<number>;
  /** Forgets at most `limit` events that were received before; answers how many. */
  prune(beforeMs: number, limit: number): Promise<number>;
}

export type RequestState = "queued" | "sent" | "answered" | "cancelled" | "expired";

export interface RequestRecord {
  readonly id: string;
  readonly instanceId: string;
  readonly operator: string;
  readonly method: string;
  /** JSON. */
  readonly params: string;
  readonly state: RequestState;
  readonly createdAtMs: number;
  readonly settledAtMs: number | undefined;
  /** JSON of `{result}` or `{error}`. */
  readonly answer: string | undefined;
}

export interface RequestStore {
  add(request: RequestRecord): Promise<void>;
  markSent(id: string): Promise<void>;
  /** The first end of a request holds. */
  settle(id: string, state: "answered" | "cancelled" | "expired", answer: string, atMs: number): Promise<void>;
  get(instanceId: string, id: string): Promise<RequestRecord | undefined>;
  /** Queued and sent ones, oldest first. */
  unsettled(instanceId: string): Promise<readonly RequestRecord[]>;
  /** Ids of unsettled requests of all instances that are older, oldest first. */
  unsettledBefore(beforeMs: number, limit: number): Promise<readonly string[]>;
  /** Forgets settled requests of before; answers how many. */
  prune(beforeMs: number, limit: number): Promise<number>;
}
