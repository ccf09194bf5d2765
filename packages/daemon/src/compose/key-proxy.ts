import { join } from "node:path";
import type { Config } from "@hl/config/load.ts";
import type { Logger } from "@hl/core/logger.ts";
import { defaultBaseUrl } from "../key-proxy/key-account.ts";
import { defaultKeyProxyLimits, KeyProxy } from "../key-proxy/key-proxy.ts";
import { KeyState } from "../key-proxy/key-state.ts";
import type { Connect } from "../network/outbound.ts";
import type { ComposedOutbound } from "./outbound.ts";

/** To a connection to the model's API; Claude Code itself waits as long. */
const connectMs = 30_000;

/** Undefined where agents have their keys themselves. */
export function composeKeyProxy(
  { home, daemon }: Config,
  logger: Logger,
  { outbound, publicTls }: ComposedOutbound,
): KeyProxy | undefined {
  const { claude_integration: claude, process_management: processes } = daemon;
  if (!claude.key_proxy || !claude.enabled) return undefined;
  // Who configures the address of the model's API means to reach it; the key goes nowhere else.
  const configured = URL.parse(claude.environment["ANTHROPIC_BASE_URL"] || defaultBaseUrl)?.origin;
  const connect: Connect = async (url, signal) => {
    const implied = url.origin === configured;
    return outbound.open(url, { tls: publicTls(), timeoutMs: connectMs, signal, implied, plainAllowed: implied });
  };
  return new KeyProxy({
    state: KeyState.load(join(home, "data/auth/key_proxy.json")),
    logger: logger.child({ part: "key-proxy" }),
    limits: defaultKeyProxyLimits,
    connect,
    common: processes.environment,
  });
}
