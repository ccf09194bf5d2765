import type { Config } from "@hl/config/load.ts";
import type { Clock } from "@hl/core/clock.ts";
import { loadLocalToken } from "../api/local-token.ts";
import type { ProxySettings } from "../network/proxy-settings.ts";
import { Secrets } from "../redaction/secrets.ts";

/** What is secret from the start on (X4): the local token, what the configuration puts into the environments of commands and agents, and the proxy's password. */
export function knownSecrets(config: Config, clock: Clock, proxy: ProxySettings | undefined): Secrets {
  const { local_api: local, process_management: processes, claude_integration: claude } = config.daemon;
  const secrets = new Secrets(clock);
  secrets.holdOwn("local_token", { local_token: loadLocalToken(local.token_file) });
  secrets.holdOwn("process_management.environment", processes.environment);
  secrets.holdOwn("claude_integration.environment", claude.environment);
  secrets.holdOwn("proxy", proxy?.secrets ?? {});
  return secrets;
}
