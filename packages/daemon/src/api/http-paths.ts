import type { MethodPermission } from "@hl/protocol/permissions.ts";

/** What the HTTP port serves to callers, and what their role needs; the methods behind `/rpc` have their own. `/health` is for everybody. */
export const daemonPaths: Readonly<Record<string, MethodPermission>> = {
  "GET /metrics": "system:monitor",
  "GET /openrpc.json": "any",
  "POST /rpc": "any",
  "GET /rpc": "any",
};

/** Undefined where there is nothing at that route. */
export function permissionOf(route: string): MethodPermission | undefined {
  return Object.hasOwn(daemonPaths, route) ? daemonPaths[route] : undefined;
}
