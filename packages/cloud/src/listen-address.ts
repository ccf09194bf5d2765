import type { Server } from "node:http";
import type { TlsOptions } from "node:tls";
import { CloudConfigError } from "./config-error.ts";
/** HOST:PORT as the command line has it; an IPv6 host stands in brackets. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export function parseListenAddress(text: string): ListenAddress | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port > 65_535 ? undefined : { host, port };
}

/** Literal addresses and `localhost` only: what another name resolves to may change after it was judged. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

export function urlOf(scheme: "http" | "https", host: string, port: number): string {
  return `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Throws where tokens would go over a network in clear. */
export function judgeAddress(listen: string, tls: TlsOptions | undefined): { host: string; port: number } {
  const address = parseListenAddress(listen);
  if (address === undefined) throw new CloudConfigError(`--listen ${JSON.stringify(listen)} is not HOST:PORT`);
  if (tls !== undefined || isLoopback(address.host)) return address;
  throw new CloudConfigError(
    `--listen ${listen} is not a loopback address, and plain http would send tokens in clear: give --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy that ends TLS`,
  );
}

/** Where a server listens; 0 where it does not. */
export function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}
