/** Maps of environment variables for started programs. */
import * as z from "zod";
import { key, type Key } from "../declare.ts";

const schema = z.record(
  z
    .string()
    .regex(
      /^[A-Za-z_][A-Za-z0-9_]{0,255}$/,
      "a variable's name has letters, digits and _ and does not begin with a digit",
    ),
  z.string().refine((text) => !text.includes("\0"), "must not contain a NUL character"),
);

/** Values are masked wherever the configuration is shown, since nobody can tell which of them is a token. */
export const environmentMap = (summary: string): Key<Record<string, string>> =>
  key({ schema, default: {}, secret: true, reload: "live", summary });
