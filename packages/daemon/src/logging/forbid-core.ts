import { writeFileSync } from "node:fs";
import { errorText, type Logger } from "@hl/core/logger.ts";

/**
 * Keeps the memory of this process, which has every secret in it, out of a core (X4): whatever `core_pattern` and the limit of its size say, no
 * mapping is written into one. The runner and its shims have a limit of 0 instead.
 */
export function forbidCore(logger: Logger): void {
  try {
    writeFileSync("/proc/self/coredump_filter", "0");
  } catch (error) {
    logger.warn({ error: errorText(error) }, "a core of the daemon would hold its secrets: it could not be forbidden");
  }
}
