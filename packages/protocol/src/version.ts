/** Version of the programs, from the repository's package.json, and of the protocol between them. */
export const version = "0.1.0";

/** Raised by adding; a cloud and a daemon of the same major number understand each other. */
export const protocolVersion = "1.0";

/** The oldest version that this code still speaks. */
export const protocolVersionMin = "1.0";
