import type { IncomingMessage, Server } from "node:http";
import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import type { Clock } from "@hl/core/clock.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { WireErrorOptions } from "@hl/protocol/wire-error.ts";
import { WebSocketServer, type WebSocket } from "ws";
import { errorAnswer } from "./http-error.ts";

/** Serves WebSocket upgrades: each route judges the request before a WebSocket exists; a refusal is plain HTTP. */
export interface UpgradeRoute {
  /** Matched against the path; its groups go to `admit`. */
  readonly path: RegExp;
  /** Throws to refuse. What it answers takes the socket over. */
  readonly admit: (
    request: IncomingMessage,
    groups: readonly string[],
  ) => Promise<(socket: WebSocket, closed: Promise<void>) => void>;
}

export interface UpgradeOptions {
  readonly server: Server;
  readonly routes: readonly UpgradeRoute[];
  readonly clock: Clock;
  readonly wireError: WireErrorOptions;
  readonly messageBytesMax: number;
}

export const subprotocol = "hl.v1";

/** A peer that begins an upgrade and then neither proceeds nor leaves does not keep its socket. */
const upgradeWithinMs = 15_000;

export function serveUpgrades(options: UpgradeOptions): WebSocketServer {
  const { server, clock } = options;
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: options.messageBytesMax,
    // Bodies are gzip already where it matters; a compressor for each connection would cost more memory than it saves.
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has(subprotocol) ? subprotocol : false),
  });
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const onError = (): void => void socket.destroy();
    socket.on("error", onError);
    const cancelDeadline = clock.after(upgradeWithinMs, () => socket.destroy());
    admit(request, options)
      .then((open) => {
        socket.off("error", onError);
        sockets.handleUpgrade(request, socket, head, (webSocket) => {
          webSocket.on("error", () => {}); // The transport listens too; before it does, an error must not be uncaught.
          open(webSocket, new Promise((resolve) => webSocket.once("close", () => resolve())));
        });
      })
      .catch((error: unknown) => refuse(socket, error, options))
      .finally(cancelDeadline);
  });
  return sockets;
}

async function admit(
  request: IncomingMessage,
  { routes }: UpgradeOptions,
): Promise<(socket: WebSocket, closed: Promise<void>) => void> {
  const path = (request.url ?? "").split("?", 1)[0] ?? "";
  for (const route of routes) {
    const match = route.path.exec(path);
    if (match === null) continue;
    if (!offeredProtocols(request).includes(subprotocol)) {
      throw new HlError("invalid_request", `offer the WebSocket subprotocol ${subprotocol}`);
    }
    return route.admit(request, match.slice(1).map(decodePart));
  }
  throw new HlError("method_not_found", "there is no WebSocket at this address");
}

export function offeredProtocols(request: IncomingMessage): readonly string[] {
  return (request.headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new HlError("invalid_request", "the path is not valid percent-encoding");
  }
}

function refuse(socket: Duplex, error: unknown, { clock, wireError }: UpgradeOptions): void {
  const { status, headers, body } = errorAnswer(error, clock.wallMs(), wireError);
  const text = JSON.stringify(body);
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`,
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(text)}`,
    "connection: close",
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  socket.end(`${lines.join("\r\n")}\r\n\r\n${text}`, () => socket.destroy());
}
