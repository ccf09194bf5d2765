/** The limits of local connections as they hold now. Who keeps them reads them when they are needed, so that they can change meanwhile. */
export interface ConnectionNumbers {
  /** `local_api.max_pending_requests`; connections that are open keep theirs. */
  inFlightMax: number;
  /** `local_api.login_timeout_seconds`. */
  loginTimeoutMs: number;
  /** `local_api.idle_timeout_seconds`. */
  idleTimeoutMs: number;
}
