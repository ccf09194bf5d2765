/* As long as there are errors, because they stand in one table. */
/**
 * The one table of errors (DESIGN.md 3.3): types, wire codes, the documentation and hl-client's hints come from it.
 * Codes are a contract with programs we cannot see: rows are only ever added.
 */
export interface ErrorSpec {
  readonly code: number;
  readonly retry: "never" | "backoff";
  /** One sentence for the person who meets it: what it means. */
  readonly when: string;
  /** One sentence: what to do next. */
  readonly help: string;
}

const row = (code: number, retry: ErrorSpec["retry"], when: string, help: string): ErrorSpec => ({
  code,
  retry,
  when,
  help,
});

export const errorTable = {
  parse_error: row(
    -32700,
    "never",
    "the message is not JSON",
    "Send one JSON-RPC 2.0 message per line or frame, in UTF-8.",
  ),
  invalid_request: row(
    -32600,
    "never",
    "the message is JSON but not a JSON-RPC 2.0 request",
    "See docs/protocol.md for the shape of a request.",
  ),
  method_not_found: row(-32601, "never", "there is no such method", "`hl-client rpc rpc.discover` lists every method."),
  invalid_params: row(
    -32602,
    "never",
    "a parameter is missing or has the wrong type",
    "data.problems names each parameter; docs/protocol.md has their schemas.",
  ),
  internal_error: row(
    -32603,
    "backoff",
    "the daemon failed in a way it did not expect",
    "This is a bug: look for the request id in logs/daemon.log and report it.",
  ),
  request_cancelled: row(
    -32800,
    "never",
    "the caller cancelled the request",
    "Nothing to do; a command that was started goes on unless it was cancelled too.",
  ),
  unauthenticated: row(
    1001,
    "never",
    "no token or certificate, or one that is not valid",
    "Use the token in data/auth/local_token (hl-client reads it by itself), or a valid JWT.",
  ),
  permission_denied: row(
    1002,
    "never",
    "the caller's role lacks the permission",
    "data.permission names it; grant it to the role in security.json under authorization.permissions.",
  ),
  rate_limited: row(
    1003,
    "backoff",
    "too many requests",
    "Wait for data.retry_after_ms; the limits are in local_api.rate_limiting.",
  ),
  request_too_large: row(
    1004,
    "never",
    "the message is over max_request_size",
    "Send less at once, or raise input_validation.max_request_size in security.json.",
  ),
  shutting_down: row(
    1005,
    "backoff",
    "the daemon is stopping and takes no new work",
    "Try again when it is back; what was accepted is kept.",
  ),
  overloaded: row(
    1006,
    "backoff",
    "hl-cloud takes on no more new connections or registrations at this moment",
    "Nothing to do: come back after data.retry_after_ms, as hl-daemon does by itself. Its rates are in docs/hl-cloud.md.",
  ),
  not_supervised: row(
    1007,
    "never",
    "a restart was asked for, and nothing would start the daemon again",
    "Run it as hl-daemon.service; another supervisor sets HL_SUPERVISED=1 and starts it again when it exits with 75. Without one stop it and start it yourself.",
  ),
  command_blocked: row(
    1101,
    "never",
    "the command is blocked by policy",
    "Blocked commands are in process_management.blocked_commands; shells and metacharacters are never interpreted: pass the executable and its arguments separately.",
  ),
  command_not_allowed: row(
    1102,
    "never",
    "the command is not on the allow list",
    "Add its name to process_management.allowed_commands in daemon.json and reload.",
  ),
  path_denied: row(
    1103,
    "never",
    "the path is outside allowed_paths, inside blocked_paths, or leaves them",
    "See security.file_access in daemon.json.",
  ),
  process_limit: row(
    1104,
    "backoff",
    "max_processes are running, or what runs holds as many secret values as are kept out of events",
    "Wait for one to end, or raise process_management.max_processes.",
  ),
  command_not_found: row(
    1105,
    "never",
    "there is no such executable",
    "Check the name, and PATH in process_management.environment.",
  ),
  command_id_conflict: row(
    1106,
    "never",
    "this command_id was used with other parameters",
    "Use a new command_id; the same one with the same parameters answers the first run's result.",
  ),
  command_unknown: row(
    1107,
    "never",
    "no command with this id",
    "It may be older than process_management.finished_retention_seconds; `hl-client ps` lists what is known.",
  ),
  user_not_permitted: row(
    1108,
    "never",
    "`user` is somebody the daemon cannot become",
    "Install a runner for that user: systemctl enable --now hl-runner@USER.",
  ),
  sandbox_unavailable: row(
    1109,
    "never",
    "sandbox_mode is on and cannot be enforced",
    "data.reason says why and what to change; the kernel needs Landlock (5.13 or newer, enabled) and seccomp, and user namespaces where security.sandbox.network is not host; or set security.sandbox_mode to false knowingly.",
  ),
  cwd_invalid: row(
    1110,
    "never",
    "the working directory is missing or not a directory",
    "Give an existing directory below security.file_access.allowed_paths.",
  ),
  runner_unavailable: row(
    1111,
    "backoff",
    "hl-runner cannot be reached",
    "Check `systemctl status hl-runner@USER`; in a checkout run scripts/build-native.sh and read what it says.",
  ),
  claude_unavailable: row(
    1201,
    "never",
    "the agent's executable is missing, not executable, or failed to start",
    "Check claude_integration.binary_path; data.stderr_tail has its last words.",
  ),
  claude_process_unknown: row(
    1202,
    "never",
    "no agent with this process_id",
    "`hl-client claude list` lists them; start one with claude/start.",
  ),
  claude_timeout: row(
    1203,
    "backoff",
    "the agent did not answer in time",
    "The turn was interrupted and the agent is usable; raise the timeout for long turns.",
  ),
  claude_exited: row(
    1204,
    "backoff",
    "the agent died before it answered",
    "data has the exit code and its last stderr lines, and whether the message was sent. Where claude_integration.restart_on_failure is on the agent comes back with its conversation; else start it again with resume.",
  ),
  claude_busy: row(
    1205,
    "backoff",
    "a turn is in flight and the queue is full",
    "Wait for the turn to end, or interrupt it.",
  ),
  claude_session_in_use: row(
    1206,
    "never",
    "an agent that runs has the session that another was to go on with",
    "Relay to data.process_id, or stop it first.",
  ),
  claude_refused: row(
    1207,
    "never",
    "the agent answered, and refuses what it was asked: it has no such request, as an interrupt over jsonrpc, or not now",
    "The agent goes on as before; end a turn that cannot be interrupted by its timeout or with claude/stop.",
  ),
  config_invalid: row(
    1301,
    "never",
    "the configuration is not valid",
    "data.validation_errors lists every problem; nothing was changed.",
  ),
  config_read_only: row(
    1302,
    "never",
    "this section cannot be changed remotely",
    "Edit the file on the VM and reload.",
  ),
  config_not_saved: row(
    1303,
    "backoff",
    "the change could not be written to the overrides file, so nothing was changed",
    "Look at the data folder's disk and permissions; where it was full the error is no_space.",
  ),
  queue_full: row(
    1401,
    "backoff",
    "the event, or a start that would bring more of them, was refused because the spool is full; nothing accepted is lost",
    "Wait until the cloud has taken some: `hl-client health` shows spool.depth.",
  ),
  epoch_conflict: row(
    1403,
    "never",
    "the cloud has another event under this epoch and sequence number",
    "The VM was restored from a snapshot or cloned: the daemon begins a new epoch by itself and sends the event again.",
  ),
  cloud_restarted: row(
    1404,
    "backoff",
    "hl-cloud does not know that the daemon knows which events it has: it may have come from a backup",
    "Nothing to do: the daemon compares data.events_acked with its own, and sends again what is missing.",
  ),
  event_invalid: row(1402, "never", "the event is malformed", "See event/stream in docs/protocol.md."),
  file_not_found: row(1501, "never", "no such file", "Check the path; relative paths start at the workspace."),
  file_exists: row(1502, "never", "the file exists already", "Choose another name or remove it first."),
  file_too_large: row(
    1503,
    "never",
    "the file is larger than one answer may be",
    "Read it in ranges with offset and length.",
  ),
  not_a_directory: row(1504, "never", "a part of the path is not a directory", "Check the path."),
  no_space: row(1505, "backoff", "the disk is full", "Free some space; the daemon goes on running."),
  file_changed: row(
    1506,
    "never",
    "the file is not what the caller expects it to be",
    "data.sha256 is what it is now: read it again, and decide anew.",
  ),
  not_a_file: row(
    1507,
    "never",
    "the path is a folder, a device or something else without a content of its own",
    "file/stat says what it is; file/list reads folders.",
  ),
  directory_not_empty: row(1508, "never", "the folder is not empty", "Ask with recursive to remove all that it holds."),
  upload_offset: row(
    1509,
    "never",
    "a part of an upload does not continue what has arrived",
    "data.received_bytes says where to go on.",
  ),
  checksum_mismatch: row(
    1510,
    "never",
    "what has arrived is not what was sent",
    "The upload was thrown away: begin anew, with another upload_id if somebody else may use this one.",
  ),
  workspace_lost: row(
    1511,
    "backoff",
    "hl-workspace, which serves file/*, ended before it answered",
    "Ask again: it is started anew. Whether a change was made is not known, but no file is half written.",
  ),
  store_failing: row(
    1512,
    "backoff",
    "the daemon's disk refuses to be written, or its corrupt database is being saved",
    "Look at the disk of the data folder: `hl-client health` has its words. Whether the request was recorded is not known: send it again under the same id.",
  ),
  approval_unknown: row(1601, "never", "no such approval", "`hl-client approvals list` shows the open ones."),
  approval_decided: row(
    1602,
    "never",
    "the approval was decided already",
    "data.decision says what was decided and data.decided_by by whom; the first decision counts.",
  ),
  approval_input_changed: row(
    1603,
    "never",
    "the decision is about another input than the agent's request has",
    "data.input_hash is the one of the request: look at it again (`hl-client approvals list`) and decide anew.",
  ),
  approval_closed: row(
    1604,
    "never",
    "the approval waits no longer: it was withdrawn, has expired or was lost with its agent",
    "data.state says which. Nothing was run; where the agent still needs it, it asks again.",
  ),
  instance_offline: row(
    1701,
    "backoff",
    "the VM is not connected",
    "The request is delivered when it reconnects if it can be queued; see `GET /v1/instances`.",
  ),
  instance_unknown: row(
    1702,
    "never",
    "no instance with this id",
    "`GET /v1/instances` lists them; enrol one with `hl-cloud enroll`.",
  ),
  enrollment_invalid: row(
    1703,
    "never",
    "the enrolment token is unknown, used up or has expired",
    "Make a new one: `hl-cloud enroll --home DIR --instance ID`.",
  ),
  token_superseded: row(
    1704,
    "never",
    "the refresh token was replaced and its successor is in use",
    "The identity may have been copied: enrol the VM again.",
  ),
  outcome_unknown: row(
    1705,
    "never",
    "the daemon restarted while this request ran; whether it had an effect is not known",
    "Look before you repeat it; it is never repeated by itself.",
  ),
  identity_in_use: row(
    1706,
    "backoff",
    "another daemon is connected under the same identity",
    "A copied VM must be enrolled under an instance id of its own (`hl-cloud enroll`); where the other one is the copy, stop that.",
  ),
  instance_revoked: row(
    1707,
    "never",
    "an operator has revoked this VM",
    "Its events are kept and it takes no work; `hl-cloud enroll --home DIR --instance ID` and the new token let it in again.",
  ),
  protocol_unsupported: row(
    1708,
    "never",
    "the two sides have no version of the protocol in common",
    "data.supported lists what the other side speaks: upgrade the older one.",
  ),
  session_ended: row(
    1709,
    "backoff",
    "the session on the command channel has ended",
    "Begin a new one with vm/hello; what was not answered comes again there.",
  ),
} as const satisfies Record<string, ErrorSpec>;

export type ErrorType = keyof typeof errorTable;

const typeByCode = new Map<number, ErrorType>(
  Object.entries(errorTable).map(([type, spec]) => [spec.code, type as ErrorType]),
);

export function errorTypeOf(code: number): ErrorType | undefined {
  return typeByCode.get(code);
}

/** A failure that was expected. Anything else that is thrown is a bug and leaves the program as `internal_error`. */
export class HlError extends Error {
  override readonly name = "HlError";
  readonly type: ErrorType;
  readonly facts: Readonly<Record<string, unknown>>;

  constructor(type: ErrorType, message: string, facts: Readonly<Record<string, unknown>> = {}, options?: ErrorOptions) {
    super(message, options);
    this.type = type;
    this.facts = facts;
  }

  get code(): number {
    return errorTable[this.type].code;
  }
}
