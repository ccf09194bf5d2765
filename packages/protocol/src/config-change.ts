import * as z from "zod";

/** A key of the configuration whose value changes or differs. */
export const configChange = z.object({
  file: z.enum(["daemon.json", "security.json"]).describe("Where the key belongs"),
  pointer: z.string().describe("JSON pointer of the key"),
  before: z.unknown().optional().describe("Masked where the key is secret; absent where there is no value"),
  after: z.unknown().optional().describe("The same"),
  reload: z.enum(["live", "restart"]).describe("Whether a running daemon takes it over"),
});

export type ConfigChange = z.output<typeof configChange>;

/** Names of a section or key, with a dot between levels. */
export const configPlace = z.string().max(200);
