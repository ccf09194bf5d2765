import { join } from "node:path";
import type { Logger } from "@hl/core/logger.ts";
import { defaultBaseUrl } from "../key-proxy/key-account.ts";
import { defaultKeyProxyLimits, KeyProxy } from "../key-proxy/key-proxy.ts";
import { KeyState } from "../key-proxy/key-state.ts";
import type { Connect } from "../network/outbound.ts";
import type { LiveConfig } from "./live-config.ts";
import type { ComposedOutbound } from "./outbound.ts";

/** To a connection to the model's API; Claude Code itself waits as long. */
const connectMs = 30_000;

/** Undefined where agents have their keys themselves. Agents may be switched on later, so there is one also while they are off; it listens when an agent needs it. */
export function composeKeyProxy(
  live: LiveConfig,
  logger: Logger,
  { outbound, publicTls }: ComposedOutbound,
): KeyProxy | undefined {
  const { home, daemon } = live.inForce;
  if (!daemon.claude_integration.key_proxy) return undefined;
  // Who configures the address of the model's API means to reach it; the key goes nowhere else.
  const configured = live.part(
    ({ daemon: { claude_integration: claude } }) =>
      URL.parse(claude.environment["ANTHROPIC_BASE_URL"] || defaultBaseUrl)?.origin,
  );
  const connect: Connect = async (url, signal) => {
    const implied = url.origin === configured();
    return outbound.open(url, { tls: publicTls, timeoutMs: connectMs, signal, implied, plainAllowed: implied });
  };
  const parts = {
    state: KeyState.load(join(home, "data/auth/key_proxy.json")),
    logger: logger.child({ part: "key-proxy" }),
    limits: defaultKeyProxyLimits,
    connect,
  };
  return new KeyProxy(live.options(parts, ({ daemon: now }) => ({ common: now.process_management.environment })));
}
