import * as z from "zod";
import type { ErrorType } from "./errors.ts";

/** Fields that several methods share, each described once. */
const printable = /^[^\p{Cc}]+$/u;

/** What the system takes as one piece of text: NUL ends it there, and half a character has no bytes (P6). */
export const systemText = z
  .string()
  .refine((value) => !value.includes("\0"), "must not contain NUL")
  .refine((value) => value.isWellFormed(), "must not contain half a surrogate pair");

export const commandId = z
  .string()
  .min(1)
  .max(256)
  .regex(printable, "must not contain control characters")
  .refine((value) => value.isWellFormed(), "must not contain half a surrogate pair")
  .describe(
    "Identifier of the command, chosen by the caller and unique on this VM; asking again with it never runs the command twice (C1).",
  );

export const seconds = (description: string): z.ZodNumber =>
  z.number().positive("must be a positive number of seconds").max(31_536_000).describe(description);

/** For waiting of the caller alone: what is waited for goes on. */
export const wait = (description: string): z.ZodNumber => z.number().min(0).max(31_536_000).describe(description);

const terminalSide = (description: string): z.ZodInt => z.int().min(1).max(65_535).describe(description);

/** Size of a terminal; the bounds are the kernel's. */
export const rows = terminalSide("Lines of the terminal");
export const columns = terminalSide("Characters in a line of the terminal");

export const unixTime = (description: string): z.ZodNumber =>
  z.number().describe(`${description} (Unix seconds, with a fraction)`);

export const stream = z.enum(["stdout", "stderr"]);

export const encoding = z.enum(["utf8", "base64"]).describe("`base64` where the bytes are not valid UTF-8 (P6)");

const variables = z.record(
  z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "must be a valid environment variable name"),
  systemText.max(131_072),
);

/** The one name that no object of JavaScript takes like others: it would vanish without a word. */
const unusableName = "__proto__";

export const environment = z
  .preprocess((given, context) => {
    if (typeof given === "object" && given !== null && Object.hasOwn(given, unusableName))
      context.addIssue({ code: "custom", path: [unusableName], message: "cannot be set", input: unusableName });
    return given;
  }, variables)
  .describe("Environment variables, on top of the clean environment of the daemon's configuration");

export const byteOffset = z.int().min(0).describe("Offset in bytes");

export const filePath = systemText
  .min(1)
  .max(4_096)
  .describe("Absolute, or relative to the workspace; inside the allowed paths, wherever links lead");

export const sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/, "must be 64 hexadecimal digits in lower case")
  .describe("SHA-256 of the whole file");

export const fileMode = z.int().min(0).max(0o7777);

/** What is known of a file, link or folder without reading it. */
export const fileFacts = {
  type: z.enum(["file", "directory", "symlink", "other"]),
  size: z.int().describe("In bytes"),
  mode: z.int().describe("Permission bits"),
  mtime: unixTime("Last change of the content"),
  target: z.string().optional().describe("Of a symbolic link: what it says, not where that leads"),
};

/** Of every method that hl-workspace serves: why it did not come to answer. */
export const workspaceErrors = [
  "sandbox_unavailable",
  "runner_unavailable",
  "workspace_lost",
  "rate_limited",
  "shutting_down",
] as const satisfies readonly ErrorType[];
