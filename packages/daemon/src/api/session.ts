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
import type { Authenticate } from "./local-token.ts";

/** One caller's view of the interface: its identity and a handler that knows it. */
export interface Session {
  readonly handler: RequestHandler;
  caller(): Caller | undefined;
}

export interface SessionFactoryOptions {
  readonly handlers: Omit<Handlers<DaemonMethods>, "auth/login">;
  readonly authenticate: Authenticate;
  readonly roles: RolePermissions;
  /** `authorization.rbac_enabled`; undefined is true. */
  readonly checksRoles?: boolean | undefined;
  readonly clock: Clock;
  readonly wireError: WireErrorOptions;
  readonly observe: (record: CallRecord) => void;
  /** Told of refusals that no method has made; undefined: nobody is. */
  readonly onRefused?: ((record: CallRecord) => void) | undefined;
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

  /** A refusal that no method has made. */
  noteRefusal(method: string, caller: Caller | undefined, error: unknown): void {
    this.#options.onRefused?.({ method, caller, definition: undefined, durationMs: 0, error });
  }

  /** @param onLogin told of each caller that the connection has from then on */
  open(via: Caller["via"], caller?: Caller, onLogin?: (caller: Caller) => void): Session {
    const { handlers, roles, checksRoles, clock, wireError, observe } = this.#options;
    let current = caller;
    let loggingIn: Promise<unknown> | undefined;
    const login = (found: Caller): { role: string; subject: string } => {
      current = found;
      onLogin?.(found);
      return { role: found.role, subject: found.subject };
    };
    const handler = requestHandler<DaemonMethods>({
      table: daemonMethods,
      handlers: {
        ...handlers,
        "auth/login": async ({ token }) => {
          const found = this.identify(token, via);
          if (!(found instanceof Promise)) return login(found);
          const done = found.then(login);
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
      observe,
    });
    return { handler, caller: () => current };
  }

  /** A whole error message that answers no request in particular. */
  refusal(type: ErrorType, message: string, facts: Record<string, unknown> = {}): object {
    return errorObject(null, this.#wire(type, message, facts), this.#options.clock.wallMs());
  }

  #wire(type: ErrorType, message: string, facts: Record<string, unknown> = {}): ReturnType<PeerRefusals["tooLarge"]> {
    const wire = toWireError(new HlError(type, message, facts), null, this.#options.wireError);
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
