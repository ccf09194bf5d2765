/**
 * What the stub keeps of one HTTP request, and how a script reads the conversation in it.
 */
import type { IncomingHttpHeaders } from "node:http";

/** One request, kept for assertions. */
export interface ModelRequest {
  /** From 1, over all requests; the number that `ModelApi.request` takes counts model calls only. */
  readonly number: number;
  readonly method: string;
  /** Path without the query. */
  readonly path: string;
  readonly query: string;
  /** Header names in lower case; the values of keys are replaced by "<redacted>". */
  readonly headers: Readonly<Record<string, string>>;
  /** The parsed JSON body, or undefined where there was none or it was no JSON. */
  readonly body: MessagesBody | undefined;
  /** How the answer went out: `aborted` when the client left before its end. Never rejects. */
  readonly ended: Promise<"completed" | "aborted">;
}

/** The parts of a Messages API body that tests look at; everything else is there too, untyped. */
export interface MessagesBody {
  readonly model?: string;
  readonly stream?: boolean;
  readonly messages?: readonly ConversationMessage[];
  readonly [key: string]: unknown;
}

export interface ConversationMessage {
  readonly role: string;
  readonly content: string | readonly ContentBlock[];
}

export interface ContentBlock {
  readonly type: string;
  readonly text?: string;
  readonly tool_use_id?: string;
  readonly content?: string | readonly ContentBlock[];
  readonly is_error?: boolean;
  readonly [key: string]: unknown;
}

/** What the model was told last: the user's words, or the outcome of a tool it had asked for. */
export type LastInput =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "tool_result"; readonly text: string; readonly isError: boolean };

/**
 * The end of the conversation as a person sees it. Agents put reminders of their own around the user's text, and messages with the
 * role "system" after it; neither is what the user said.
 */
export function lastInput(body: MessagesBody | undefined): LastInput {
  const message = body?.messages?.findLast((candidate) => candidate.role === "user");
  const blocks = message ? blocksOf(message.content).filter((block) => !isReminder(block)) : [];
  const last = blocks.at(-1);
  if (last?.type === "tool_result")
    return { kind: "tool_result", text: textOf(last.content ?? ""), isError: last.is_error ?? false };
  return { kind: "text", text: last?.text ?? "" };
}

/** All text of a message's content. */
export function textOf(content: string | readonly ContentBlock[]): string {
  return blocksOf(content)
    .map((block) => block.text ?? "")
    .join("");
}

/** Copies headers without what must not end up in a failing test's output. */
export function redactHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const secret = new Set(["x-api-key", "authorization", "cookie", "proxy-authorization"]);
  const copy: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) copy[name] = secret.has(name) ? "<redacted>" : String(value);
  }
  return copy;
}

function blocksOf(content: string | readonly ContentBlock[]): readonly ContentBlock[] {
  return typeof content === "string" ? [{ type: "text", text: content }] : content;
}

function isReminder(block: ContentBlock): boolean {
  return block.type === "text" && (block.text ?? "").trimStart().startsWith("<system-reminder>");
}
