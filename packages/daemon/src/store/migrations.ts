/**
 * The schema, one step a version; a step is never edited once released, only followed by another.
 * One database holds everything, so that one transaction covers it (S5).
 */
export const migrations: readonly string[] = [
  `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

  -- The spool. AUTOINCREMENT: a sequence number is never used again, also after the newest rows were deleted (S3).
  CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    body TEXT NOT NULL,
    accepted_ms INTEGER NOT NULL
  );
  CREATE TABLE dead_letters (
    seq INTEGER PRIMARY KEY,
    body TEXT NOT NULL,
    reason TEXT NOT NULL,
    refused_ms INTEGER NOT NULL
  );
  -- One row: everything up to acked_seq has been taken by the cloud.
  CREATE TABLE delivery (id INTEGER PRIMARY KEY CHECK (id = 1), acked_seq INTEGER NOT NULL);
  INSERT INTO delivery VALUES (1, 0);

  CREATE TABLE commands (
    command_id TEXT PRIMARY KEY,
    run_id TEXT NOT NULL,
    params_hash TEXT NOT NULL,
    command TEXT NOT NULL,
    args TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    ending TEXT
  ) WITHOUT ROWID;
  CREATE INDEX commands_by_start ON commands (started_ms);

  -- Requests of the cloud that are not idempotent by themselves: recorded before they begin (C1), answered again after a reconnect (C2).
  CREATE TABLE inbox (
    request_id TEXT PRIMARY KEY,
    method TEXT NOT NULL,
    received_ms INTEGER NOT NULL,
    answer TEXT
  ) WITHOUT ROWID;
  `,
  `
  -- Retention: bytes of output that the log of a finished command holds, and the order in which they go.
  ALTER TABLE commands ADD COLUMN log_bytes INTEGER NOT NULL DEFAULT 0;
  CREATE INDEX commands_by_end ON commands (ended_ms, command_id) WHERE ended_ms IS NOT NULL;
  `,
  `
  -- What of an agent cannot be read in its log. Its run has the same name. log_position: up to there its output is accounted for.
  CREATE TABLE agents (
    process_id TEXT PRIMARY KEY,
    session_id TEXT NOT NULL,
    workspace_path TEXT NOT NULL,
    protocol TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    pid INTEGER,
    agent_version TEXT,
    ready_ms INTEGER,
    turns INTEGER NOT NULL DEFAULT 0,
    log_position INTEGER NOT NULL DEFAULT 0,
    ended_ms INTEGER,
    exit_code INTEGER
  ) WITHOUT ROWID;
  -- One row a relay; outcome is NULL while it is in flight. line: only where it is longer than one frame to the shim, and only until the end.
  CREATE TABLE agent_turns (
    process_id TEXT NOT NULL,
    uuid TEXT NOT NULL,
    relay_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    line_hash TEXT NOT NULL,
    line_bytes INTEGER NOT NULL,
    line BLOB,
    input_offset INTEGER NOT NULL,
    began_at INTEGER NOT NULL,
    ended_at INTEGER,
    outcome TEXT,
    PRIMARY KEY (process_id, uuid)
  ) WITHOUT ROWID;
  CREATE INDEX agent_turns_by_number ON agent_turns (process_id, number);
  `,
  `
  -- Lanes (packages/protocol/src/event-lanes.ts): one sequence for all, a place in each. What was accepted before keeps its order in one.
  ALTER TABLE events ADD COLUMN lane TEXT NOT NULL DEFAULT 'session';
  CREATE INDEX events_by_lane ON events (lane, seq);
  -- acked_seq: the cloud has taken everything of the lane up to it. base_seq: the same when the epoch began.
  -- forgotten_seq: the newest that it had taken and that is no longer here.
  CREATE TABLE lanes (
    lane TEXT PRIMARY KEY,
    acked_seq INTEGER NOT NULL DEFAULT 0,
    forgotten_seq INTEGER NOT NULL DEFAULT 0,
    base_seq INTEGER NOT NULL DEFAULT 0
  ) WITHOUT ROWID;
  INSERT INTO lanes (lane) VALUES ('critical'), ('session'), ('log'), ('metric');
  UPDATE lanes SET acked_seq = (SELECT acked_seq FROM delivery);
  UPDATE lanes SET forgotten_seq =
    min(acked_seq, coalesce((SELECT min(seq) FROM events) - 1, acked_seq)) WHERE lane = 'session';
  DROP TABLE delivery;
  `,
  `
  -- Permission requests of agents. body: the approval as callers see it. bytes: its size. An agent's request is asked for once.
  CREATE TABLE approvals (
    approval_id TEXT PRIMARY KEY,
    process_id TEXT NOT NULL,
    agent_request_id TEXT NOT NULL,
    state TEXT NOT NULL,
    ended_ms INTEGER,
    bytes INTEGER NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (process_id, agent_request_id)
  );
  CREATE INDEX approvals_by_end ON approvals (ended_ms) WHERE ended_ms IS NOT NULL;
  `,
  `
  -- What agents said and did, as claude/subscribe tells it. body: the event as callers get it. run_id, log_position, line_index: which event
  -- of which line of the log it is: after a crash the log is read again, and what is here already is not taken twice.
  CREATE TABLE agent_events (
    process_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    log_position INTEGER NOT NULL,
    line_index INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (process_id, seq)
  );
  -- As JSON; what those that are forgotten have used is in meta.
  ALTER TABLE agents ADD COLUMN usage TEXT;
  `,
  `
  -- Restarts. life: number of the process, from 0; its run has that in its name. attempts: restarts in a row. restart_at_ms: the process has
  -- ended, and the next begins then. launch: what it is started with again, as long as it may be.
  ALTER TABLE agents ADD COLUMN life INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE agents ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE agents ADD COLUMN restart_at_ms INTEGER;
  ALTER TABLE agents ADD COLUMN launch TEXT;
  ALTER TABLE agent_turns ADD COLUMN life INTEGER NOT NULL DEFAULT 0;
  `,
  `
  -- 1: its line was written while another turn was in flight.
  ALTER TABLE agent_turns ADD COLUMN steered INTEGER NOT NULL DEFAULT 0;
  `,
  `
  -- Which event forgotten_seq is of: the cloud may name another one under that number.
  ALTER TABLE lanes ADD COLUMN forgotten_id TEXT;
  `,
];
