import { HlError } from "@hl/protocol/errors.ts";
import type { MethodCall, Handlers } from "@hl/protocol/method.ts";
import type { DaemonMethods } from "@hl/protocol/methods.ts";
import { logReplyBytesMax, type LogName } from "@hl/protocol/methods/system-logs.ts";
import { LiveLines } from "./live-lines.ts";
import { snapshotOf, tailOf, type LogSnapshot } from "./log-tail.ts";
import type { FollowedLog } from "./rotating-file.ts";

/** Undefined for one that is not written to a file. */
export type LogFiles = Readonly<Record<LogName, FollowedLog | undefined>>;

export const noLogs: LogFiles = {
  ...{ daemon: undefined, audit: undefined },
  ...{ api_requests: undefined, events: undefined, claude_stdio: undefined, health: undefined, recovery: undefined },
};

export function logHandlers(files: LogFiles): Pick<Handlers<DaemonMethods>, "system/logs"> {
  return {
    "system/logs": async ({ file, lines: linesMax, follow }, call) => {
      const log = files[file];
      if (log === undefined) throw new HlError("invalid_request", notWritten(file));
      if (follow && !call.canNotify)
        throw new HlError("invalid_request", "this transport carries no notifications: use the socket or a WebSocket");
      using snapshot = await beginOf(file, log, follow ? call : undefined);
      const { lines, omitted } = await tailOf(snapshot, linesMax, logReplyBytesMax);
      return { file, path: log.path, lines: [...lines], omitted };
    },
  };
}

/** The log as it is when nothing waits to be written, with what comes from that moment on sent to whoever follows. */
function beginOf(file: LogName, log: FollowedLog, call: MethodCall | undefined): Promise<LogSnapshot> {
  const { promise, resolve } = Promise.withResolvers<LogSnapshot>();
  const live = new LiveLines();
  log.follow(
    (line) => live.push(line),
    (stop) => {
      resolve(snapshotOf(log.path));
      if (call === undefined) stop();
      else call.stream((signal) => send(file, live, call, signal).finally(stop));
    },
  );
  return promise;
}

async function send(file: LogName, live: LiveLines, call: MethodCall, signal: AbortSignal): Promise<void> {
  for (;;) {
    const next = await live.next(signal);
    if (next === undefined) return;
    if (typeof next === "string") await call.notify("system/log", { file, line: next });
    else await call.notify("system/log_gap", { file, lines: next });
  }
}

function notWritten(file: LogName): string {
  if (file === "daemon")
    return "the daemon's log goes to its standard output or error (logging.output): under systemd, `journalctl -u hl-daemon` has it";
  const switchedBy = file === "audit" ? "logging.audit.enabled" : `logging.files.${file}.enabled`;
  return `the log ${file} is not written: ${switchedBy} is false`;
}
