import type { RequestHandler } from "@hl/core/rpc/answer.ts";
import type { MessageId } from "@hl/core/rpc/message.ts";
import type { Clock } from "@hl/core/clock.ts";
import { actingCall } from "./acting-call.ts";
import { HlError, type ErrorType } from "./errors.ts";
import { expiredText, hasExpired } from "./expiry.ts";
import { HandledCall } from "./handled-call.ts";
import {
  parseParams,
  type Caller,
  type Handlers,
  type MethodCall,
  type MethodDefinition,
  type MethodTable,
} from "./method.ts";
import { roleAllows, type MethodPermission, type RolePermissions } from "./permissions.ts";
import { toWireError, type WireErrorOptions } from "./wire-error.ts";

const methodCharactersMax = 64;

/** One served request, for audit, metrics and the request log. */
export interface CallRecord {
  readonly method: string;
  readonly caller: Caller | undefined;
  readonly definition: MethodDefinition | undefined;
  readonly durationMs: number;
  /** The first cause; undefined when it succeeded. */
  readonly error: unknown;
  /** Where it came from, as far as that is known: an address, or `unix socket`. */
  readonly from?: string | undefined;
  readonly requestId?: MessageId | undefined;
  /** As they were sent, which may be anything. */
  readonly params?: unknown;
}

/** What decides who may do what. */
export interface AccessRules {
  readonly roles: RolePermissions;
  /** False lets every authenticated caller do everything (`authorization.rbac_enabled`); undefined is true. */
  readonly checksRoles?: boolean | undefined;
  readonly clock: Pick<Clock, "wallMs">;
}

export interface DispatchOptions<T extends MethodTable> extends AccessRules {
  readonly table: T;
  readonly handlers: Handlers<T>;
  readonly clock: Clock;
  readonly wireError: WireErrorOptions;
  /** Who asks at this moment; undefined before authentication. */
  readonly caller: () => Caller | undefined;
  /** Settles when a login that is being checked is through; undefined where there is none. */
  readonly callerComing?: (() => Promise<unknown> | undefined) | undefined;
  /**
   * Whose token the `authorization` of a message is: then that caller's role decides, not the connection's. Rejects for one that is not
   * valid. Without this such a member is ignored.
   */
  readonly actingAs?: ((token: string) => Promise<Caller>) | undefined;
  /** Throws where whoever asks may not ask just now, whatever it is; before anything else is judged. */
  readonly admit?: ((caller: Caller | undefined, method: string) => void) | undefined;
  /** For the records. */
  readonly from?: string | undefined;
  readonly observe?: ((record: CallRecord) => void) | undefined;
}

/** The one place where a request is judged before any handler sees it (X3): known, authenticated, permitted, well-formed. */
export function requestHandler<T extends MethodTable>(options: DispatchOptions<T>): RequestHandler {
  const { table, handlers, clock, wireError, admit, from, observe, actingAs, callerComing } = options;
  return {
    async request(message, received) {
      for (let coming = callerComing?.(); coming !== undefined; coming = callerComing?.()) await coming;
      let caller = options.caller();
      let call = received;
      const definition = Object.hasOwn(table, message.method) ? table[message.method] : undefined;
      const startedAt = clock.now();
      const record = (error: unknown): void =>
        observe?.({
          ...{ method: message.method, caller, definition, durationMs: clock.now() - startedAt, error, from },
          ...{ requestId: message.id, params: message.params },
        });
      try {
        admit?.(caller, message.method);
        if (message.authorization !== undefined && actingAs !== undefined && caller !== undefined) {
          caller = await actingAs(message.authorization);
          call = actingCall(received, caller, clock);
        }
        const permitted = authorize(definition, message.method, caller, options);
        const params = parseParams(permitted, message.params);
        const handler = handlers[message.method] as (params: unknown, call: MethodCall) => Promise<unknown>;
        const handled = new HandledCall(call, caller ?? anonymous, permitted.timeoutMs !== null);
        const result = await (permitted.timeoutMs === null
          ? handler(params, handled)
          : within(clock, permitted.timeoutMs, permitted.name, handled, () => handler(params, handled)));
        record(undefined);
        return result;
      } catch (error) {
        record(error);
        throw error;
      }
    },
    describe: (error, id) => toWireError(error, id, wireError),
  };
}

const anonymous: Caller = { role: "", subject: "anonymous", via: "socket" };

function authorize(
  definition: MethodDefinition | undefined,
  method: string,
  caller: Caller | undefined,
  rules: AccessRules,
): MethodDefinition {
  requirePermission(caller, definition?.permission ?? "any", method, rules);
  if (definition !== undefined) return definition;
  // Who asks may be anybody, and the text goes to the log too.
  const shown = method.length > methodCharactersMax ? `${method.slice(0, methodCharactersMax)}…` : method;
  throw new HlError("method_not_found", `there is no method ${JSON.stringify(shown)}`);
}

/**
 * X3: the judgement itself, of methods and of what is served beside them. Refuses with `unauthenticated`, or with `permission_denied` and the
 * permission that is missing.
 * @param what is asked for, as the refusal names it
 */
export function requirePermission(
  caller: Caller | undefined,
  permission: MethodPermission,
  what: string,
  { roles, checksRoles = true, clock }: AccessRules,
): void {
  if (permission === "none") return;
  if (caller === undefined) {
    const text = "authenticate first: auth/login on this connection, or an Authorization header";
    throw new HlError("unauthenticated", text);
  }
  if (hasExpired(caller, clock)) throw new HlError("unauthenticated", expiredText);
  if (!checksRoles || roleAllows(roles, caller.role, permission)) return;
  const text = `the role "${caller.role}" lacks the permission "${permission}" that ${what} needs`;
  throw new HlError("permission_denied", text, { permission, role: caller.role });
}

/** Work that nobody waits for any more is told so: its signal aborts when its time is up. */
function within(
  clock: Clock,
  ms: number,
  method: string,
  call: HandledCall,
  work: () => Promise<unknown>,
): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const cancel = clock.after(ms, () => {
    const error = new HlError("internal_error", `${method} did not finish within ${ms} ms`);
    reject(error); // Before the abort: the first cause is the one that tells.
    call.expire(error);
  });
  Promise.try(work).then(
    (result) => {
      cancel();
      resolve(result);
    },
    (error: unknown) => {
      cancel();
      reject(error);
    },
  );
  return promise;
}

/** True for errors that tell of a caller's mistake or a policy, not of a failure of ours. */
export function isRefusal(type: ErrorType): boolean {
  return (
    type === "unauthenticated" ||
    type === "permission_denied" ||
    type === "command_blocked" ||
    type === "command_not_allowed" ||
    type === "path_denied"
  );
}
