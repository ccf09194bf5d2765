import { STATUS_CODES, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Clock } from "@hl/core/clock.ts";

/** What the proxy itself answers: one line of text, and the same where a client shows headers only, as curl does for a tunnel (RFC 9209). */
export interface ProxyAnswer {
  readonly status: number;
  readonly text: string;
  readonly error: "http_request_denied" | "http_request_error" | "destination_unavailable" | "connection_limit_reached";
}

function headersOf({ text, error }: ProxyAnswer): Record<string, string> {
  return {
    "Content-Type": "text/plain; charset=utf-8",
    "Content-Length": String(Buffer.byteLength(`${text}\n`)),
    "Proxy-Status": `hl-daemon; error=${error}; details=${quoted(text)}`,
    "Cache-Control": "no-store",
    Connection: "close",
  };
}

export function answerRequest(response: ServerResponse, answer: ProxyAnswer): void {
  response.writeHead(answer.status, headersOf(answer)).end(`${answer.text}\n`);
}

/** Longest that a connection stays for what its client still sends: closed before that, the client could lose the answer. */
const lingerMs = 2_000;

/** For a connection that has no response of its own: a tunnel that was asked for, or a request that cannot be read. */
export function answerSocket(socket: Duplex, answer: ProxyAnswer, clock: Clock): void {
  const lines = Object.entries(headersOf(answer)).map(([name, value]) => `${name}: ${value}\r\n`);
  const cancel = clock.after(lingerMs, () => socket.destroy());
  socket.on("error", () => {});
  socket.once("close", cancel);
  socket.end(`HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status] ?? ""}\r\n${lines.join("")}\r\n${answer.text}\n`);
  socket.resume();
}

/** A string of a structured field holds printable ASCII only. */
function quoted(text: string): string {
  return `"${text.replace(/[^\x20-\x7e]/g, "?").replace(/["\\]/g, "\\$&")}"`;
}
