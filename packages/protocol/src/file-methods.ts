import { fileList } from "./methods/file-list.ts";
import { fileMkdir } from "./methods/file-mkdir.ts";
import { fileMove } from "./methods/file-move.ts";
import { fileRead } from "./methods/file-read.ts";
import { fileRemove } from "./methods/file-remove.ts";
import { fileStat } from "./methods/file-stat.ts";
import { fileWatch } from "./methods/file-watch.ts";
import { fileWrite } from "./methods/file-write.ts";

/** The methods that hl-daemon passes on to hl-workspace as callers ask them. */
export const fileMethods = {
  "file/read": fileRead,
  "file/write": fileWrite,
  "file/list": fileList,
  "file/stat": fileStat,
  "file/mkdir": fileMkdir,
  "file/move": fileMove,
  "file/remove": fileRemove,
  "file/watch": fileWatch,
} as const;
