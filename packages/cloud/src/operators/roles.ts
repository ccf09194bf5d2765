import { permissions, type RolePermissions } from "@hl/protocol/permissions.ts";

/** Who of the platform team may do what; the names of permissions are the daemon's own (X3). */
const reserved: readonly string[] = ["system:configure", "daemon:restart"];

export const operatorRoles = {
  admin: permissions,
  operator: permissions.filter((permission) => !reserved.includes(permission)),
  viewer: ["system:monitor"],
} as const satisfies RolePermissions;

export type OperatorRole = keyof typeof operatorRoles;

export const operatorRoleNames = Object.keys(operatorRoles) as readonly OperatorRole[];
