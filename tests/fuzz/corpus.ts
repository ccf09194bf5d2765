/** What fuzzing has found worth keeping, a file a target: inputs as JSON strings of one character a byte, so that a change can be read. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const pathOf = (target: string): string => join(import.meta.dirname, "corpus", `${target}.json`);

export function readCorpus(target: string): Buffer[] {
  const path = pathOf(target);
  if (!existsSync(path)) return [];
  return (JSON.parse(readFileSync(path, "utf8")) as string[]).map((text) => Buffer.from(text, "latin1"));
}

/** The shortest first: what is easy to understand is easy to find. */
export function writeCorpus(target: string, inputs: readonly Buffer[]): void {
  const texts = [...new Set(inputs.map((input) => input.toString("latin1")))];
  texts.sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  const escaped = texts.map((text) =>
    JSON.stringify(text).replace(/[\u007f-\u00ff]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`),
  );
  writeFileSync(pathOf(target), `[\n${escaped.map((text) => `  ${text}`).join(",\n")}\n]\n`);
}
