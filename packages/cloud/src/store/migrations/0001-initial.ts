/** Never edited after a release: a change is a new file. */
export const initial = `
create table instances (
  id text primary key,
  workspace_id text not null,
  registration_id text not null unique,
  registered_at_ms integer not null,
  last_seen_ms integer not null,
  daemon_version text,
  epoch text,
  boot_id text,
  capabilities text not null,
  system_info text not null,
  network_info text,
  health text,
  health_at_ms integer,
  heartbeat text,
  fenced_at_ms integer
) strict;

create table families (
  id text primary key,
  instance_id text not null,
  generation integer not null,
  current_hash text not null,
  current_rotation text not null,
  previous_hash text,
  issued_at_ms integer not null,
  used integer not null,
  fenced_at_ms integer
) strict;
create index families_by_instance on families (instance_id);

create table enrollments (
  token_hash text primary key,
  instance_id text not null,
  workspace_id text,
  expires_at_ms integer not null,
  family_id text
) strict;

create table operators (
  name text primary key,
  role text not null,
  token_hash text not null unique,
  created_at_ms integer not null
) strict;

create table events (
  row integer primary key autoincrement,
  instance_id text not null,
  event_id text not null,
  epoch text not null,
  seq integer not null,
  received_at_ms integer not null,
  body text not null,
  unique (instance_id, event_id)
) strict;
create index events_by_instance on events (instance_id, row);
create index events_by_age on events (received_at_ms);

create table requests (
  number integer primary key autoincrement,
  id text not null unique,
  instance_id text not null,
  operator text not null,
  method text not null,
  params text not null,
  state text not null,
  created_at_ms integer not null,
  settled_at_ms integer,
  answer text
) strict;
create index requests_unsettled on requests (instance_id, number) where settled_at_ms is null;
create index requests_settled on requests (settled_at_ms) where settled_at_ms is not null;
`;
