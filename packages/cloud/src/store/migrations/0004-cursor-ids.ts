/** Never edited after a release: a change is a new file. */
export const cursorIds = `
-- Which event has the number: after a restore another daemon, a copy of the first, may have used it for another one.
alter table event_cursors add column event_id text;
`;
