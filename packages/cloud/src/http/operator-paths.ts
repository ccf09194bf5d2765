import type { MethodPermission } from "@hl/protocol/permissions.ts";

/**
 * What hl-cloud serves to operators, and the permission that each needs. `any`: the request that is passed on, looked up or withdrawn is judged by the
 * permission of its method.
 */
export const operatorPaths = {
  "GET /v1/instances": "system:monitor",
  "GET /v1/instances/{id}": "system:monitor",
  "POST /v1/instances/{id}/revoke": "system:configure",
  "GET /v1/instances/{id}/events": "events:stream",
  "POST /v1/instances/{id}/rpc": "any",
  "GET /v1/instances/{id}/rpc/{request}": "any",
  "DELETE /v1/instances/{id}/rpc/{request}": "any",
  "GET /v1/approvals": "approval:decide",
  "GET /metrics": "system:monitor",
} as const satisfies Readonly<Record<string, MethodPermission>>;

export type OperatorPath = keyof typeof operatorPaths;
