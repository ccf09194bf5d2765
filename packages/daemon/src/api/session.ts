import type { RequestHandler } from "@hl/core/rpc/answer.ts";
import type { Clock } from "@hl/core/clock.ts";
import { errorObject } from "@hl/core/rpc/message.ts";
import type { PeerRefusals } from "@hl/core/rpc/peer.ts";
import { requestHandler, requirePermission, type CallRecord } from "@hl/protocol/dispatch.ts";
import { errorTable, HlError, type ErrorType } from "@hl/protocol/errors.ts";
import type { Caller, Handlers } from "@hl/protocol/method.ts";
import { daemonMethods, type DaemonMethods } from "@hl/protocol/methods.ts";
import type { MethodPermission, RolePermissions } from "@hl/protocol/permissions.ts";
import { toWireError, type WireErrorOptions } from "@hl/protocol/wire-error.ts";
import type { CallerLimits } from "./caller-limits.ts";
import type { Authenticate } from "./local-token.ts";

/** One caller's view of the interface: its identity and a handler that knows it. */
export interface Session {
  readonly handler: RequestHandler;
  caller(): Caller | undefined;
  /** So many messages that came in were no requests. They count as requests do. */
  noRequests(count: number): void;
}

/** Is told how whoever is at the other end of a connection behaves. */
export interface SessionWatcher {
  loggedIn(caller: Caller): void;
  /** A request of a caller who may ask. */
  admitted(): void;
  /** So many messages that were refused: of a stranger, or of a caller over its rate. */
  refused(count: number): void;
}

/** Where a session's messages come from. */
export interface SessionOrigin {
  readonly via: Caller["via"];
  /** Whose rate it is before a login: an IP address, or `unix socket`. */
  readonly from: string;
  readonly watcher?: SessionWatcher | undefined;
}

export interface SessionFactoryOptions {
  readonly handlers: Omit<Handlers<DaemonMethods>, "auth/login">;
  readonly authenticate: Authenticate;
  readonly roles: RolePermissions;
  /** `authorization.rbac_enabled`; undefined is true. */
  readonly checksRoles?: boolean | undefined;
  readonly clock: Clock;
  readonly wireError: WireErrorOptions;
  readonly limits: CallerLimits;
  readonly observe: (record: CallRecord) => void;
}

/** Makes sessions for every local transport and for the cloud link, all with the same table, handlers and checks (X3). */
export class SessionFactory {
  readonly #options: SessionFactoryOptions;
  readonly refusals: PeerRefusals;

  constructor(options: SessionFactoryOptions) {
    this.#options = options;
    this.refusals = {
      tooMany: (most) =>
        this.#wire("rate_limited", `${most} requests of this connection are in progress`, { retry_after_ms: 1_000 }),
      tooLarge: (message) => this.#wire("request_too_large", message),
    };
  }

  /** Whom the token belongs to, at once for the local token. Throws or rejects with the refusal, an `HlError`. */
  identify(token: string, via: Caller["via"]): Caller | Promise<Caller> {
    const found = this.#options.authenticate(token, via);
    return found instanceof Promise ? found.then(somebody) : somebody(found);
  }

  /** X3 for what is served beside the methods, such as `GET /metrics`. Throws the refusal. */
  require(caller: Caller | undefined, permission: MethodPermission, what: string): void {
    requirePermission(caller, permission, what, this.#options);
  }

  get limits(): CallerLimits {
    return this.#options.limits;
  }

  /** A caller that is known is that of the session from the start. */
  open(origin: SessionOrigin, caller?: Caller): Session {
    const { handlers, roles, checksRoles, clock, wireError, limits, observe } = this.#options;
    const { via, from, watcher } = origin;
    let current = caller;
    let loggingIn: Promise<unknown> | undefined;
    const refuseStranger = (): void => {
      watcher?.refused(1);
      limits.stranger(from);
    };
    const admit = (asking: Caller | undefined, method: string): void => {
      if (asking !== undefined) this.#admit(asking, watcher);
      else if (method !== loginMethod) refuseStranger();
    };
    const login = (found: Caller): { role: string; subject: string } => {
      if (current === undefined) this.#admit(found, watcher);
      current = found;
      watcher?.loggedIn(found);
      return { role: found.role, subject: found.subject };
    };
    const refuseLogin = (error: unknown): never => {
      if (current === undefined) refuseStranger();
      throw error;
    };
    const handler = requestHandler<DaemonMethods>({
      table: daemonMethods,
      handlers: {
        ...handlers,
        [loginMethod]: async ({ token }) => {
          let found: Caller | Promise<Caller>;
          try {
            found = this.identify(token, via);
          } catch (error) {
            return refuseLogin(error);
          }
          if (!(found instanceof Promise)) return login(found);
          const done = found.then(login, refuseLogin);
          const settled = done
            .catch(() => {})
            .finally(() => {
              if (loggingIn === settled) loggingIn = undefined;
            });
          loggingIn = settled;
          return done;
        },
      },
      roles,
      checksRoles,
      clock,
      wireError,
      caller: () => current,
      // What was sent behind a login that takes a moment is judged by what came of it.
      callerComing: () => loggingIn,
      // Only the link carries requests of others than its own caller.
      ...(via === "cloud" ? { actingAs: async (token: string) => this.identify(bare(token), via) } : {}),
      admit,
      from,
      observe: (record) => {
        // Parameters that are none have not come to the login, which counts its own refusals.
        if (record.caller === undefined && isMisshapenLogin(record)) noRequests(1);
        observe(record);
      },
    });
    const noRequests = (count: number): void => {
      for (let left = count; left > 0; left -= 1) {
        try {
          admit(current, "");
        } catch {
          // Its answer says what is wrong with it, not how fast it came.
          watcher?.refused(left - 1);
          return;
        }
      }
    };
    return { handler, caller: () => current, noRequests };
  }

  /** A refusal that no handler was asked for: told like that of a request. */
  refused(origin: SessionOrigin, caller: Caller | undefined, what: string, error: HlError): void {
    this.#options.observe({
      method: what,
      caller,
      definition: undefined,
      durationMs: 0,
      error,
      from: origin.from,
    });
  }

  #admit(caller: Caller, watcher: SessionWatcher | undefined): void {
    try {
      this.#options.limits.request(caller);
    } catch (error) {
      watcher?.refused(1);
      throw error;
    }
    watcher?.admitted();
  }

  /** A whole error message that answers no request in particular. */
  refusal(type: ErrorType, message: string, facts: Record<string, unknown> = {}): object {
    return errorObject(null, this.#wire(type, message, facts), this.#options.clock.wallMs());
  }

  #wire(type: ErrorType, message: string, facts: Record<string, unknown> = {}): ReturnType<PeerRefusals["tooLarge"]> {
    // Where in our code it was refused is no help, and finding that out is dear.
    const quiet = { ...this.#options.wireError, stackTrace: false };
    const wire = toWireError(new HlError(type, message, facts), null, quiet);
    return { code: errorTable[type].code, message: wire.message, data: { ...wire.data } };
  }
}

function somebody(found: Caller | undefined): Caller {
  if (found === undefined) throw new HlError("unauthenticated", "this token is not valid here");
  return found;
}

/** The scheme that the header of HTTP has may stand before the token here too. */
function bare(token: string): string {
  return token.replace(/^Bearer /i, "");
}

const loginMethod = "auth/login";

function isMisshapenLogin({ method, error }: CallRecord): boolean {
  return method === loginMethod && error instanceof HlError && error.type === "invalid_params";
}
