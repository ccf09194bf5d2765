/** The configuration cannot work; nothing was started. */
export class CloudConfigError extends Error {
  override readonly name = "CloudConfigError";
}
