/** Never edited after a release: a change is a new file. */
export const standing = `
alter table instances add column fence integer not null default 0;
alter table instances add column revoked_at_ms integer;
alter table instances add column identity_in_use_at_ms integer;
alter table families add column revoked_at_ms integer;
`;
