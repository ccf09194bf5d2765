import type { FastifyRequest } from "fastify";
import { requirePermission, type Operator, type Operators } from "../operators/operators.ts";
import { bearerOf } from "../tokens/secrets.ts";
import { operatorPaths, type OperatorPath } from "./operator-paths.ts";

/** Authenticates operators before a body is read, and remembers who it was for the route. */
export class OperatorGuard {
  readonly #operators: Operators;
  readonly #known = new WeakMap<FastifyRequest, Operator>();

  constructor(operators: Operators) {
    this.#operators = operators;
  }

  /** An onRequest hook: a route without one is not an operator's. */
  admits(path: OperatorPath): (request: FastifyRequest) => Promise<void> {
    return async (request) => {
      const operator = await this.#operators.authenticate(bearerOf(request.headers.authorization));
      requirePermission(operator, operatorPaths[path], path);
      this.#known.set(request, operator);
    };
  }

  of(request: FastifyRequest): Operator {
    const operator = this.#known.get(request);
    if (operator === undefined) throw new Error(`${request.url} is served without its guard`);
    return operator;
  }
}
