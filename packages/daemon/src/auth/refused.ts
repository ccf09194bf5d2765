import { HlError } from "@hl/protocol/errors.ts";

/** What is said to whoever shows a token that proves nothing: no more than that. */
const saidToStrangers = "this token is not valid here";

/**
 * A refusal of a token. Its reason, of a fixed set of sentences of ours, is the cause: for the audit. A caller is told it only
 * where the signature has shown that the token was made for somebody.
 */
export function tokenRefused(reason: string, said: string = saidToStrangers, facts = {}): HlError {
  return new HlError("unauthenticated", said, facts, { cause: new Error(reason) });
}
