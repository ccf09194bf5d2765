import type { ServerResponse } from "node:http";

const errorTypes = {
  400: "invalid_request_error",
  401: "authentication_error",
  405: "invalid_request_error",
  429: "rate_limit_error",
  502: "api_error",
  504: "api_error",
} as const;

/** An answer of the proxy itself, in the form of the model's API, so that the agent tells its text. */
export function answerError(response: ServerResponse, status: keyof typeof errorTypes, message: string): void {
  const body = { type: "error", error: { type: errorTypes[status], message: `hl-daemon: ${message}` } };
  // What is left of the request is not read: the connection is of no more use.
  response.writeHead(status, { "content-type": "application/json", connection: "close" });
  response.end(JSON.stringify(body));
}
