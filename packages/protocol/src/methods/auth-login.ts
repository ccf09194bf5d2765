import * as z from "zod";
import { defineMethod } from "../method.ts";

export const authLogin = defineMethod({
  name: "auth/login",
  summary: "Authenticate this connection; on the unix socket the first request.",
  direction: "to-daemon",
  permission: "none",
  idempotent: true,
  timeoutMs: 5_000,
  errors: [],
  params: z.object({ token: z.string().min(1).max(16_384) }),
  result: z.object({ role: z.string(), subject: z.string() }),
});
