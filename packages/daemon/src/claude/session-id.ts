import * as z from "zod";

/** Of a word that an agent says about itself: its session, version, model or mode. */
export const agentWordCharsMax = 256;

/** As an agent names its session. A longer one is taken for none: every event of the agent would carry it, and ids are not cut. */
export const agentSessionId = z
  .string()
  .transform((id) => (id.length <= agentWordCharsMax ? id : undefined))
  .optional();

/** It is told and kept, so it has a largest size. */
export function agentWord(word: string): string {
  return word.slice(0, agentWordCharsMax);
}
