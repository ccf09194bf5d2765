/** `authorization` of security.json: which role may do what. */
import { z } from "zod";
import { flag, key, line, section } from "../declare.ts";

export const PERMISSIONS = [
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

export const authorizationSection = section({
  summary: "Which role may do what.",
  remote: false,
  keys: {
    rbac_enabled: flag({
      default: true,
      reload: "restart",
      summary: "Check permissions. False lets every authenticated caller do everything.",
    }),
    default_role: key({
      schema: line(64),
      default: "vm-instance",
      reload: "restart",
      summary: "Role of the cloud link and of callers whose token names none. Must be in `permissions`.",
    }),
    permissions: key({
      schema: z.record(z.string().min(1).max(64), z.array(z.enum(PERMISSIONS)).max(64)),
      default: {
        "vm-instance": [
          "process:execute",
          "file:read",
          "file:write",
          "system:monitor",
          "events:stream",
          "approval:decide",
        ],
        admin: ["system:configure", "daemon:restart", "logs:access"],
      },
      reload: "restart",
      summary: "Permissions of each role. `admin` has all, whatever is listed.",
    }),
  },
});
