import * as z from "zod";
import { defineMethod } from "../method.ts";

export const rpcDiscover = defineMethod({
  name: "rpc.discover",
  summary: "This interface as an OpenRPC document.",
  direction: "to-daemon",
  permission: "any",
  idempotent: true,
  timeoutMs: 5_000,
  errors: [],
  params: z.object({}),
  result: z.record(z.string(), z.unknown()),
});
