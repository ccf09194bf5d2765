/** The real door to the network as tests want it: everything on loopback is allowed, and what a test says otherwise holds. */
import { checkServerIdentity, createSecureContext } from "node:tls";
import type { Clock } from "@hl/core/clock.ts";
import { systemClock } from "@hl/core/clock.ts";
import { DaemonNetworks, type NetworkLists } from "../daemon-networks.ts";
import { Outbound, type Connect } from "../outbound.ts";
import type { ProxySettings } from "../proxy-settings.ts";
import { systemResolver, type Resolver } from "../route.ts";
import type { TlsOptions } from "../tls-options.ts";

export interface TestDoor extends Partial<NetworkLists> {
  readonly clock?: Clock | undefined;
  readonly resolve?: Resolver | undefined;
  readonly proxy?: ProxySettings | undefined;
  readonly proxyTls?: TlsOptions | undefined;
}

export function testOutbound(door: TestDoor = {}): Outbound {
  return new Outbound({
    networks: new DaemonNetworks({
      allowed: door.allowed ?? ["127.0.0.0/8", "::1", "localhost"],
      blocked: door.blocked ?? [],
      firewallRules: door.firewallRules ?? [],
    }),
    resolve: door.resolve ?? systemResolver,
    clock: door.clock ?? systemClock,
    proxy: door.proxy,
    proxyTls: () => door.proxyTls ?? trusting(),
  });
}

export function testConnect(door: TestDoor & { readonly tls?: TlsOptions; readonly timeoutMs?: number } = {}): Connect {
  const outbound = testOutbound(door);
  const { timeoutMs = 10_000 } = door;
  return (url, signal) => outbound.open(url, { tls: () => door.tls ?? trusting(), timeoutMs, signal });
}

/** Trusts these authorities and no others. */
export function trusting(...ca: string[]): TlsOptions {
  const context = createSecureContext({
    minVersion: "TLSv1.3",
    maxVersion: "TLSv1.3",
    ciphers: "TLS_AES_256_GCM_SHA384",
    ca,
  });
  return { context, rejectUnauthorized: true, checkServerIdentity };
}
