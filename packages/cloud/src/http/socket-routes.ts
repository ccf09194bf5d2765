import type { IncomingMessage } from "node:http";
import { HlError } from "@hl/protocol/errors.ts";
import { openCommandSocket, type CommandChannelOptions } from "../fleet/command-channel.ts";
import { vmPaths } from "../fleet/vm-methods.ts";
import type { ConnectionLimit } from "../operators/connection-limit.ts";
import type { Operators } from "../operators/operators.ts";
import type { Credentials } from "../tokens/credentials.ts";
import { bearerOf } from "../tokens/secrets.ts";
import { openOperatorSocket, type OperatorSocketOptions } from "./operator-socket.ts";
import { offeredProtocols, type UpgradeRoute } from "./upgrade.ts";
import { authenticateVm } from "./vm-routes.ts";

export interface SocketRoutesOptions {
  readonly credentials: Credentials;
  readonly clientCertificate: boolean;
  readonly operators: Operators;
  readonly limit: ConnectionLimit;
  /** Lets a new command channel of an instance in, or throws. */
  readonly admitConnection: (instanceId: string) => void;
  readonly channel: CommandChannelOptions;
  readonly operatorSocket: OperatorSocketOptions;
}

/** The two WebSockets: the command channel of a VM, and the JSON-RPC peer of an operator. */
export function socketRoutes(options: SocketRoutesOptions): readonly UpgradeRoute[] {
  const { operators, limit, admitConnection, channel, operatorSocket } = options;
  return [
    {
      path: new RegExp(`^${vmPaths.commands}$`),
      async admit(request) {
        // Strangers take no place: a flood of theirs must not keep the fleet out (ADR 22).
        const instanceId = await authenticateVm({ headers: request.headers, raw: request }, options);
        admitConnection(instanceId);
        return (socket) => void openCommandSocket(socket, instanceId, channel);
      },
    },
    {
      path: /^\/v1\/instances\/([^/]+)\/rpc$/,
      async admit(request, [instanceId = ""]) {
        const operator = await operators.authenticate(operatorToken(request));
        if ((await channel.instances.get(instanceId)) === undefined) {
          throw new HlError("instance_unknown", `there is no instance ${JSON.stringify(instanceId)}`);
        }
        const place = limit.take(operator);
        return (socket, closed) => {
          void closed.then(() => place[Symbol.dispose]());
          openOperatorSocket(socket, operator, instanceId, operatorSocket);
        };
      },
    },
  ];
}

const bearerProtocol = "bearer.";

/**
 * A browser's WebSocket cannot send an Authorization header, so a token may come as a second subprotocol. Never in the
 * address: addresses end up in histories, proxies and logs (X4). The answer names only hl.v1.
 */
function operatorToken(request: IncomingMessage): string | undefined {
  const offered = offeredProtocols(request).find((name) => name.startsWith(bearerProtocol));
  return offered?.slice(bearerProtocol.length) ?? bearerOf(request.headers.authorization);
}
