/**
 * The requests an agent makes beside its model calls. Their answers never vary, so no script decides on them.
 */
import type { ServerResponse } from "node:http";
import type { ModelRequest } from "./model-request.ts";

/** Whether a script decides on this request. */
export function isModelCall(request: Pick<ModelRequest, "method" | "path">): boolean {
  return request.method === "POST" && request.path === "/v1/messages";
}

/** Answers a request that is not a model call. */
export function answerFixedRoute(request: ModelRequest, response: ServerResponse): void {
  if (request.method === "POST" && request.path === "/v1/messages/count_tokens") {
    // Four characters a token is the API's own rule of thumb; the agent only compares the number with the size of its window.
    sendJson(response, 200, { input_tokens: Math.ceil(JSON.stringify(request.body?.messages ?? []).length / 4) });
  } else if (request.method === "GET" && request.path === "/v1/models") {
    sendJson(response, 200, { data: [], has_more: false, first_id: null, last_id: null });
  } else if (request.method === "HEAD" || (request.method === "GET" && ["/", "/api/hello"].includes(request.path))) {
    sendJson(response, 200, {});
  } else {
    const message = `the stub has no ${request.method} ${request.path}`;
    sendJson(response, 404, { type: "error", error: { type: "not_found_error", message } });
  }
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}
