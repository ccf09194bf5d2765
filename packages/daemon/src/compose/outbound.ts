import { existsSync } from "node:fs";
import { checkServerIdentity } from "node:tls";
import type { Config } from "@hl/config/load.ts";
import { tlsPolicy } from "@hl/config/tls-policy.ts";
import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import { cloudTls, type CloudTls, type TlsFiles } from "../cloud/tls.ts";
import { DaemonNetworks } from "../network/daemon-networks.ts";
import { Outbound, type Connect } from "../network/outbound.ts";
import type { ProxySettings } from "../network/proxy-settings.ts";
import { boundedResolver, lookupsMax, systemResolver } from "../network/route.ts";
import { systemAuthorities, TlsContexts } from "../network/tls-context.ts";
import type { TlsOptions } from "../network/tls-options.ts";
import { UnpinnedKeys } from "../network/unpinned-keys.ts";

export interface OutboundPorts {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly proxy: ProxySettings | undefined;
}

export interface ComposedOutbound {
  readonly outbound: Outbound;
  /** What holds for the cloud: its authorities, the client certificate, pins. Throws where a file is not what it has to be. */
  readonly cloudTls: () => CloudTls;
  /** Where that certificate and its key belong. */
  readonly cloudFiles: TlsFiles;
  /** What holds for every other server: the authorities of the machine beside those of `ca_cert`, and no pin. */
  readonly publicTls: () => TlsOptions;
  /** Connections to the cloud. @param timeoutMs asked for each */
  connectCloud(timeoutMs: () => number): Connect;
}

/** Every connection that the daemon opens on a network comes from here. */
export function composeOutbound({ config, clock, logger, proxy }: OutboundPorts): ComposedOutbound {
  const { security, cloud_api: cloudApi } = config.daemon;
  const { certificate } = config.security.authentication;
  const { cert_file: cert, key_file: key } = cloudApi.auth;
  const cloudFiles = { ca: certificate.ca_cert, cert, key };
  const unpinned = new UnpinnedKeys(logger);
  const [cloudContexts, publicContexts] = [new TlsContexts(), new TlsContexts()];
  const ofCloud = (): CloudTls =>
    cloudTls(tlsPolicy(config, existsSync(cert)), cloudFiles, {
      contexts: cloudContexts,
      onUnpinned: (problem) => unpinned.report(problem),
    });
  const publicTls = (): TlsOptions => {
    const { minVersion, maxVersion, ciphers } = tlsPolicy(config);
    const { ca_cert: path } = certificate;
    const ca = [systemAuthorities(), ...(existsSync(path) ? [{ file: path }] : [])];
    const context = publicContexts.of({ minVersion, maxVersion, ciphers, ca });
    return { context, rejectUnauthorized: true, checkServerIdentity };
  };
  const outbound = new Outbound({
    networks: new DaemonNetworks({
      allowed: security.allowed_networks,
      blocked: security.blocked_networks,
      firewallRules: config.security.network_security.firewall_rules,
    }),
    resolve: boundedResolver(systemResolver, lookupsMax),
    clock,
    proxy,
    proxyTls: publicTls,
  });
  return {
    outbound,
    cloudTls: ofCloud,
    cloudFiles,
    publicTls,
    connectCloud: (timeoutMs) => async (url, signal) =>
      outbound.open(url, { tls: () => ofCloud().options, timeoutMs: timeoutMs(), signal }),
  };
}
