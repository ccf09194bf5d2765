/**
 * Who may do what. The names are the specification's, plus `approval:decide` (DESIGN.md 3.4), which the agent never gets.
 */
export const permissions = [
  "process:execute",
  "file:read",
  "file:write",
  "system:monitor",
  "events:stream",
  "approval:decide",
  "system:configure",
  "daemon:restart",
  "logs:access",
] as const;

export type Permission = (typeof permissions)[number];

/** `none`: before authentication; `any`: every authenticated caller. */
export type MethodPermission = Permission | "any" | "none";

export type RolePermissions = Readonly<Record<string, readonly string[]>>;

/** The shipped roles; `authorization.permissions` of security.json replaces them. `admin` has everything. */
export const shippedRoles: RolePermissions = {
  "vm-instance": ["process:execute", "file:read", "file:write", "system:monitor", "events:stream", "approval:decide"],
  admin: permissions,
};

/** X3: one check in one place; a role that nobody has defined has no permission. */
export function roleAllows(roles: RolePermissions, role: string, permission: MethodPermission): boolean {
  if (permission === "none" || permission === "any") return true;
  if (role === "admin") return true;
  // A role comes from a token: one called "constructor" must be as unknown as any other.
  return Object.hasOwn(roles, role) && (roles[role]?.includes(permission) ?? false);
}
