import type { Server as HttpServer } from "node:http";
import type { TlsOptions } from "node:tls";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { Clock } from "@hl/core/clock.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { WireErrorOptions } from "@hl/protocol/wire-error.ts";
import { fastify, type FastifyInstance, type FastifyServerOptions } from "fastify";
import { ZodError } from "zod";
import { errorAnswer } from "./http-error.ts";
import { securityHeaders, transportSecurity } from "./security-headers.ts";

export interface HttpServerOptions {
  readonly clock: Clock;
  readonly wireError: WireErrorOptions;
  readonly bodyBytesMax: number;
  readonly tls: TlsOptions | undefined;
}

/** A whole request must have arrived within this time; a client that dribbles is cut. */
const requestTimeoutMs = 30_000;
/** Longer than the usual idle limit of a load balancer, so that it, not we, closes first. */
const keepAliveTimeoutMs = 65_000;
/** Below that gzip costs more than it saves. */
const gzipBytesMin = 1_024;

const compress = promisify(gzip);

/** Fastify with our limits, our headers, and every refusal as a JSON-RPC error. */
export function httpServer(options: HttpServerOptions): FastifyInstance {
  const { clock, wireError, tls } = options;
  const settings: FastifyServerOptions = {
    logger: false,
    bodyLimit: options.bodyBytesMax,
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    // A request in progress is finished by compose.ts; what is left after its deadline is cut there.
    forceCloseConnections: false,
    trustProxy: false,
    routerOptions: { maxParamLength: 1_024 },
  };
  const secure = tls === undefined ? {} : { https: { minVersion: "TLSv1.3" as const, ...tls } };
  const app = fastify<HttpServer>({ ...settings, ...secure } as FastifyServerOptions);

  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  app.addHook("onSend", async (request, reply, payload) => {
    reply.headers({ ...securityHeaders, ...(tls === undefined ? {} : transportSecurity) });
    const accepts = /\bgzip\b/.test(request.headers["accept-encoding"] ?? "");
    if (typeof payload !== "string" || !accepts || payload.length < gzipBytesMin) return payload;
    reply.headers({ "content-encoding": "gzip", vary: "accept-encoding" }).removeHeader("content-length");
    return compress(payload);
  });
  app.setErrorHandler((error, _request, reply) => {
    const known = error instanceof ZodError ? new HlError("invalid_params", "the address is not valid") : error;
    const { status, headers, body } = errorAnswer(known, clock.wallMs(), wireError);
    return reply.code(status).headers(headers).send(body);
  });
  app.setNotFoundHandler((request, reply) => {
    const error = new HlError(
      "method_not_found",
      `there is nothing at ${request.method} ${request.url.slice(0, 200)}`,
      {
        help: "docs/protocol.md lists the addresses of hl-cloud.",
      },
    );
    return reply.code(404).send(errorAnswer(error, clock.wallMs(), wireError).body);
  });
  return app;
}
