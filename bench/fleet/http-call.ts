import { request, type Agent } from "node:http";
import { request as secureRequest } from "node:https";

export interface Reply {
  /** 0 where nobody answered; `text` then says why. */
  readonly status: number;
  readonly retryAfterMs: number | undefined;
  readonly text: string;
}

export const callTimeoutMs = 30_000;

/** One POST of JSON with a bearer token, on a connection that the agent keeps. */
export function post(url: string, token: string, body: string, agent: Agent): Promise<Reply> {
  const { promise, resolve } = Promise.withResolvers<Reply>();
  const failed = (error: Error): void => resolve({ status: 0, retryAfterMs: undefined, text: error.message });
  const headers = {
    authorization: `Bearer ${token}`,
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
  };
  const ask = url.startsWith("https:") ? secureRequest : request;
  const call = ask(url, { method: "POST", agent, timeout: callTimeoutMs, headers }, (response) => {
    let text = "";
    response.setEncoding("utf8");
    response.on("data", (chunk: string) => (text += chunk));
    response.on("error", failed);
    response.on("end", () => {
      const retryAfterMs = secondsIn(response.headers["retry-after"]);
      resolve({ status: response.statusCode ?? 0, retryAfterMs, text });
    });
  });
  call.on("timeout", () => call.destroy(new Error(`no answer within ${callTimeoutMs / 1000} s`)));
  call.on("error", failed);
  call.end(body);
  return promise;
}

/** The value of a `Retry-After` header, in milliseconds. */
export function secondsIn(header: string | undefined): number | undefined {
  const seconds = Number(header);
  return header === undefined || !Number.isFinite(seconds) ? undefined : seconds * 1000;
}

export function sleep(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}
