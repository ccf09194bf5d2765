/** The subcommands that work on a home beside its running server: SQLite lets both in, and each change is one transaction. */
import { readFileSync } from "node:fs";
import { systemClock } from "@hl/core/clock.ts";
import { errorText, silentLogger } from "@hl/core/logger.ts";
import { defaultLimits } from "./cloud-limits.ts";
import { CloudConfigError } from "./config-error.ts";
import { SecurityEvents } from "./fleet/security-events.ts";
import { Operators } from "./operators/operators.ts";
import type { OperatorRole } from "./operators/roles.ts";
import { backupHome, BackupRefused, restoreHome } from "./store/backup.ts";
import { tellServer } from "./store/home-socket.ts";
import { openSqliteStore } from "./store/sqlite-store.ts";
import type { Store } from "./store/store.ts";
import { AccessTokens } from "./tokens/access-tokens.ts";
import { Credentials } from "./tokens/credentials.ts";
import { loadKeys } from "./tokens/keys.ts";

export interface EnrollRequest {
  readonly home: string;
  readonly instances: readonly string[];
  readonly ttlSeconds: number;
  readonly workspaceId: string | undefined;
}

/** One-time tokens, in the order of the instances. */
export async function enrollInstances(request: EnrollRequest): Promise<readonly string[]> {
  const { home, instances, ttlSeconds, workspaceId } = request;
  await using store = openSqliteStore(home);
  const credentials = await credentialsOf(home, store);
  // Asked for in one turn of the event loop, so they share one transaction and one sync.
  return await Promise.all(instances.map((id) => credentials.enroll(id, ttlSeconds, workspaceId)));
}

/** Ends everything that lets the instance in; a running server ends its connection at once. */
export async function revokeInstance(home: string, instanceId: string): Promise<void> {
  await using store = openSqliteStore(home);
  const credentials = await credentialsOf(home, store);
  if (!(await credentials.revoke(instanceId))) {
    throw new CloudConfigError(`there is no instance ${JSON.stringify(instanceId)}, and no enrolment token for it`);
  }
  await tellServer(home, systemClock);
}

async function credentialsOf(home: string, store: Store): Promise<Credentials> {
  const keys = await loadKeys(home);
  return new Credentials({
    store: store.credentials,
    accessTokens: new AccessTokens(keys, systemClock, defaultLimits.accessTokenSeconds),
    secret: keys.secret,
    clock: systemClock,
    logger: silentLogger,
    refreshLifeMs: defaultLimits.refreshLifeMs,
    onFenced: () => {},
    security: new SecurityEvents({
      events: store.events,
      clock: systemClock,
      logger: silentLogger,
      identityAlarmMs: defaultLimits.identityAlarmMs,
      onStored: () => {},
    }),
    admitRenewal: () => {},
    requireSole: async () => {},
  });
}

const instancesMax = 100_000;

/** The instance ids of a file, one a line; `-` is standard input. Empty lines and lines that begin with # say nothing. */
export function readInstances(path: string): readonly string[] {
  const ids = textOf(path)
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  const bad = ids.find((id) => !isIdentifier(id));
  if (bad !== undefined) {
    const shown = JSON.stringify(bad.slice(0, 80));
    throw new CloudConfigError(`--instances ${path}: ${shown} is not an instance id (${identifierRule})`);
  }
  const known = new Set<string>();
  const twice = ids.find((id) => known.size === known.add(id).size);
  if (twice !== undefined) throw new CloudConfigError(`--instances ${path} names ${JSON.stringify(twice)} twice`);
  if (ids.length === 0 || ids.length > instancesMax) {
    throw new CloudConfigError(`--instances ${path} names ${ids.length} instances; 1 to ${instancesMax} are possible`);
  }
  return ids;
}

export const identifierRule = "1 to 256 characters, none of them a control character";

export function isIdentifier(text: string): boolean {
  return /^[^\p{Cc}]{1,256}$/u.test(text);
}

/** The bearer token of a new operator. */
export async function addOperator(home: string, name: string, role: OperatorRole, replace: boolean): Promise<string> {
  await using store = openSqliteStore(home);
  const token = await new Operators(store.operators, systemClock).add(name, role, replace);
  if (token === undefined) {
    throw new CloudConfigError(`there is an operator ${JSON.stringify(name)} already; --replace gives it a new token`);
  }
  return token;
}

function textOf(path: string): string {
  try {
    return readFileSync(path === "-" ? 0 : path, "utf8");
  } catch (error) {
    throw new CloudConfigError(`--instances ${path}: ${errorText(error)}`, { cause: error });
  }
}

/** Refusals are told as mistakes of the command line. */
export function backup(home: string, to: string): void {
  asConfiguration(() => backupHome(home, to));
}

export function restore(from: string, home: string): void {
  asConfiguration(() => restoreHome(from, home));
}

function asConfiguration(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (error instanceof BackupRefused) throw new CloudConfigError(error.message, { cause: error });
    throw error;
  }
}
