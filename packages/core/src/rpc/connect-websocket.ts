import type { Socket } from "node:net";
import type { ConnectionOptions } from "node:tls";
import { WebSocket, type ClientOptions } from "ws";

/** Opens the client end of a WebSocket; the caller wraps it in a WebSocketTransport and owns it from then on. */
export interface ConnectWebSocketOptions {
  readonly url: string;
  readonly subprotocol?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Frames above this are refused before they are buffered. */
  readonly messageBytesMax: number;
  /** Name look-up, connect, TLS and upgrade together. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** The oldest TLS version to accept on wss; the caller's configuration decides. */
  readonly tlsVersionMin?: "TLSv1.2" | "TLSv1.3" | undefined;
  /** One that is there already, TLS and all, and is the WebSocket's from now on, also where it fails; then nothing of TLS is looked at here. */
  readonly connection?: Socket | undefined;
  /** The rest of what the caller's configuration says about TLS. */
  readonly tls?: ConnectionOptions | undefined;
}

/** The server answered the upgrade with an ordinary response; its body often says why. */
export class UpgradeRefused extends Error {
  override readonly name = "UpgradeRefused";
  readonly status: number;
  readonly body: string;
  /** The header as it came: seconds or a date. */
  readonly retryAfter: string | undefined;

  /** The server's clock, as it came. */
  readonly date: string | undefined;

  constructor(status: number, body: string, retryAfter: string | undefined, date?: string) {
    super(`the server answered the WebSocket upgrade with status ${status}`);
    this.status = status;
    this.body = body;
    this.retryAfter = retryAfter;
    this.date = date;
  }
}

/** Enough for an error object; a proxy's page is cut. */
const refusalBytesMax = 16_384;

/** Rejects with `UpgradeRefused`, with the system's error (its `code` is kept), or with the signal's reason. */
export function connectWebSocket(options: ConnectWebSocketOptions): Promise<WebSocket> {
  const {
    url,
    subprotocol,
    headers = {},
    messageBytesMax,
    timeoutMs,
    signal,
    tlsVersionMin,
    tls,
    connection,
  } = options;
  const { promise, resolve, reject } = Promise.withResolvers<WebSocket>();
  if (signal?.aborted === true) {
    connection?.destroy();
    reject(signal.reason);
    return promise;
  }
  const socket = new WebSocket(url, subprotocol === undefined ? [] : [subprotocol], {
    headers,
    maxPayload: messageBytesMax,
    ...(tlsVersionMin === undefined ? {} : { minVersion: tlsVersionMin }),
    ...(tls as ClientOptions | undefined),
    ...(connection === undefined ? {} : { createConnection: () => connection }),
    followRedirects: false, // A redirect would carry the token to somewhere nobody named.
    perMessageDeflate: false, // The peers compress nothing small and their largest messages are often compressed already.
  });
  const onAbort = (): void => {
    reject(signal?.reason);
    socket.terminate();
  };
  signal?.addEventListener("abort", onAbort, { once: true });
  // Not ws's own timeout: it does not hold on a connection that was there before, and begins anew with each byte.
  const deadline = AbortSignal.timeout(timeoutMs);
  const onLate = (): void => {
    reject(new Error(`the server did not answer the WebSocket upgrade within ${timeoutMs} ms`));
    socket.terminate();
  };
  deadline.addEventListener("abort", onLate, { once: true });
  const isDecided = (): void => {
    signal?.removeEventListener("abort", onAbort);
    deadline.removeEventListener("abort", onLate);
  };
  socket.on("error", (error) => {
    isDecided();
    reject(error);
  }); // Stays: ws emits an error for a connection that is given up while it opens.
  socket.on("unexpected-response", (request, response) => {
    let body = "";
    response.setEncoding("utf8");
    response.on("data", (text: string) => {
      body += text;
      if (body.length > refusalBytesMax) response.destroy();
    });
    response.on("error", () => {}); // `close` follows and tells.
    response.on("close", () => {
      const { "retry-after": retryAfter, date } = response.headers;
      isDecided();
      reject(new UpgradeRefused(response.statusCode ?? 0, body, retryAfter, date));
      request.destroy();
    });
  });
  socket.once("open", () => {
    isDecided();
    socket.pause(); // Nothing may arrive before the transport listens; opening that lets reading begin.
    resolve(socket);
  });
  return promise;
}
