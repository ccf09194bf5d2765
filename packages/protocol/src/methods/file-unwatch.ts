import * as z from "zod";
import { defineMethod } from "../method.ts";

export const fileUnwatch = defineMethod({
  name: "file/unwatch",
  summary: "End a watch; one that has ended already is no error.",
  direction: "to-daemon",
  permission: "file:read",
  idempotent: true,
  timeoutMs: 10_000,
  errors: [],
  params: z.object({ watch_id: z.string().min(1).max(64) }),
  result: z.object({
    watch_id: z.string(),
    ended: z.boolean().describe("False where there was no such watch any more"),
  }),
});
