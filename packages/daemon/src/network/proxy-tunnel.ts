import { request, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { abortable } from "./abortable.ts";
import { destinationText, type Destination } from "./destination.ts";
import { basicAuthorization, type Proxy } from "./proxy-settings.ts";

/** The proxy has answered, and not with a tunnel. */
export class ProxyRefused extends Error {
  override readonly name = "ProxyRefused";
  /** Of its answer; undefined where it gave none that can be understood. */
  readonly status: number | undefined;

  constructor(message: string, status?: number) {
    super(message);
    this.status = status;
  }
}

/** More is no answer to CONNECT. */
const headerBytesMax = 16_384;

/**
 * Asks a proxy for a tunnel over a connection to it, which is the tunnel's from then on. What the proxy answers is untrusted: only its
 * status counts. Rejects with ProxyRefused or the signal's reason.
 */
export async function openTunnel(socket: Duplex, proxy: Proxy, to: Destination, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<{ readonly status: number; readonly early: number }>();
  const where = `${destinationText(proxy)} of HTTPS_PROXY`;
  const asked = request({
    method: "CONNECT",
    path: destinationText(to),
    createConnection: () => socket,
    maxHeaderSize: headerBytesMax,
    setHost: false,
    headers: {
      host: destinationText(to),
      ...(proxy.credentials === undefined ? {} : { "proxy-authorization": basicAuthorization(proxy.credentials) }),
    },
  });
  asked.once("connect", ({ statusCode = 0 }: IncomingMessage, _socket: Duplex, head: Buffer) =>
    resolve({ status: statusCode, early: head.length }),
  );
  asked.on("error", ({ message }) =>
    reject(new ProxyRefused(`the proxy ${where} gave no answer that can be understood: ${message}`)),
  );
  asked.end();
  try {
    const { status, early } = await abortable(promise, signal);
    if (status < 200 || status > 299) throw new ProxyRefused(refusalText(status, where, to), status);
    // A TLS server says nothing before it is spoken to: this would be the proxy's word in its place.
    if (early > 0) throw new ProxyRefused(`the proxy ${where} has spoken into the tunnel before it began`, status);
  } catch (error) {
    asked.destroy();
    socket.destroy();
    throw error;
  }
}

function refusalText(status: number, where: string, to: Destination): string {
  const destination = destinationText(to);
  const said = `the proxy ${where} refused a tunnel to ${destination} (${status})`;
  if (status === 407)
    return `${said}: it wants a user name and a password, or others; put them into HTTPS_PROXY as http://USER:PASSWORD@HOST:PORT, with what is special in them written as %XX`;
  if (status === 403 || status === 405)
    return `${said}: its rules do not allow it; have ${destination} allowed there, or name it in NO_PROXY where the way is free without it`;
  if (status === 502 || status === 503 || status === 504)
    return `${said}: it cannot reach it; look at the proxy's log and its name server`;
  return `${said}; look at the proxy's log`;
}
