import { request as startRequest, type ClientRequest, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { pipeline } from "node:stream";
import { errorText } from "@hl/core/logger.ts";
import { hostHeader, type PlainTarget } from "../network/destination.ts";
import { passedHeaders } from "@hl/core/raw-headers.ts";
import { answerRequest } from "./refusal.ts";

/** Passes one request on over a connection of its own, and its answer back; bodies are streamed in both directions. */
export function passRequest(
  incoming: IncomingMessage,
  response: ServerResponse,
  target: PlainTarget,
  socket: Socket,
  idleMs: number,
): void {
  const outgoing = startRequest({
    createConnection: () => socket,
    method: incoming.method,
    path: target.path,
    headers: requestHeaders(incoming, target),
    setHost: false,
  });
  let failed = false;
  const fail = (status: 502 | 504, text: string): void => {
    outgoing.destroy();
    if (failed || response.destroyed) return;
    failed = true;
    // With half an answer there the client must see that it is half.
    if (response.headersSent) response.destroy();
    else answerRequest(response, { status, text, error: "destination_unavailable" });
  };
  socket.setTimeout(idleMs, () => fail(504, `${target.host} was silent for ${idleMs} ms`));
  outgoing.on("error", (error) => fail(502, `${target.host} broke off: ${error.message}`));
  outgoing.once("response", (answer) => {
    const { statusCode = 0 } = answer;
    if (statusCode < 200 || statusCode > 599) {
      fail(502, `${target.host} answered with the status ${statusCode}`);
      return;
    }
    try {
      passResponse(answer, statusCode, response);
    } catch (error) {
      // The server decides what stands in an answer: nothing of it may end the daemon.
      fail(502, `${target.host} answered with what cannot be passed on: ${errorText(error)}`);
    }
  });
  outgoing.once("close", () => {
    // Neither an answer nor an error: such as a server that changes the protocol, which nobody has asked it to.
    if (!response.headersSent) fail(502, `${target.host} ended the connection without an answer`);
  });
  response.once("close", () => outgoing.destroy()); // The client has gone, or everything is done.
  if (incoming.headers.expect !== undefined) response.writeContinue();
  passBody(incoming, outgoing);
}

function passResponse(answer: IncomingMessage, status: number, response: ServerResponse): void {
  response.sendDate = false;
  const { statusMessage: reason = "" } = answer;
  response.writeHead(status, isPrintable(reason) ? reason : undefined, passedHeaders(answer.rawHeaders));
  pipeline(answer, response, () => {}); // A break on either side destroys both.
}

const isPrintable = (text: string): boolean => /^[\x20-\x7e]*$/.test(text);

/** Not `pipeline`: a server may answer and close before it has read the whole body, and its answer counts. */
function passBody(incoming: IncomingMessage, outgoing: ClientRequest): void {
  incoming.pipe(outgoing);
  incoming.once("error", () => outgoing.destroy());
}

function requestHeaders(incoming: IncomingMessage, target: PlainTarget): string[] {
  const { headers } = incoming;
  const hasLength = headers["content-length"] !== undefined;
  const isChunked = headers["transfer-encoding"] !== undefined;
  const framing = isChunked ? ["Transfer-Encoding", "chunked"] : hasLength ? [] : bodiless(incoming.method);
  // The host is the one that was judged, whatever the client has put into its own header.
  return ["Host", hostHeader(target), ...passedHeaders(incoming.rawHeaders, ["host", "expect"]), ...framing];
}

/** Without either header a request has no body; said outright where a server would expect one. */
function bodiless(method: string | undefined): string[] {
  return method === "POST" || method === "PUT" || method === "PATCH" ? ["Content-Length", "0"] : [];
}
