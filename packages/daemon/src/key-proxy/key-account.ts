import { HlError } from "@hl/protocol/errors.ts";

type Environment = Readonly<Record<string, string>>;

/** The credentials of an agent, and the one place that they may go to. */
export interface KeyAccount {
  /** Base address of the model's API: http or https, without credentials, query or fragment. */
  readonly baseUrl: URL;
  /** Sent as `x-api-key`. */
  readonly apiKey: string | undefined;
  /** Sent as `authorization: Bearer`. */
  readonly authToken: string | undefined;
}

export interface JudgedEnvironment {
  /** All that was configured and asked for, the credentials included. */
  readonly environment: Record<string, string>;
  /** Undefined where there is nothing to keep from the agent, or its caller has brought the credentials. */
  readonly account: KeyAccount | undefined;
}

/** Of the model's API, where the environment names none. */
export const defaultBaseUrl = "https://api.anthropic.com";
const proxyVariable = /^(?:https?|all)_proxy$/i;

/**
 * What of an agent's environment is a key that it shall not have. A caller who brings credentials brings all: the configured ones are left
 * out, and his stay where they are, because the next daemon could learn them from nowhere else. A configured key goes to the configured
 * address only: a caller who names another one would have it sent to him. Throws `claude_unavailable` where the proxy could not do what
 * the variables ask for.
 * @param common variables that the agent gets beside these
 */
export function judgeEnvironment(configured: Environment, own: Environment, common: Environment): JudgedEnvironment {
  const brought = "ANTHROPIC_API_KEY" in own || "ANTHROPIC_AUTH_TOKEN" in own;
  const environment = { ...(brought ? withoutKeys(configured) : configured), ...own };
  const apiKey = environment["ANTHROPIC_API_KEY"] || undefined;
  const authToken = environment["ANTHROPIC_AUTH_TOKEN"] || undefined;
  if (brought || (apiKey === undefined && authToken === undefined)) return { environment, account: undefined };
  const address = "ANTHROPIC_BASE_URL";
  if (own[address] !== undefined && own[address] !== (configured[address] ?? defaultBaseUrl)) {
    refuse(`sends the configured key to the configured address only, and the caller names another ${address}`);
  }
  const proxy = Object.entries({ ...common, ...environment }).find(
    ([name, value]) => proxyVariable.test(name) && value !== "",
  );
  if (proxy !== undefined) refuse(`does not go through another proxy, and the agent's environment has ${proxy[0]}`);
  const baseUrl = baseUrlOf(environment["ANTHROPIC_BASE_URL"] || defaultBaseUrl);
  return { environment, account: { baseUrl, apiKey, authToken } };
}

/** The environment with a token in the place of each key, which is good at that address only. */
export function coverKeys({ environment, account }: JudgedEnvironment, token: string, url: string): Environment {
  if (account === undefined) return environment;
  return {
    ...environment,
    ...(account.apiKey === undefined ? {} : { ANTHROPIC_API_KEY: token }),
    ...(account.authToken === undefined ? {} : { ANTHROPIC_AUTH_TOKEN: token }),
    ANTHROPIC_BASE_URL: url,
  };
}

function withoutKeys(environment: Environment): Environment {
  const { ANTHROPIC_API_KEY: _key, ANTHROPIC_AUTH_TOKEN: _token, ...rest } = environment;
  return rest;
}

function baseUrlOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol)) {
    return refuse("needs an http:// or https:// address in ANTHROPIC_BASE_URL");
  }
  if (`${url.username}${url.password}${url.search}${url.hash}` !== "") {
    return refuse("cannot keep a name, password, query or fragment in ANTHROPIC_BASE_URL from the agent");
  }
  return url;
}

function refuse(why: string): never {
  const text = `the proxy that keeps the API key from the agent ${why}: change that, give the agent a key of its own in claude/start, or set claude_integration.key_proxy to false`;
  throw new HlError("claude_unavailable", text);
}
