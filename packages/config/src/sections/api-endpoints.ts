/** The keys that `api-endpoints.json` may set: where the cloud is and which paths it answers. */
import * as z from "zod";
import { key, optionalKey, section } from "../declare.ts";
import { serviceUrl } from "../networks.ts";

const urlPath = z
  .string()
  .max(1024)
  .regex(/^\/(?!\/)[^\s?#]*$/, 'must be a path that begins with one "/" and has no "?", "#" or space')
  .meta({ description: "path of a URL" });

const endpoint = (fallback: string, summary: string): ReturnType<typeof key<typeof urlPath>> =>
  key({ schema: urlPath, default: fallback, reload: "restart", summary });

export const endpointKeys = {
  base_url: optionalKey({
    schema: serviceUrl,
    default: "https://api.humanlayer.dev",
    reload: "restart",
    summary:
      "The control plane. Absent or null: the daemon works without a cloud. " +
      "In test mode, and with a home other than the installed one, there is no cloud unless this is set.",
  }),
  endpoints: section({
    summary: "Paths below `base_url`. Those that the cloud names in its answer to the registration come before them.",
    keys: {
      register: endpoint("/v1/vm/register", "Enrolment."),
      token: endpoint("/v1/vm/token", "Rotation of the tokens."),
      heartbeat: endpoint("/v1/vm/heartbeat", "Signs of life."),
      commands: endpoint("/v1/vm/commands", "Command channel: WebSocket, or long polling where that is blocked."),
      events: endpoint("/v1/vm/events", "Batches of events."),
      status: endpoint("/v1/vm/status", "Changes of health."),
    },
  }),
};
