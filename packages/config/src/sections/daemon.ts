/** `daemon`: who this daemon is. Never changed remotely: a VM that can be renamed from afar can be impersonated. */
import * as z from "zod";
import { key, line, optionalKey, section } from "../declare.ts";

const identifier = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/,
    'must be 1 to 128 letters, digits or ". _ : -", beginning with a letter or digit',
  )
  .meta({ description: 'up to 128 letters, digits or ". _ : -"' });

export const daemonSection = section({
  summary: "Who this daemon is.",
  remote: false,
  keys: {
    instance_id: optionalKey({
      schema: identifier,
      reload: "restart",
      summary: "Identifier of the VM. Without it the daemon derives one from the machine and keeps it in its state.",
    }),
    workspace_id: optionalKey({
      schema: identifier,
      reload: "restart",
      summary: "Workspace that the VM belongs to; sent at registration.",
    }),
    version: key({
      schema: line(64),
      default: "1.0.0",
      reload: "restart",
      summary: "Version of the deployment, told by `system/info` beside the program's own.",
    }),
    environment: key({
      schema: line(64),
      default: "production",
      reload: "restart",
      summary: "Name of the deployment's stage, told by `system/info`.",
    }),
  },
});
