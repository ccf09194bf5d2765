import { initial } from "./0001-initial.ts";
import { standing } from "./0002-standing.ts";
import { eventCursors } from "./0003-event-cursors.ts";
import { cursorIds } from "./0004-cursor-ids.ts";

/** In order; a database remembers in `user_version` how many of them it has. */
export const migrations: readonly string[] = [initial, standing, eventCursors, cursorIds];
