import { initial } from "./0001-initial.ts";
import { standing } from "./0002-standing.ts";

/** In order; a database remembers in `user_version` how many of them it has. */
export const migrations: readonly string[] = [initial, standing];
