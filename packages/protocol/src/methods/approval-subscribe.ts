import * as z from "zod";
import { defineMethod } from "../method.ts";
import { approval } from "./approval-list.ts";

export const approvalSubscribe = defineMethod({
  name: "approval/subscribe",
  summary: "Receive every permission request that waits, then each as it comes and as it ends.",
  direction: "to-daemon",
  permission: "approval:decide",
  idempotent: true,
  timeoutMs: 10_000,
  errors: [],
  params: z.object({ process_id: z.string().min(1).max(128).optional().describe("Only of this agent") }),
  result: z.object({ pending: z.int().describe("How many wait; each of them follows as a notification") }),
  notifications: { "approval/changed": approval },
});
