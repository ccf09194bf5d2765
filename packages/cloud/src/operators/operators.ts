import type { Clock } from "@hl/core/clock.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { roleAllows, type MethodPermission } from "@hl/protocol/permissions.ts";
import type { OperatorStore } from "../store/store.ts";
import { hashToken, newToken, sameHash } from "../tokens/secrets.ts";
import { operatorRoles, type OperatorRole } from "./roles.ts";

/** A person or a program of the platform team, known by a bearer token. */
export interface Operator {
  readonly name: string;
  readonly role: string;
}

export class Operators {
  readonly #store: OperatorStore;
  readonly #clock: Clock;

  constructor(store: OperatorStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Answers the bearer token; undefined when the name is taken and `replace` is not set. */
  async add(name: string, role: OperatorRole, replace: boolean): Promise<string | undefined> {
    const token = newToken("operator");
    const record = { name, role, tokenHash: hashToken(token), createdAtMs: this.#clock.wallMs() };
    return (await this.#store.add(record, replace)) ? token : undefined;
  }

  async authenticate(token: string | undefined): Promise<Operator> {
    const help = "Send `Authorization: Bearer TOKEN`; `hl-cloud operator add NAME --home DIR --role ROLE` makes one.";
    if (token === undefined) throw new HlError("unauthenticated", "an operator token is needed", { help });
    const hash = hashToken(token);
    const record = await this.#store.byTokenHash(hash);
    if (record === undefined || !sameHash(record.tokenHash, hash)) {
      throw new HlError("unauthenticated", "the operator token is not valid", { help });
    }
    return { name: record.name, role: record.role };
  }
}

/** X3: refuses with the permission that is missing. */
export function requirePermission(operator: Operator, permission: MethodPermission, what: string): void {
  if (roleAllows(operatorRoles, operator.role, permission)) return;
  const text = `the role "${operator.role}" lacks the permission "${permission}" that ${what} needs`;
  throw new HlError("permission_denied", text, {
    permission,
    role: operator.role,
    help: "Use an operator token of a role that has it.",
  });
}
