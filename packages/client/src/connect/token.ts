import { readFileSync } from "node:fs";
import { ClientFailure } from "../failure.ts";

const tokenBytesMax = 16_384;

/** Reads a bearer token; the token itself appears in no message (X4). */
export function readToken(file: string, through: "daemon" | "cloud"): string {
  let text: string;
  try {
    text = readFileSync(file, "utf8").trim();
  } catch (error) {
    throw unreadable(file, through, error as NodeJS.ErrnoException);
  }
  if (text === "" || text.length > tokenBytesMax || !/^[\x21-\x7e]+$/.test(text)) {
    throw new ClientFailure("no_token", `${file} does not hold a token`, "It should be one line without spaces.");
  }
  return text;
}

function unreadable(file: string, through: "daemon" | "cloud", error: NodeJS.ErrnoException): ClientFailure {
  const cause = { cause: error };
  if (error.code === "EACCES" || error.code === "EPERM") {
    const help =
      through === "daemon"
        ? "Become a member of the daemon's group (freestyle-daemon), use sudo, or give --token-file."
        : "Give a readable --token-file.";
    return new ClientFailure("no_token", `the token in ${file} may not be read by you`, help, cause);
  }
  const help =
    through === "daemon"
      ? "The daemon makes it at its first start; give --token-file FILE if it lives elsewhere."
      : "`hl-cloud operator add NAME --home DIR --role ROLE` prints one; give its file with --token-file.";
  const reason = error.code === "ENOENT" ? "does not exist" : `cannot be read: ${error.message}`;
  return new ClientFailure("no_token", `the token file ${file} ${reason}`, help, cause);
}
