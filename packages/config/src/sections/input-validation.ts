/** `input_validation` of security.json: what is refused before it is looked at. */
import * as z from "zod";
import { bytes, key, line, section } from "../declare.ts";

const sanitizationRule = z.strictObject({
  field: line(128),
  type: z.enum(["command_injection", "path_traversal"]),
  action: z.enum(["sanitize", "reject"]),
});

export const inputValidationSection = section({
  summary: "What is refused before it is looked at.",
  remote: false,
  keys: {
    max_request_size: bytes({
      min: 1024,
      max: 2 ** 30,
      default: 10_000_000,
      reload: "restart",
      summary: "One request; a larger one is refused before it is buffered.",
    }),
    sanitization_rules: key({
      schema: z.array(sanitizationRule).max(100),
      default: [
        { field: "command", type: "command_injection", action: "sanitize" },
        { field: "file_path", type: "path_traversal", action: "reject" },
      ],
      reload: "restart",
      summary:
        "Commands are normalised and then checked, paths are checked where they really lead, always; nothing is guessed or rewritten. Rules that leave one of them out, or name other fields, are warned about.",
    }),
  },
});
