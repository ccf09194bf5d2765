import { randomUUID } from "node:crypto";
import { systemClock } from "@hl/core/clock.ts";
import type { Call, RequestHandler } from "@hl/core/rpc/answer.ts";
import { connectWebSocket } from "@hl/core/rpc/connect-websocket.ts";
import { RpcError, type WireError } from "@hl/core/rpc/error.ts";
import type { RequestMessage } from "@hl/core/rpc/message.ts";
import { Peer } from "@hl/core/rpc/peer.ts";
import { defaultTransportLimits } from "@hl/core/rpc/transport.ts";
import { WebSocketTransport } from "@hl/core/rpc/websocket.ts";

/** A scriptable daemon for tests of the cloud: real HTTP and WebSocket, no VM behind it. */
export type Script = (message: RequestMessage, call: Call) => Promise<unknown>;

export interface Tokens {
  readonly access_token: string;
  readonly refresh_token: string;
  readonly registration_id: string;
}

export interface RpcReply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: { id?: unknown; result?: Record<string, unknown>; error?: WireError };
}

/** The error that must be there, with its facts. */
export function errorOf({ body }: Pick<RpcReply, "body">): { code: number; data: Readonly<Record<string, unknown>> } {
  if (body.error === undefined) throw new Error(`there is no error in ${JSON.stringify(body)}`);
  return { code: body.error.code, data: body.error.data ?? {} };
}

export const registerParams = (instanceId: string): Record<string, unknown> => ({
  instance_id: instanceId,
  workspace_id: "workspace-1",
  capabilities: ["command", "claude"],
  system_info: { os: "linux", arch: "x64", memory: 2048, cpu_cores: 2, disk_space: 10_000 },
  daemon_version: "0.1.0",
  epoch: "epoch-1",
});

/** One JSON-RPC request over HTTP. */
export async function postRpc(
  url: string,
  token: string | undefined,
  method: string,
  params: unknown,
  init: { id?: string | number } = {},
): Promise<RpcReply> {
  return postBody(url, token, JSON.stringify({ jsonrpc: "2.0", id: init.id ?? 1, method, params }));
}

export async function postBody(
  url: string,
  token: string | undefined,
  body: string | Buffer,
  headers: Record<string, string> = {},
): Promise<RpcReply> {
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...headers,
    },
    body: typeof body === "string" ? body : new Uint8Array(body),
  });
  const text = await response.text();
  const answer = text === "" ? {} : (JSON.parse(text) as RpcReply["body"]);
  return { status: response.status, headers: response.headers, body: answer };
}

export async function register(url: string, enrollment: string, instanceId: string): Promise<Tokens> {
  const { body } = await postRpc(`${url}/v1/vm/register`, enrollment, "vm/register", registerParams(instanceId));
  if (body.error !== undefined) throw new RpcError(body.error.code, body.error.message);
  return body.result as unknown as Tokens;
}

export interface ConnectedVm extends AsyncDisposable {
  readonly peer: Peer;
  /** The answer to the hello. */
  readonly welcome: Readonly<Record<string, unknown>>;
  /** Ids of the requests that came, in order. */
  readonly received: readonly RequestMessage[];
  /** Resolves with the n-th request (from 1). */
  nth(count: number): Promise<RequestMessage>;
}

/** Opens the command channel and says hello. */
export async function connectVm(
  url: string,
  accessToken: string,
  script: Script,
  hello: Readonly<Record<string, unknown>> = {},
): Promise<ConnectedVm> {
  const received: RequestMessage[] = [];
  const waiting: { count: number; resolve: (message: RequestMessage) => void }[] = [];
  const handler: RequestHandler = {
    request: (message, call) => {
      received.push(message);
      for (const waiter of waiting) if (received.length === waiter.count) waiter.resolve(message);
      return script(message, call);
    },
    describe: (error) =>
      error instanceof RpcError
        ? { code: error.code, message: error.message, data: error.data }
        : { code: -32603, message: String(error) },
  };
  const peer = await openPeer(`${url}/v1/vm/commands`, accessToken, handler);
  const welcome = (await peer.request("vm/hello", {
    registration_id: "any",
    daemon_version: "0.1.0",
    protocol_version: "1.0",
    boot_id: randomUUID(),
    epoch: "epoch-1",
    running: [],
    unacked_results: [],
    ...hello,
  })) as Record<string, unknown>;
  return {
    peer,
    welcome,
    received,
    nth: (count) => {
      const known = received[count - 1];
      if (known !== undefined) return Promise.resolve(known);
      const { promise, resolve } = Promise.withResolvers<RequestMessage>();
      waiting.push({ count, resolve });
      return promise;
    },
    async [Symbol.asyncDispose]() {
      peer.close("the test is over");
      await peer.closed;
    },
  };
}

/** A JSON-RPC peer to one of the cloud's WebSockets. */
export async function openPeer(url: string, token: string, handler?: RequestHandler): Promise<Peer> {
  const socket = await connectWebSocket({
    url: url.replace(/^http/, "ws"),
    subprotocol: "hl.v1",
    headers: { authorization: `Bearer ${token}` },
    messageBytesMax: 16 * 1024 * 1024,
    timeoutMs: 5_000,
  });
  const transport = new WebSocketTransport({
    socket,
    clock: systemClock,
    limits: defaultTransportLimits,
    pingIntervalMs: 0,
    deadAfterMs: 0,
  });
  return new Peer({ transport, clock: systemClock, handler }).open();
}
