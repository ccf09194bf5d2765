import { HlError } from "@hl/protocol/errors.ts";
import type { Handlers, ResultOf } from "@hl/protocol/method.ts";
import { daemonMethods, type DaemonMethods } from "@hl/protocol/methods.ts";
import type { systemConfigGet } from "@hl/protocol/methods/system-config-get.ts";
import type { systemHealth } from "@hl/protocol/methods/system-health.ts";
import type { systemInfo } from "@hl/protocol/methods/system-info.ts";
import { openRpcDocument } from "@hl/protocol/openrpc.ts";
import { version } from "@hl/protocol/version.ts";

type SystemMethods = Extract<keyof DaemonMethods, `system/${string}` | "rpc.discover">;

export interface SystemHandlerDeps {
  readonly info: () => ResultOf<typeof systemInfo>;
  readonly health: (detailed: boolean) => ResultOf<typeof systemHealth>;
  /** The configuration in force with secrets masked; keys are its sections. */
  readonly config: () => ResultOf<typeof systemConfigGet> & { config: Record<string, unknown> };
}

export function systemHandlers(deps: SystemHandlerDeps): Pick<Handlers<DaemonMethods>, SystemMethods> {
  return {
    "rpc.discover": async () => openRpcDocument(daemonMethods),
    "system/ping": async () => ({ pong: true, version }),
    "system/info": async () => deps.info(),
    "system/health": async ({ detailed }) => deps.health(detailed),
    "system/config/get": async ({ config_section: section }) => {
      const { config, sources } = deps.config();
      if (section === undefined) return { config, sources };
      const path = section.split(".");
      const value = path.reduce<unknown>((at, key) => (isObject(at) ? at[key] : undefined), config);
      if (value === undefined) {
        const text = `there is no section ${JSON.stringify(section)}; there are ${Object.keys(config).join(", ")}`;
        throw new HlError("config_invalid", text, { validation_errors: [text] });
      }
      const pointer = `/${path.join("/")}`;
      return {
        config: value,
        sources: Object.fromEntries(Object.entries(sources).filter(([key]) => key.startsWith(pointer))),
      };
    },
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
