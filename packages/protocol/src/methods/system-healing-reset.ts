import * as z from "zod";
import { defineMethod } from "../method.ts";

export const systemHealingReset = defineMethod({
  name: "system/healing/reset",
  summary:
    "Gives self-healing its attempts back, after its cause was removed: what it had stopped to repair is tried again at once.",
  direction: "to-daemon",
  permission: "daemon:restart",
  idempotent: true,
  timeoutMs: 5_000,
  errors: [],
  params: z.object({}),
  result: z.object({ reset: z.array(z.string()).describe("Parts that had used some of their attempts") }),
});
