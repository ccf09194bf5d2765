import { request as httpRequest, type ClientRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { request as httpsRequest } from "node:https";
import { pipeline } from "node:stream";
import { errorText } from "@hl/core/logger.ts";
import { passedHeaders } from "@hl/core/raw-headers.ts";
import { answerError } from "./key-answer.ts";

export interface Forwarding {
  readonly baseUrl: URL;
  /** Takes the place of every `x-api-key` and `authorization` of the agent; name and value. */
  readonly credentials: readonly (readonly [string, string])[];
  /** Nothing moves between us and the server for so long. */
  readonly idleMs: number;
}

/** Each is ours to say, or speaks of one connection only. */
const replaced = ["host", "expect", "x-api-key", "authorization"];

/**
 * Sends one request on with other credentials, and its answer back as it is; both are streamed, and when either side goes the other is let go.
 * @param incoming its target is a path
 */
export function forward(incoming: IncomingMessage, response: ServerResponse, to: Forwarding): void {
  const outgoing = open(incoming, to);
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

function open(incoming: IncomingMessage, { baseUrl, credentials }: Forwarding): ClientRequest {
  const request = baseUrl.protocol === "https:" ? httpsRequest : httpRequest;
  return request({
    protocol: baseUrl.protocol,
    hostname: baseUrl.hostname.replace(/^\[|\]$/g, ""),
    port: baseUrl.port,
    method: incoming.method,
    path: baseUrl.pathname.replace(/\/+$/, "") + (incoming.url ?? ""),
    headers: [
      ...["host", baseUrl.host],
      ...passedHeaders(incoming.rawHeaders, replaced),
      ...credentials.flat(),
      ...framing(incoming),
    ],
    setHost: false,
    agent: false, // A connection kept for later may be closed under the next request, which nobody could send again.
  });
}

function framing({ headers, method = "" }: IncomingMessage): string[] {
  if (headers["transfer-encoding"] !== undefined) return ["transfer-encoding", "chunked"];
  const hasBody = headers["content-length"] !== undefined;
  return hasBody || !["POST", "PUT", "PATCH"].includes(method) ? [] : ["content-length", "0"];
}
