import { readFileSync } from "node:fs";
import { extname } from "node:path";
import type { FastifyInstance } from "fastify";

/** The page and its parts, named here and read once: nothing that a request says ever becomes a file name. */
const files = [
  "index.html",
  "style.css",
  "icon.svg",
  "agents.js",
  "app.js",
  "approvals.js",
  "command.js",
  "detail.js",
  "events.js",
  "output.js",
  "page.js",
  "rpc.js",
  "session.js",
  "words.js",
] as const;

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".js": "text/javascript; charset=utf-8",
};

export function dashboardRoutes(app: FastifyInstance): void {
  for (const name of files) {
    const content = readFileSync(new URL(`assets/${name}`, import.meta.url), "utf8");
    const type = types[extname(name)] ?? "application/octet-stream";
    app.get(name === "index.html" ? "/" : `/${name}`, async (_request, reply) => reply.type(type).send(content));
  }
}
