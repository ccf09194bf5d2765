import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { ClientFailure } from "../failure.ts";
import type { Ports } from "../ports.ts";

/** Where to connect and with which token. Pure but for looking whether files exist. */
export type Target =
  | Readonly<{ kind: "socket"; path: string; tokenFile: string }>
  | Readonly<{
      kind: "websocket";
      url: string;
      tokenFile: string;
      through: "daemon" | "cloud";
      /** The token's file was named, and not only assumed. */
      tokenNamed?: true;
    }>;

export interface TargetOptions {
  readonly socket?: string | undefined;
  readonly url?: string | undefined;
  readonly cloud?: string | undefined;
  readonly instance?: string | undefined;
  readonly tokenFile?: string | undefined;
}

export type TargetPorts = Pick<Ports, "env" | "cwd" | "programFile">;

export const installedHome = "/opt/freestyle/hl-daemon";
const socketBelowHome = "data/state/daemon.sock";
const tokenBelowHome = "data/auth/local_token";

/**
 * What was said on the command line comes before what the environment says; inside each, the cloud before an address before
 * the socket. At last the daemon of this checkout, and the installed one.
 */
export function chooseTarget(options: TargetOptions, ports: TargetPorts): Target {
  const { env, cwd } = ports;
  const places = [options.cloud, options.url, options.socket].filter((value) => value !== undefined);
  if (places.length > 1) throw new ClientFailure("usage", "--cloud, --url and --socket exclude each other: give one");
  const local = options.url !== undefined || options.socket !== undefined;
  if (local && options.instance !== undefined) {
    throw new ClientFailure(
      "usage",
      "--instance names a VM behind a cloud: give --cloud with it, not --url or --socket",
    );
  }
  const cloud = options.cloud ?? set(env.HL_CLOUD);
  if (!local && (cloud !== undefined || options.instance !== undefined)) return cloudTarget(cloud, options, ports);
  if (options.url !== undefined) {
    const named = options.tokenFile ?? set(env.HL_TOKEN_FILE);
    const tokenFile = resolve(cwd, named ?? tokenBeside(defaultSocket(ports)));
    const url = webSocketUrl(options.url, "rpc", "--url");
    return {
      kind: "websocket",
      url,
      tokenFile,
      through: "daemon",
      ...(named === undefined ? {} : { tokenNamed: true }),
    };
  }
  const path = resolve(cwd, options.socket ?? defaultSocket(ports));
  const tokenFile = options.tokenFile ?? set(env.HL_TOKEN_FILE) ?? tokenBeside(path);
  return { kind: "socket", path, tokenFile: resolve(cwd, tokenFile) };
}

/** The folder with the repository that this program was started from, if it was. */
export function checkoutRoot(programFile: string): string | undefined {
  const folder = dirname(programFile);
  if (existsSync(join(folder, "packages/client/package.json"))) return folder;
  return folder === programFile ? undefined : checkoutRoot(folder);
}

function cloudTarget(
  cloud: string | undefined,
  options: TargetOptions,
  { env, cwd, programFile }: TargetPorts,
): Target {
  const instance = options.instance ?? set(env.HL_INSTANCE);
  if (cloud === undefined) throw new ClientFailure("usage", "--instance needs --cloud URL (or HL_CLOUD)");
  if (instance === undefined) {
    const help = `\`curl -H "Authorization: Bearer …" ${cloud.replace(/\/+$/, "")}/v1/instances\` lists them.`;
    throw new ClientFailure("usage", "--cloud needs --instance ID (or HL_INSTANCE)", help);
  }
  const url = webSocketUrl(cloud, `v1/instances/${encodeURIComponent(instance)}/rpc`, "--cloud");
  const root = checkoutRoot(programFile);
  const fromCheckout = root === undefined ? undefined : join(root, ".hl/operator-token");
  const tokenFile = options.tokenFile ?? set(env.HL_OPERATOR_TOKEN_FILE) ?? fromCheckout;
  if (tokenFile === undefined) {
    const help = "Give --token-file FILE or HL_OPERATOR_TOKEN_FILE; `hl-cloud operator add` makes a token.";
    throw new ClientFailure("no_token", "the cloud asks for an operator token and none was given", help);
  }
  return { kind: "websocket", url, tokenFile: resolve(cwd, tokenFile), through: "cloud" };
}

function defaultSocket({ env, programFile }: TargetPorts): string {
  const socket = set(env.HL_DAEMON_SOCKET);
  if (socket !== undefined) return socket;
  const home = set(env.HL_DAEMON_HOME);
  if (home !== undefined) return join(home, socketBelowHome);
  const root = checkoutRoot(programFile);
  const fromCheckout = root === undefined ? undefined : join(root, ".hl/vm", socketBelowHome);
  if (fromCheckout !== undefined && existsSync(fromCheckout)) return fromCheckout;
  return join(installedHome, socketBelowHome);
}

/** DIR/data/state/daemon.sock → DIR/data/auth/local_token. */
function tokenBeside(socket: string): string {
  return join(dirname(dirname(socket)), tokenBelowHome.slice("data/".length));
}

/** Plain http would carry the token over a network for everybody to read: only to this machine (DESIGN.md 4). */
function webSocketUrl(base: string, path: string, option: string): string {
  let url: URL;
  try {
    url = new URL(path, base.endsWith("/") ? base : `${base}/`);
  } catch {
    throw new ClientFailure(
      "usage",
      `${option} ${JSON.stringify(base)} is not an address`,
      "An example: https://cloud.example.com",
    );
  }
  const secure = url.protocol === "https:" || url.protocol === "wss:";
  if (!secure && url.protocol !== "http:" && url.protocol !== "ws:") {
    throw new ClientFailure("usage", `${option} must begin with https:// or http://, not ${url.protocol}//`);
  }
  if (!secure && !isLoopback(url.hostname)) {
    const help = "Use https://; plain http is for this machine only.";
    throw new ClientFailure("usage", `${option}: a token is not sent over plain http to ${url.hostname}`, help);
  }
  url.protocol = secure ? "wss:" : "ws:";
  return url.href;
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host.endsWith(".localhost") || /^127(\.\d+){3}$/.test(host) || host === "[::1]";
}

/** An empty variable is one that is not set. */
function set(value: string | undefined): string | undefined {
  return value === "" ? undefined : value;
}
