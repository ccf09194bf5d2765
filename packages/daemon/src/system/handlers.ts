import type { Handler, Handlers, ResultOf } from "@hl/protocol/method.ts";
import { daemonMethods, type DaemonMethods } from "@hl/protocol/methods.ts";
import type { systemHealth } from "@hl/protocol/methods/system-health.ts";
import type { systemInfo } from "@hl/protocol/methods/system-info.ts";
import type { systemRestart } from "@hl/protocol/methods/system-restart.ts";
import { openRpcDocument } from "@hl/protocol/openrpc.ts";
import { version } from "@hl/protocol/version.ts";

type SystemMethods = Exclude<
  Extract<keyof DaemonMethods, `system/${string}` | "rpc.discover">,
  `system/config/${string}` | "system/logs"
>;

export interface SystemHandlerDeps {
  readonly info: () => ResultOf<typeof systemInfo>;
  readonly health: (detailed: boolean) => ResultOf<typeof systemHealth>;
  /** Answers the parts that had used some of their attempts. */
  readonly resetHealing: () => string[];
  readonly restart: Handler<typeof systemRestart>;
}

export function systemHandlers(deps: SystemHandlerDeps): Pick<Handlers<DaemonMethods>, SystemMethods> {
  return {
    "rpc.discover": async () => openRpcDocument(daemonMethods),
    "system/ping": async () => ({ pong: true, version }),
    "system/info": async () => deps.info(),
    "system/health": async ({ detailed }) => deps.health(detailed),
    "system/healing/reset": async () => ({ reset: deps.resetHealing() }),
    "system/restart": deps.restart,
  };
}
