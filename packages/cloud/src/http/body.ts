import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { HlError } from "@hl/protocol/errors.ts";
import type { FastifyRequest } from "fastify";

const inflate = promisify(gunzip);

/** Of a batch of events a little more than it may weigh before compression; a small body that inflates to more is an attack. */
const inflatedBytesMax = 16 * 1024 * 1024;
/** Of what a route takes as it comes: nobody who has shown no token yet makes us inflate more. */
const inflatedTimesMax = 16;

/** The body as text. Fastify has bounded the bytes that came; what they inflate to is bounded here. */
export async function readText(request: FastifyRequest): Promise<string> {
  const raw = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  const { bodyLimit } = request.routeOptions;
  const bytesMax = Math.min(inflatedBytesMax, bodyLimit * inflatedTimesMax);
  const bytes = await decoded(raw, request.headers["content-encoding"], bytesMax);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new HlError("parse_error", "the body is not valid UTF-8", {}, { cause: error });
  }
}

async function decoded(raw: Buffer, encoding: string | undefined, bytesMax: number): Promise<Buffer> {
  switch (encoding?.trim().toLowerCase()) {
    case undefined:
    case "":
    case "identity":
      return raw;
    case "gzip":
      try {
        return await inflate(raw, { maxOutputLength: bytesMax });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") {
          const text = `the body inflates to more than ${bytesMax} bytes`;
          throw new HlError("request_too_large", text, {}, { cause: error });
        }
        throw new HlError("parse_error", `the body is not gzip: ${(error as Error).message}`, {}, { cause: error });
      }
    default:
      throw new HlError("invalid_request", `the content encoding ${JSON.stringify(encoding)} is not known; use gzip`);
  }
}
