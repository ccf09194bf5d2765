import type { Config } from "@hl/config/load.ts";
import type { Clock } from "@hl/core/clock.ts";
import { loadLocalToken } from "../api/local-token.ts";
import type { ProxySettings } from "../network/proxy-settings.ts";
import { Secrets } from "../redaction/secrets.ts";
import type { LiveConfig } from "./live-config.ts";

/** What is secret from the start on (X4): the local token, what the configuration puts into the environments of commands and agents, and the proxy's password. */
export function knownSecrets(live: LiveConfig, clock: Clock, proxy: ProxySettings | undefined): Secrets {
  const secrets = new Secrets(clock);
  secrets.holdOwn("local_token", { local_token: loadLocalToken(live.inForce.daemon.local_api.token_file) });
  secrets.holdOwn("proxy", proxy?.secrets ?? {});
  const hold = (owner: string, of: (config: Config) => Readonly<Record<string, string>>): void =>
    live.follow(of, (environment) => secrets.holdOwn(owner, environment));
  hold("process_management.environment", ({ daemon }) => daemon.process_management.environment);
  hold("claude_integration.environment", ({ daemon }) => daemon.claude_integration.environment);
  return secrets;
}
