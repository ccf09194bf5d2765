import type { IncomingMessage } from "node:http";

export class BodyTooLarge extends Error {
  override readonly name = "BodyTooLarge";
}

/** Reads a request body as text; a larger one is refused by its announced length, or as soon as the limit is passed. */
export function readBody(request: IncomingMessage, bytesMax: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const parts: Buffer[] = [];
  let bytes = 0;
  const refuse = (): void => {
    request.removeAllListeners("data").pause();
    reject(new BodyTooLarge(`a request may have ${bytesMax} bytes`));
  };
  if (Number(request.headers["content-length"] ?? 0) > bytesMax) {
    refuse();
    return promise;
  }
  request.on("data", (part: Buffer) => {
    bytes += part.length;
    parts.push(part);
    if (bytes > bytesMax) refuse();
  });
  request.once("end", () => {
    try {
      resolve(decoder.decode(parts.length === 1 ? parts[0] : Buffer.concat(parts)));
    } catch {
      reject(new Error("the body is not valid UTF-8"));
    }
  });
  request.once("error", reject);
  request.once("close", () => {
    if (!request.complete) reject(new Error("the caller has gone"));
  });
  return promise;
}

const decoder = new TextDecoder("utf-8", { fatal: true });
