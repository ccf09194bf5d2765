import { request, type ClientRequest, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { pipeline } from "node:stream";
import { errorText } from "@hl/core/logger.ts";
import { passedHeaders } from "@hl/core/raw-headers.ts";
import { ConnectionFailed, type Connect } from "../network/outbound.ts";
import { answerError } from "./key-answer.ts";

export interface Forwarding {
  readonly baseUrl: URL;
  readonly connect: Connect;
  /** Takes the place of every `x-api-key` and `authorization` of the agent; name and value. */
  readonly credentials: readonly (readonly [string, string])[];
  /** Nothing moves between us and the server for so long. */
  readonly idleMs: number;
}

/** Each is ours to say, or speaks of one connection only. */
const replaced = ["host", "expect", "x-api-key", "authorization"];

/**
 * Sends one request on with other credentials, and its answer back as it is; both are streamed, and when either side goes the other is let go.
 * Never rejects.
 * @param incoming its target is a path
 */
export async function forward(incoming: IncomingMessage, response: ServerResponse, to: Forwarding): Promise<void> {
  const gone = new AbortController();
  const onClose = (): void => gone.abort(new Error("the agent has gone"));
  response.once("close", onClose);
  try {
    const socket = await to.connect(to.baseUrl, gone.signal);
    if (response.destroyed) socket.destroy();
    else pass(incoming, response, to, socket);
  } catch (error) {
    const status = error instanceof ConnectionFailed && error.kind === "timeout" ? 504 : 502;
    if (!response.destroyed) answerError(response, status, `${to.baseUrl.host} cannot be asked: ${errorText(error)}`);
  } finally {
    response.off("close", onClose);
  }
}

function pass(incoming: IncomingMessage, response: ServerResponse, to: Forwarding, socket: Socket): void {
  const outgoing = open(incoming, to, socket);
  let failed = false;
  const fail = (status: 502 | 504, text: string): void => {
    outgoing.destroy();
    if (failed || response.destroyed) return;
    failed = true;
    // With half an answer there the agent must see that it is half.
    if (response.headersSent) response.destroy();
    else answerError(response, status, `${to.baseUrl.host} ${text}`);
  };
  outgoing.setTimeout(to.idleMs, () => fail(504, `was silent for ${to.idleMs} ms`));
  outgoing.on("error", (error) => fail(502, `cannot be asked: ${error.message}`));
  outgoing.once("response", (answer) => {
    try {
      response.sendDate = false;
      response.writeHead(answer.statusCode ?? 502, passedHeaders(answer.rawHeaders));
      response.flushHeaders();
      pipeline(answer, response, () => {}); // A break on either side destroys both.
    } catch (error) {
      // The server decides what stands in an answer: nothing of it may end the daemon.
      fail(502, `has answered with what cannot be passed on: ${errorText(error)}`);
    }
  });
  outgoing.once("close", () => {
    // Neither an answer nor an error: such as a server that changes the protocol, which nobody has asked it to.
    if (!response.headersSent) fail(502, "has ended the connection without an answer");
  });
  response.once("close", () => outgoing.destroy());
  // Not `pipeline`: a server may answer before it has read the whole body, and its answer counts.
  incoming.pipe(outgoing);
  incoming.once("error", () => outgoing.destroy());
}

/** The connection is for this request alone: one kept for later may be closed under the next, which nobody could send again. */
function open(incoming: IncomingMessage, { baseUrl, credentials }: Forwarding, socket: Socket): ClientRequest {
  return request({
    createConnection: () => socket,
    method: incoming.method,
    path: baseUrl.pathname.replace(/\/+$/, "") + (incoming.url ?? ""),
    headers: [
      ...["host", baseUrl.host],
      ...passedHeaders(incoming.rawHeaders, replaced),
      ...credentials.flat(),
      ...framing(incoming),
    ],
    setHost: false,
  });
}

function framing({ headers, method = "" }: IncomingMessage): string[] {
  if (headers["transfer-encoding"] !== undefined) return ["transfer-encoding", "chunked"];
  const hasBody = headers["content-length"] !== undefined;
  return hasBody || !["POST", "PUT", "PATCH"].includes(method) ? [] : ["content-length", "0"];
}
