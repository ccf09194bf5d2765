import type { MethodPermission } from "@hl/protocol/permissions.ts";
import type { FastifyRequest } from "fastify";
import { requirePermission, type Operator, type Operators } from "../operators/operators.ts";
import { bearerOf } from "../tokens/secrets.ts";

/** Authenticates operators before a body is read, and remembers who it was for the route. */
export class OperatorGuard {
  readonly #operators: Operators;
  readonly #known = new WeakMap<FastifyRequest, Operator>();

  constructor(operators: Operators) {
    this.#operators = operators;
  }

  /** An onRequest hook for a route that needs `permission`. */
  needs(permission: MethodPermission, what: string): (request: FastifyRequest) => Promise<void> {
    return async (request) => {
      const operator = await this.#operators.authenticate(bearerOf(request.headers.authorization));
      requirePermission(operator, permission, what);
      this.#known.set(request, operator);
    };
  }

  of(request: FastifyRequest): Operator {
    const operator = this.#known.get(request);
    if (operator === undefined) throw new Error(`${request.url} is served without its guard`);
    return operator;
  }
}
