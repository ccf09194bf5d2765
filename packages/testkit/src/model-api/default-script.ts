/**
 * The script of a stub that was given none: an echo with a few directives, so that a person (or the demo) can steer the model by
 * what they type to the agent.
 *
 * | prompt            | what the model does                                                      |
 * | ----------------- | ------------------------------------------------------------------------ |
 * | `hello`           | answers `echo: hello`                                                    |
 * | `!bash COMMAND`   | asks for the Bash tool, then answers with the text of the tool's result  |
 * | `!tool NAME JSON` | asks for any tool with that input, then likewise                         |
 * | `!slow MS`        | answers `slow: MS` as words spread over that time                        |
 * | `!big MB`         | answers that many megabytes of text                                      |
 * | `!error STATUS`   | fails with that HTTP status and forbids a retry                          |
 * | `!hang`           | never answers                                                            |
 * | `!cut`            | closes the connection in the middle of the answer                        |
 */
import { errorReply, textReply, toolReply, type ModelReply } from "./model-reply.ts";
import { lastInput, type ModelRequest } from "./model-request.ts";

/** Limits what a prompt can ask for; a typing error must not fill the memory. */
const bigMegabytesMax = 256;
const slowWords = 10;

/** Decides by the last words of the conversation; see the table above. */
export function defaultScript(request: ModelRequest): ModelReply {
  const input = lastInput(request.body);
  if (input.kind === "tool_result") return textReply(`${input.isError ? "tool error" : "tool result"}: ${input.text}`);
  const [, directive, rest = ""] = /^!(\w+)(?:\s+([\s\S]*))?$/u.exec(input.text.trim()) ?? [];
  return (directive === undefined ? undefined : obey(directive, rest.trim())) ?? textReply(`echo: ${input.text}`);
}

function obey(directive: string, rest: string): ModelReply | undefined {
  switch (directive) {
    case "bash":
      return toolReply("Bash", { command: rest, description: "Run what the prompt asks for" });
    case "tool":
      return tool(rest);
    case "slow":
      return slow(Number(rest));
    case "big":
      return textReply(bigText(Math.min(Number(rest), bigMegabytesMax)));
    case "error":
      return errorReply(Number(rest));
    case "hang":
      return { kind: "hang" };
    case "cut":
      return textReply("this answer is cut in the middle of its text", { breakOff: { how: "cut", afterDeltas: 1 } });
    default:
      return undefined;
  }
}

function tool(rest: string): ModelReply {
  const [, name = "", json = "{}"] = /^(\S+)\s*([\s\S]*)$/u.exec(rest) ?? [];
  return toolReply(name, JSON.parse(json === "" ? "{}" : json) as Record<string, unknown>);
}

function slow(ms: number): ModelReply {
  const word = "tick ";
  return textReply(word.repeat(slowWords - 1) + `slow: ${ms}`, {
    deltaChars: word.length,
    deltaDelayMs: ms / (slowWords + 1),
  });
}

/** Lines with their number, so that a reader that lost or reordered a part is caught. */
function bigText(megabytes: number): string {
  const lineBytes = 64;
  const lines = Math.ceil((megabytes * 1024 * 1024) / lineBytes);
  let text = "";
  for (let number = 0; number < lines; number += 1) text += `${String(number).padEnd(lineBytes - 1, ".")}\n`;
  return text;
}
