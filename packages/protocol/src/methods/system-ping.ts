import * as z from "zod";
import { defineMethod } from "../method.ts";

export const systemPing = defineMethod({
  name: "system/ping",
  summary: "Answer at once: the caller is authenticated and the daemon's event loop turns.",
  direction: "to-daemon",
  permission: "any",
  idempotent: true,
  timeoutMs: 5_000,
  errors: [],
  params: z.object({}),
  result: z.object({ pong: z.literal(true), version: z.string() }),
});
