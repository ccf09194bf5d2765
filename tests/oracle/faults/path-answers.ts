import { systemClock } from "@hl/core/clock.ts";
import type { Fault } from "./fault.ts";

function answer(status: string, body: string, headers = ""): string {
  const type = body.startsWith("{") ? "application/json" : "text/html";
  return `HTTP/1.1 ${status}\r\ncontent-type: ${type}\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`;
}

const page = "<html><body>Please log in to the network</body></html>";
const unauthenticated = JSON.stringify({
  jsonrpc: "2.0",
  id: null,
  error: { code: 1001, message: "no", data: { error_type: "unauthenticated" } },
});

/** What something between the two says in the cloud's place: before the cloud has the request, or after it has done it. */
function answers(name: string, bytes: string): Fault {
  return {
    name,
    lane: "path",
    weight: 1,
    msMin: 500,
    msMax: 2_500,
    run: async ({ proxy }, forMs, random) => {
      const before = proxy.hits;
      proxy.set({ kind: "answering", answer: bytes, when: random.pick(["before", "after"]) });
      await systemClock.sleep(forMs);
      proxy.set({ kind: "open" });
      return proxy.hits - before;
    },
  };
}

export const pathAnswers: readonly Fault[] = [
  answers("200 with a page", answer("200 OK", page)),
  answers("413", answer("413 Payload Too Large", page)),
  answers("429", answer("429 Too Many Requests", page)),
  answers("429 with Retry-After", answer("429 Too Many Requests", page, "retry-after: 1\r\n")),
  answers("503 with Retry-After", answer("503 Service Unavailable", page, "retry-after: 1\r\n")),
  answers("401 with a page", answer("401 Unauthorized", page)),
  answers("401 in the cloud's own words", answer("401 Unauthorized", unauthenticated)),
];
