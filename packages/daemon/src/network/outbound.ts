import { isIP, type Socket } from "node:net";
import type { Clock } from "@hl/core/clock.ts";
import { errorText } from "@hl/core/logger.ts";
import type { DaemonNetworks, Use } from "./daemon-networks.ts";
import { destinationText, parseAuthority, type Destination } from "./destination.ts";
import type { Proxy, ProxySettings } from "./proxy-settings.ts";
import { openTunnel, ProxyRefused } from "./proxy-tunnel.ts";
import { openRoute, RouteFailed, RouteRefused, type Resolver } from "./route.ts";
import { secure } from "./secure.ts";
import { tlsFailureText } from "./tls-failure.ts";
import type { TlsOptions } from "./tls-options.ts";

export interface OutboundOptions {
  readonly networks: DaemonNetworks;
  readonly resolve: Resolver;
  readonly clock: Clock;
  /** From the daemon's environment. */
  readonly proxy: ProxySettings | undefined;
  /** For TLS to the proxy itself; the server's own is checked inside the tunnel. */
  readonly proxyTls: () => TlsOptions;
}

export interface OpenOptions {
  /** Asked for each connection that has TLS and for no other, because it reads the machine's authorities. May throw: then nothing is opened. */
  readonly tls: () => TlsOptions;
  /** Name, connection, proxy and TLS together. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** The configuration names this very place elsewhere, so no list has to. */
  readonly implied?: boolean | undefined;
  /** Plain HTTP to another machine, which the configuration asks for by that address. */
  readonly plainAllowed?: boolean | undefined;
}

/** What kept a connection from being there; nothing was sent to the server. The message says what to do. */
export class ConnectionFailed extends Error {
  override readonly name = "ConnectionFailed";
  readonly kind: "refused" | "unreachable" | "proxy" | "tls" | "timeout";

  constructor(kind: ConnectionFailed["kind"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/** How a part of the daemon gets a connection to the server of a URL, ready for HTTP. Rejects with ConnectionFailed or the signal's reason. */
export type Connect = (url: URL, signal: AbortSignal) => Promise<Socket>;

const usesByProtocol: Readonly<Record<string, { readonly use: Use; readonly isTls: boolean; readonly port: number }>> =
  {
    "https:": { use: "https", isTls: true, port: 443 },
    "wss:": { use: "wss", isTls: true, port: 443 },
    "http:": { use: "http", isTls: false, port: 80 },
    "ws:": { use: "ws", isTls: false, port: 80 },
  };

/**
 * The one door of the daemon's own connections to the network: networks, proxy and TLS, in that order, and nothing weaker when one of them
 * fails. What processes open by the allow-list proxy (`egress/`) shares the judging and connecting below it.
 */
export class Outbound {
  readonly #options: OutboundOptions;

  constructor(options: OutboundOptions) {
    this.#options = options;
  }

  async open(url: URL, { tls, timeoutMs, signal, implied, plainAllowed }: OpenOptions): Promise<Socket> {
    const known = usesByProtocol[url.protocol];
    const destination = known === undefined ? undefined : parseAuthority(url.host, known.port);
    if (known === undefined || destination === undefined)
      throw new ConnectionFailed("refused", `${url.origin} is no address that the daemon connects to`);
    const { use, isTls } = known;
    const options = isTls ? tls() : undefined;
    const where = destinationText(destination);
    const late = new AbortController();
    let doing = "the connection";
    const cancel = this.#options.clock.after(timeoutMs, () =>
      late.abort(
        new ConnectionFailed("timeout", `${where} could not be reached: ${doing} was not done within ${timeoutMs} ms`),
      ),
    );
    const stopped = AbortSignal.any([signal, late.signal]);
    // What is not checked does not leave the machine, whatever a name leads to.
    const loopbackOnly = options === undefined ? plainAllowed !== true : !options.rejectUnauthorized;
    try {
      const socket = await this.#way(destination, { use, implied, loopbackOnly }, timeoutMs, stopped);
      if (options === undefined) return socket;
      doing = "the TLS handshake";
      return await secure(socket, destination.host, options, stopped).catch((error: unknown) => {
        stopped.throwIfAborted();
        throw new ConnectionFailed("tls", tlsFailureText(error, where), { cause: error });
      });
    } finally {
      cancel();
    }
  }

  /** A bare connection, through the proxy where there is one. */
  async #way(
    destination: Destination,
    asked: { readonly use: Use; readonly implied?: boolean | undefined; readonly loopbackOnly: boolean },
    connectMs: number,
    signal: AbortSignal,
  ): Promise<Socket> {
    const { networks, proxy: settings } = this.#options;
    const isPlain = asked.use === "http" || asked.use === "ws";
    const proxy = isPlain ? undefined : settings?.proxyFor(destination);
    if (proxy === undefined) return this.#direct(destination, networks.policyFor(asked), connectMs, signal);
    const policy = networks.policyFor({ ...asked, byNameOnly: true });
    const { host } = destination;
    const verdicts = [
      policy.judgeHost(destination),
      ...(isIP(host) === 0 ? [] : [policy.judgeAddress(destination, host)]),
    ];
    for (const verdict of verdicts) if (!verdict.allowed) throw new ConnectionFailed("refused", verdict.reason);
    return this.#throughProxy(proxy, destination, connectMs, signal);
  }

  async #throughProxy(proxy: Proxy, to: Destination, connectMs: number, signal: AbortSignal): Promise<Socket> {
    const { networks, proxyTls } = this.#options;
    const where = destinationText(proxy);
    try {
      // Who names a proxy means to reach it; what is blocked stays blocked.
      const policy = networks.policyFor({ use: "proxy", implied: true });
      let socket = await this.#direct(proxy, policy, connectMs, signal);
      if (proxy.isTls)
        socket = await secure(socket, proxy.host, proxyTls(), signal).catch((error: unknown) => {
          throw new Error(tlsFailureText(error, where), { cause: error });
        });
      await openTunnel(socket, proxy, to, signal);
      return socket;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof ConnectionFailed && error.kind === "refused") throw error;
      const text = error instanceof ProxyRefused ? error.message : `the proxy of HTTPS_PROXY: ${errorText(error)}`;
      throw new ConnectionFailed("proxy", text, { cause: error });
    }
  }

  async #direct(
    destination: Destination,
    policy: ReturnType<DaemonNetworks["policyFor"]>,
    connectMs: number,
    signal: AbortSignal,
  ): Promise<Socket> {
    const { resolve, clock } = this.#options;
    try {
      const { socket } = await openRoute({ policy, resolve, clock, connectMs, halfOpen: false }, destination, signal);
      return socket;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof RouteRefused) throw new ConnectionFailed("refused", error.message, { cause: error });
      if (error instanceof RouteFailed) throw new ConnectionFailed("unreachable", error.message, { cause: error });
      throw error;
    }
  }
}
