import { HlError } from "@hl/protocol/errors.ts";
import type { Handlers } from "@hl/protocol/method.ts";
import type { DaemonMethods } from "@hl/protocol/methods.ts";
import type { Workspace } from "./workspace.ts";

type FileMethods = Extract<keyof DaemonMethods, `file/${string}`>;

/** The daemon touches no file itself: hl-workspace does, in the sandbox. */
export function fileHandlers(workspace: Workspace): Pick<Handlers<DaemonMethods>, FileMethods> {
  return {
    "file/read": (params, { signal }) => workspace.call("file/read", params, signal),
    "file/write": (params, { signal }) => workspace.call("file/write", params, signal),
    "file/list": (params, { signal }) => workspace.call("file/list", params, signal),
    "file/stat": (params, { signal }) => workspace.call("file/stat", params, signal),
    "file/mkdir": (params, { signal }) => workspace.call("file/mkdir", params, signal),
    "file/move": (params, { signal }) => workspace.call("file/move", params, signal),
    "file/remove": (params, { signal }) => workspace.call("file/remove", params, signal),
    "file/watch": async (params, call) => {
      if (!call.canNotify)
        throw new HlError("invalid_request", "this transport carries no notifications: use the socket or a WebSocket");
      const watch = await workspace.watch(params, call.signal);
      // A caller that leaves before the stream begins leaves no watch behind.
      if (call.signal.aborted) watch.end();
      call.signal.addEventListener("abort", () => watch.end(), { once: true });
      try {
        call.stream(() => watch.deliver((changed) => call.notify("file/changed", changed)));
      } catch (error) {
        watch.end();
        throw error;
      }
      return { watch_id: watch.id, path: watch.path };
    },
    "file/unwatch": async ({ watch_id }) => ({ watch_id, ended: workspace.unwatch(watch_id) }),
  };
}
