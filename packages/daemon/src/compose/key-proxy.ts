import { join } from "node:path";
import type { Logger } from "@hl/core/logger.ts";
import { defaultKeyProxyLimits, KeyProxy } from "../key-proxy/key-proxy.ts";
import { KeyState } from "../key-proxy/key-state.ts";
import type { LiveConfig } from "./live-config.ts";

/** Undefined where agents have their keys themselves. Agents may be switched on later, so there is one also while they are off. */
export function composeKeyProxy(live: LiveConfig, logger: Logger): KeyProxy | undefined {
  const { home, daemon } = live.inForce;
  if (!daemon.claude_integration.key_proxy) return undefined;
  const parts = {
    state: KeyState.load(join(home, "data/auth/key_proxy.json")),
    logger: logger.child({ part: "key-proxy" }),
    limits: defaultKeyProxyLimits,
  };
  return new KeyProxy(live.options(parts, ({ daemon: now }) => ({ common: now.process_management.environment })));
}
