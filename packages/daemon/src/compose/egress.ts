import type { Config } from "@hl/config/load.ts";
import type { Clock } from "@hl/core/clock.ts";
import { ownAddresses } from "../network/addresses.ts";
import { EgressPolicy } from "../egress/egress-policy.ts";
import { defaultEgressLimits, EgressProxy } from "../egress/egress-proxy.ts";
import { boundedResolver, lookupsMax, systemResolver } from "../network/route.ts";
import type { Audit } from "./audit.ts";

export interface EgressPorts {
  readonly config: Config;
  readonly clock: Clock;
  readonly socketPath: string;
  readonly audit: Audit;
}

/** The proxy, where some process has no other network. Undefined where nobody would use it. */
export function composeEgress(ports: EgressPorts): EgressProxy | undefined {
  const { config, clock, socketPath, audit } = ports;
  const { sandbox_mode: sandboxed, sandbox, blocked_networks: blocked } = config.daemon.security;
  if (!sandboxed || (sandbox.network !== "proxy" && sandbox.agent_network !== "proxy")) return undefined;
  return new EgressProxy({
    socketPath,
    policy: new EgressPolicy({ allowed: sandbox.proxy_allowed_hosts, blocked, ownAddresses }),
    resolve: boundedResolver(systemResolver, lookupsMax),
    clock,
    limits: defaultEgressLimits,
    onDecision: audit.egress,
  });
}
