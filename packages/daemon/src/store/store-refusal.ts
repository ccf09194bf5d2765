import { errorText } from "@hl/core/logger.ts";
import { isDiskFailure, isNoSpace } from "@hl/core/store/sqlite-error.ts";
import { HlError } from "@hl/protocol/errors.ts";

/** A write was refused because of the disk. It may work later, unlike what is refused for a reason of its own. */
export class StoreRefusal extends HlError {}

/** What the disk said, as an error of the contract; any other error is left as it is. */
export function refusalOf(error: unknown): unknown {
  const text = `the database cannot be written: ${errorText(error)}`;
  if (isNoSpace(error)) return new StoreRefusal("no_space", text, {}, { cause: error });
  if (isDiskFailure(error)) return new StoreRefusal("store_failing", text, {}, { cause: error });
  return error;
}
