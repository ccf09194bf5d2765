/**
 * What the bundles import as "node:http". A module that imports Node's own makes it load all that its namespace could name, a WebSocket and
 * all of fetch among them, which costs each process some megabytes; the object behind it does not.
 */
export const {
  Agent,
  ClientRequest,
  IncomingMessage,
  METHODS,
  OutgoingMessage,
  STATUS_CODES,
  Server,
  ServerResponse,
  createServer,
  get,
  globalAgent,
  maxHeaderSize,
  request,
  setMaxIdleHTTPParsers,
  validateHeaderName,
  validateHeaderValue,
} = process.getBuiltinModule("node:http");
