import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import { connect, type TLSSocket } from "node:tls";
import { abortable } from "./abortable.ts";
import type { TlsOptions } from "./tls-options.ts";

/**
 * TLS over a connection, with the name of the server that it has to be. The one place of the daemon that speaks TLS as a client. Every
 * connection is a full handshake: a session that is resumed is not asked for its certificate, so names and pins would not be looked at.
 * Rejects with OpenSSL's or Node's error, or with the signal's reason.
 */
export async function secure(socket: Duplex, host: string, tls: TlsOptions, signal: AbortSignal): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  const secured = connect({
    secureContext: tls.context,
    rejectUnauthorized: tls.rejectUnauthorized,
    checkServerIdentity: tls.checkServerIdentity,
    socket,
    host,
    // An address is no name, and RFC 6066 forbids to send it as one.
    servername: isIP(host) === 0 ? host : "",
    ALPNProtocols: ["http/1.1"],
  });
  // It stays: an alert may come after the handshake, and the end behind it would be told in its place.
  secured.on("error", (error) => {
    reject(error);
    secured.destroy();
  });
  secured.once("close", () => reject(new Error("the server ended the connection during the TLS handshake")));
  secured.once("secureConnect", () => resolve(undefined));
  try {
    await abortable(promise, signal);
    return secured;
  } catch (error) {
    secured.destroy();
    socket.destroy();
    throw error;
  }
}
