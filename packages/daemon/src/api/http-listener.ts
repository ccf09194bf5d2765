import { createServer, type Server } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import type { Socket } from "node:net";
import type { TransportLimits } from "@hl/core/rpc/transport.ts";
import type { ConnectionNumbers } from "./connection-numbers.ts";
import type { ConnectionSlots } from "./connection-slots.ts";
import type { ListenerTls } from "./listener-tls.ts";
import type { InboundRules } from "../network/inbound-rules.ts";
import type { ReportRefusal } from "./refusal-reports.ts";

export interface HttpListenerOptions {
  readonly limits: TransportLimits;
  readonly numbers: Readonly<ConnectionNumbers>;
  readonly slots: ConnectionSlots;
  /** Without it the port speaks plain HTTP. */
  readonly tls?: ListenerTls | undefined;
  /** Who may connect at all; everybody without it. */
  readonly inbound?: InboundRules | undefined;
  readonly report: ReportRefusal;
}

/** Node's server with our time limits. @param accept called with each connection before anything of it is read as HTTP */
export function httpListener(options: HttpListenerOptions, accept: (socket: Socket) => void): Server | TlsServer {
  const { limits, numbers, slots, tls } = options;
  const acceptAdmitted = (socket: Socket): void => {
    if (admit(socket, options)) accept(socket);
  };
  const times = {
    requestTimeout: limits.partialMessageMs,
    headersTimeout: Math.min(10_000, limits.partialMessageMs),
    connectionsCheckingInterval: 5_000, // Of the two limits before; the default of 30 s would double them.
    keepAliveTimeout: numbers.idleTimeoutMs,
  };
  if (tls === undefined) return createServer(times).prependListener("connection", acceptAdmitted);
  const server = createTlsServer({ ...times, ...tls.options });
  // A place is taken when the handshake is done, by the socket that requests carry then; so many more may be on their way to one.
  server.maxConnections = 2 * slots.connectionsMax;
  // Whom a rule refuses gets no handshake either.
  server.prependListener("connection", (socket) => admit(socket, options));
  return server.prependListener("secureConnection", accept);
}

/** What is judged of a connection; Node says of it only that it is some stream. */
interface Incoming {
  readonly remoteAddress?: string | undefined;
  readonly localPort?: number | undefined;
  destroy(): unknown;
}

/** False, and the connection destroyed, where a rule refuses it. */
function admit(socket: Incoming, { inbound, report }: HttpListenerOptions): boolean {
  const { remoteAddress: from, localPort: port = 0 } = socket;
  const refusal = inbound?.refusalOf(from, port);
  if (refusal === undefined) return true;
  report("by_rule", from ?? "", refusal);
  socket.destroy();
  return false;
}
