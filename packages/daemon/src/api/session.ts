import type { RequestHandler } from "@hl/core/rpc/answer.ts";
import type { Clock } from "@hl/core/clock.ts";
import { errorObject } from "@hl/core/rpc/message.ts";
import type { PeerRefusals } from "@hl/core/rpc/peer.ts";
import { requestHandler, type CallRecord } from "@hl/protocol/dispatch.ts";
import { errorTable, HlError, type ErrorType } from "@hl/protocol/errors.ts";
import type { Caller, Handlers } from "@hl/protocol/method.ts";
import { daemonMethods, type DaemonMethods } from "@hl/protocol/methods.ts";
import type { RolePermissions } from "@hl/protocol/permissions.ts";
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
  readonly clock: Clock;
  readonly wireError: WireErrorOptions;
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

  get authenticate(): Authenticate {
    return this.#options.authenticate;
  }

  open(via: Caller["via"], caller?: Caller): Session {
    const { handlers, authenticate, roles, clock, wireError, observe } = this.#options;
    let current = caller;
    const handler = requestHandler<DaemonMethods>({
      table: daemonMethods,
      handlers: {
        ...handlers,
        "auth/login": async ({ token }) => {
          const found = authenticate(token, via);
          if (found === undefined) throw new HlError("unauthenticated", "this token is not valid here");
          current = found;
          return { role: found.role, subject: found.subject };
        },
      },
      roles,
      clock,
      wireError,
      caller: () => current,
      observe,
    });
    return { handler, caller: () => current };
  }

  /** A whole error message that answers no request in particular. */
  refusal(type: ErrorType, message: string): object {
    return errorObject(null, this.#wire(type, message), this.#options.clock.wallMs());
  }

  #wire(type: ErrorType, message: string, facts: Record<string, unknown> = {}): ReturnType<PeerRefusals["tooLarge"]> {
    const wire = toWireError(new HlError(type, message, facts), null, this.#options.wireError);
    return { code: errorTable[type].code, message: wire.message, data: { ...wire.data } };
  }
}
