import type { Config } from "@hl/config/load.ts";
import type { Clock } from "@hl/core/clock.ts";
import { EgressPolicy } from "../egress/egress-policy.ts";
import { defaultEgressLimits, EgressProxy } from "../egress/egress-proxy.ts";
import { RefusalReports } from "../egress/refusal-reports.ts";
import { systemResolver } from "../egress/route.ts";
import type { Audit } from "./audit.ts";

export interface EgressPorts {
  readonly config: Config;
  readonly clock: Clock;
  readonly socketPath: string;
  readonly audit: Audit;
}

const reportWindowMs = 60_000;
/** Different destinations that are told in one window. */
const reportsMax = 50;

export interface ComposedEgress extends AsyncDisposable {
  readonly proxy: EgressProxy;
}

/** The proxy, where some process has no other network; refusals are told within bounds. Undefined where nobody would use it. */
export function composeEgress(ports: EgressPorts): ComposedEgress | undefined {
  const { config, clock, socketPath, audit } = ports;
  const { sandbox_mode: sandboxed, sandbox, blocked_networks: blocked } = config.daemon.security;
  if (!sandboxed || (sandbox.network !== "proxy" && sandbox.agent_network !== "proxy")) return undefined;
  const refusals = new RefusalReports({
    clock,
    windowMs: reportWindowMs,
    toldMax: reportsMax,
    keyOf: ({ host, port }) => `${host} ${port}`,
    tell: audit.egressRefused,
    tellRest: audit.egressRefusedMore,
  });
  const proxy = new EgressProxy({
    socketPath,
    policy: new EgressPolicy({ allowed: sandbox.proxy_allowed_hosts, blocked }),
    resolve: systemResolver,
    clock,
    limits: defaultEgressLimits,
    onDecision: (decision) => {
      if (decision.decision === "deny") refusals.report(decision);
      else audit.egressPassed(decision);
    },
  });
  return {
    proxy,
    [Symbol.asyncDispose]: async () => {
      await proxy[Symbol.asyncDispose]();
      refusals[Symbol.dispose]();
    },
  };
}
