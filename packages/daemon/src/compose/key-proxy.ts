import { join } from "node:path";
import type { Config } from "@hl/config/load.ts";
import type { Logger } from "@hl/core/logger.ts";
import { defaultKeyProxyLimits, KeyProxy } from "../key-proxy/key-proxy.ts";
import { KeyState } from "../key-proxy/key-state.ts";

/** Undefined where agents have their keys themselves. */
export function composeKeyProxy({ home, daemon }: Config, logger: Logger): KeyProxy | undefined {
  const { claude_integration: claude, process_management: processes } = daemon;
  if (!claude.key_proxy || !claude.enabled) return undefined;
  return new KeyProxy({
    state: KeyState.load(join(home, "data/auth/key_proxy.json")),
    logger: logger.child({ part: "key-proxy" }),
    limits: defaultKeyProxyLimits,
    common: processes.environment,
  });
}
