import { initial } from "./0001-initial.ts";
import { eventCursors } from "./0002-event-cursors.ts";

/** In order; a database remembers in `user_version` how many of them it has. */
export const migrations: readonly string[] = [initial, eventCursors];
