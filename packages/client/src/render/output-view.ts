import type { OutputView } from "../follow/follower.ts";
import type { Session } from "../session.ts";
import { plural } from "./quantity.ts";

/** The command's own bytes, untouched: what it writes to stdout and stderr goes to ours (P6). */
export function terminalView(session: Session, only?: "stdout" | "stderr"): OutputView {
  const { out, err, signal } = session;
  return {
    begun: () => {},
    output: ({ stream }, bytes) => {
      if (only !== undefined && stream !== only) return true;
      return stream === "stdout" ? out.write(bytes) : err.write(bytes);
    },
    missing: (_position, byteCount) => session.notice(gapText(byteCount)),
    drained: async () => {
      await Promise.all([out.drained(signal), err.drained(signal)]);
    },
  };
}

/** One JSON document a line, each a protocol type: `stream` tells output, `bytes` a gap, `status` a result. */
export function jsonView(session: Session, only?: "stdout" | "stderr"): OutputView {
  const { out, signal } = session;
  return {
    begun: (result) => session.printJson(result),
    output: (output, bytes) => {
      if (only !== undefined && output.stream !== only) return true;
      return session.printJson({ ...output, ...encoded(bytes) });
    },
    missing: (position, byteCount) => session.printJson({ position, bytes: byteCount }),
    drained: () => out.drained(signal),
  };
}

export function gapText(byteCount: number): string {
  return `${plural(byteCount, "byte")} of output are missing here: they are no longer kept by the daemon`;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** As the daemon encodes it; what was cut at a reconnect may have been cut inside a character. */
export function encoded(bytes: Buffer): { data: string; encoding: "utf8" | "base64" } {
  try {
    return { data: utf8.decode(bytes), encoding: "utf8" };
  } catch {
    return { data: bytes.toString("base64"), encoding: "base64" };
  }
}
