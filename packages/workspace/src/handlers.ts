import type { Clock } from "@hl/core/clock.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { Handlers } from "@hl/protocol/method.ts";
import type { WorkspaceMethods } from "@hl/protocol/workspace-methods.ts";
import { Access, type AccessLists } from "./access.ts";
import { makeFolder, move, remove } from "./change-tree.ts";
import { statFile } from "./describe-file.ts";
import { onPath } from "./file-error.ts";
import { listFolder } from "./list-folder.ts";
import { Locks } from "./locks.ts";
import { readFile } from "./read-file.ts";
import { writePart } from "./upload.ts";
import { Watches } from "./watch/watches.ts";
import { writeFile } from "./write-file.ts";

/** What hl-workspace serves. */
export function workspaceHandlers(clock: Clock, pid: number): Handlers<WorkspaceMethods> {
  let lists: AccessLists | undefined;
  const access = (): Access => {
    if (lists === undefined) throw new HlError("invalid_request", "workspace/begin comes first");
    return new Access(lists);
  };
  const locks = new Locks();
  const watches = new Watches(clock);
  return {
    "workspace/begin": async ({ workspace, allowed_paths, blocked_paths }) => {
      lists = { workspace, allowedPaths: allowed_paths, blockedPaths: blocked_paths };
      return { pid };
    },
    "file/read": (params) => onPath(params.path, () => readFile(access(), params)),
    "file/stat": (params, { signal }) => onPath(params.path, () => statFile(access(), params, signal)),
    "file/list": (params, { signal }) => onPath(params.path, () => listFolder(access(), params, signal)),
    // Writes to one place wait for each other: parts arrive in order, and of two that expect the same content one wins.
    "file/write": ({ upload_id, offset = 0, ...params }, { signal }) =>
      onPath(params.path, () =>
        locks.hold(access().follow(params.path), () =>
          upload_id === undefined
            ? writeFile(access(), params, signal)
            : writePart(access(), { ...params, upload_id, offset }, clock, signal),
        ),
      ),
    "file/mkdir": (params) => onPath(params.path, () => makeFolder(access(), params)),
    "file/move": (params) => onPath(params.from, () => move(access(), params)),
    "file/remove": (params, { signal }) => onPath(params.path, () => remove(access(), params, signal)),
    "file/watch": (params, { signal }) => onPath(params.path, () => watches.begin(access(), params, signal)),
    "workspace/changes": ({ watch_id }, { signal }) => watches.next(watch_id, signal),
    "workspace/unwatch": async ({ watch_id }) => {
      watches.end(watch_id);
      return {};
    },
  };
}
