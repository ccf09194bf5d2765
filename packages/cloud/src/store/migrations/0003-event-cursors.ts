/** Never edited after a release: a change is a new file. */
export const eventCursors = `
create index events_by_seq on events (instance_id, epoch, seq);

-- What is here of each lane of an epoch, told to a daemon that connects: it sends again what this lacks.
create table event_cursors (
  instance_id text not null,
  epoch text not null,
  lane text not null,
  seq integer not null,
  primary key (instance_id, epoch, lane)
) strict, without rowid;

-- Before there were lanes all events of an epoch came in one order.
insert into event_cursors
  select instance_id, epoch, lane, max(seq) from events,
    (select 'critical' as lane union all select 'session' union all select 'log' union all select 'metric')
  group by instance_id, epoch, lane;
`;
