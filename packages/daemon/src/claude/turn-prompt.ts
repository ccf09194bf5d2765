import * as z from "zod";

const content = z.union([z.string(), z.array(z.unknown())]);
const streamJson = z.object({ message: z.object({ content }) });
const acp = z.object({ params: z.object({ prompt: content }) });
const text = z.object({ params: z.object({ text: z.string() }) });
const blocks = z.object({ params: z.object({ content }) });
const textBlocks = z.array(z.object({ type: z.literal("text"), text: z.string() })).min(1);

/** What the line of a turn says to the agent: a text, content blocks, or in a shape that nobody knows the line as it is. */
export function promptOf(line: string): unknown {
  const message: unknown = JSON.parse(line);
  const said =
    streamJson.safeParse(message).data?.message.content ??
    acp.safeParse(message).data?.params.prompt ??
    text.safeParse(message).data?.params.text ??
    blocks.safeParse(message).data?.params.content ??
    message;
  if (typeof said === "string") return said;
  const texts = textBlocks.safeParse(said).data;
  return texts === undefined ? said : texts.map((block) => block.text).join("\n");
}
