/** `authorization` of security.json: which role may do what. */
import * as z from "zod";
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
      summary: "Role of the cloud link and of callers whose JWT has no claim `role`. Must be in `permissions`.",
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
      summary: "Permissions of each role. `admin` has all, whatever is listed; a role that is not listed has none.",
    }),
    certificate_roles: key({
      schema: z.record(line(256), line(64)),
      default: {},
      reload: "restart",
      summary:
        "Role of each client certificate of the HTTP port (`local_api.tls_client_ca`), by the common name of its subject; `*` stands for all others. A certificate without a role is refused.",
    }),
  },
});
