import { version } from "@hl/protocol/version.ts";
import type { FastifyInstance } from "fastify";
import type { Keys } from "../tokens/keys.ts";

/** What needs no token. */
export function publicRoutes(app: FastifyInstance, keys: Keys): void {
  app.get("/health", async () => ({ status: "healthy", version }));
  app.get("/.well-known/jwks.json", async (_request, reply) =>
    reply.header("cache-control", "public, max-age=300").send(keys.jwks),
  );
}
