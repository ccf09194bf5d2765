import { connect } from "node:net";
import { get as getPlain } from "node:http";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { ClientTls } from "../connect/tls-files.ts";

/** Asks one daemon once, with no more code than that takes. Answers a `system/health` result, not yet judged. */
export const answerBytesMax = 1024 * 1024;

/** `GET /health`; 503 carries a body like 200 does. */
export async function probeHttp(base: string, tls: ClientTls, signal: AbortSignal): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const url = new URL("health", base.endsWith("/") ? base : `${base}/`);
  const get = url.protocol === "https:" ? (await import("node:https")).get : getPlain; // Loaded where it is needed.
  const options = { ...tls, signal, agent: false, headers: { accept: "application/json" } };
  const request = get(url, options, (response) => {
    const { statusCode = 0 } = response;
    let body = "";
    response.setEncoding("utf8");
    response.on("data", (text: string) => {
      body += text;
      if (body.length > answerBytesMax) request.destroy(new Error("the answer is too large"));
    });
    response.on("error", reject);
    response.on("end", () => {
      if (statusCode !== 200 && statusCode !== 503)
        reject(new Error(`GET ${url.href} answered with status ${statusCode}`));
      else settleJson(body, resolve, reject);
    });
  });
  request.on("error", reject);
  return promise;
}

/** The same through the unix socket: login with the local token, then system/health. */
export function probeSocket(path: string, signal: AbortSignal): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const socket = connect({ path, signal });
  let text = "";
  const send = (id: number, method: string, params: object): void => {
    socket.write(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`);
  };
  socket.setEncoding("utf8");
  socket.on("error", reject);
  socket.on("close", () => reject(new Error("the daemon closed the connection")));
  socket.on("connect", () => {
    try {
      const token = readFileSync(join(dirname(dirname(path)), "auth/local_token"), "utf8").trim();
      send(1, "auth/login", { token });
      send(2, "system/health", {});
    } catch (error) {
      socket.destroy(error as Error);
    }
  });
  socket.on("data", (more: string) => {
    text += more;
    if (text.length > answerBytesMax) socket.destroy(new Error("the answer is too large"));
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n")) {
      const line = text.slice(0, end);
      text = text.slice(end + 1);
      settleJson(line, take, reject);
    }
  });
  const take = (message: unknown): void => {
    const { id, result, error } = message as { id?: unknown; result?: unknown; error?: { message?: unknown } };
    if (error !== undefined) reject(new Error(String(error.message)));
    else if (id === 2) resolve(result);
  };
  return promise.finally(() => socket.destroy());
}

function settleJson(text: string, resolve: (value: unknown) => void, reject: (error: Error) => void): void {
  try {
    resolve(JSON.parse(text));
  } catch {
    reject(new Error("the answer is not JSON: is this hl-daemon?"));
  }
}
