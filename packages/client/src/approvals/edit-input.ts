/** A tool's input in the person's own editor, as JSON in a file that only they can read; it is gone afterwards. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Ports } from "../ports.ts";
import type { JsonObject } from "./answers.ts";

/** More than a daemon would take. */
const fileBytesMax = 16 * 1024 * 1024;

export type Edited =
  | { readonly kind: "input"; readonly input: Record<string, unknown> }
  | { readonly kind: "same" }
  | { readonly kind: "failed"; readonly message: string };

/** Where the terminal's present owner makes room: the second function takes it back. */
export interface TerminalOwner {
  suspend(): void;
  resume(): void;
}

export async function editInput(
  input: JsonObject,
  ports: Pick<Ports, "env" | "runEditor">,
  owner: TerminalOwner,
): Promise<Edited> {
  const { VISUAL, EDITOR } = ports.env;
  const editor = [VISUAL, EDITOR].find((value) => value !== undefined && value !== "") ?? "vi";
  let folder: string | undefined;
  owner.suspend();
  try {
    folder = mkdtempSync(join(tmpdir(), "hl-edit-"));
    const file = join(folder, "input.json");
    writeFileSync(file, `${JSON.stringify(input, null, 2)}\n`, { mode: 0o600 });
    const code = await ports.runEditor(editor, file);
    if (code !== 0) return { kind: "failed", message: `the editor ${JSON.stringify(editor)} ended with ${code}` };
    return read(file, input);
  } catch (error) {
    return {
      kind: "failed",
      message: `it could not be edited: ${error instanceof Error ? error.message : String(error)}`,
    };
  } finally {
    owner.resume();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

function read(file: string, before: JsonObject): Edited {
  if (statSync(file).size > fileBytesMax) return { kind: "failed", message: `it has more than ${fileBytesMax} bytes` };
  let input: unknown;
  try {
    input = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    return { kind: "failed", message: `it is no JSON: ${(error as Error).message}` };
  }
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    return { kind: "failed", message: "it must be a JSON object" };
  }
  return isDeepStrictEqual(input, before)
    ? { kind: "same" }
    : { kind: "input", input: input as Record<string, unknown> };
}
