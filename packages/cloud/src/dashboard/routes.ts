import { readFileSync } from "node:fs";
import type { FastifyInstance } from "fastify";

/** The page and its two files, read once: nothing that a request says ever becomes a file name. */
const files = [
  { path: "/", name: "index.html", type: "text/html; charset=utf-8" },
  { path: "/app.js", name: "app.js", type: "text/javascript; charset=utf-8" },
  { path: "/style.css", name: "style.css", type: "text/css; charset=utf-8" },
] as const;

export function dashboardRoutes(app: FastifyInstance): void {
  for (const { path, name, type } of files) {
    const content = readFileSync(new URL(`assets/${name}`, import.meta.url), "utf8");
    app.get(path, async (_request, reply) => reply.type(type).send(content));
  }
}
