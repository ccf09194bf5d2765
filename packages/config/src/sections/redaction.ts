/** `redaction` of security.json: what is kept out of logs, events, errors and the audit beside what the daemon knows itself. */
import * as z from "zod";
import { key, line, section } from "../declare.ts";
import { parseSecretPattern } from "../secret-pattern.ts";

const VALUE_CHARACTERS_MIN = 6;

const pattern = line(256).superRefine((source, context) => {
  try {
    parseSecretPattern(source);
  } catch (error) {
    context.addIssue({ code: "custom", message: error instanceof Error ? error.message : String(error) });
  }
});

export const redactionSection = section({
  summary: "What is kept out of the logs, events and errors, beside the secrets that the daemon knows itself.",
  remote: false,
  keys: {
    values: key({
      schema: z.array(z.string().min(VALUE_CHARACTERS_MIN).max(16_384)).max(100),
      default: [],
      secret: true,
      reload: "restart",
      summary: "Values that are replaced wherever they are found, also inside JSON, URLs and base64.",
    }),
    patterns: key({
      schema: z.array(z.strictObject({ name: line(64), pattern })).max(32),
      default: [],
      reload: "restart",
      summary:
        'What secrets look like, such as {"name": "aws_key", "pattern": "AKIA[0-9A-Z]{16}"}: a part of regular expressions that is searched in linear time. Three fixed characters or more first, then characters, `\\d`, `\\w`, `\\s`, `.` and classes with `?`, `+`, `*` or a count; each takes all that fits and gives none back. No groups, alternatives or anchors. A match has 6 to 4096 characters.',
    }),
  },
});
