import type { NetworkKind } from "../runner/records.ts";

export interface EnvironmentFacts {
  readonly user: string;
  readonly home: string;
  readonly temporary: string;
  /** `process_management.environment`. */
  readonly configured: Readonly<Record<string, string>>;
  /** The caller's. */
  readonly own: Readonly<Record<string, string>> | undefined;
  readonly hasTerminal: boolean;
  readonly network: NetworkKind;
}

export const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** A clean environment, the configured additions, then the caller's; never the daemon's own (X4). */
export function environmentOf(facts: EnvironmentFacts): Record<string, string> {
  const { user, home, temporary, configured, own, hasTerminal, network } = facts;
  return {
    PATH: defaultPath,
    // Private to the sandbox: the user's real home is not readable in it, and git, npm and pip insist on a home.
    HOME: home,
    USER: user,
    LOGNAME: user,
    LANG: "C.UTF-8",
    TMPDIR: temporary,
    ...(hasTerminal ? { TERM: "xterm-256color" } : {}),
    ...(network === "proxy" ? proxyVariables : {}),
    ...configured,
    ...own,
  };
}

/** Where the shim listens inside the network namespace (docs/runner-protocol.md). */
const proxyUrl = "http://127.0.0.1:3128";
const noProxy = "localhost,127.0.0.1,::1";

/** What tools look at. curl takes `http_proxy` in lower case only, others the upper case, npm its own, and Node neither unless told to. */
const proxyVariables: Readonly<Record<string, string>> = {
  HTTP_PROXY: proxyUrl,
  HTTPS_PROXY: proxyUrl,
  ALL_PROXY: proxyUrl,
  NO_PROXY: noProxy,
  http_proxy: proxyUrl,
  https_proxy: proxyUrl,
  all_proxy: proxyUrl,
  no_proxy: noProxy,
  npm_config_proxy: proxyUrl,
  npm_config_https_proxy: proxyUrl,
  NODE_USE_ENV_PROXY: "1",
};
