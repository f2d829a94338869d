-- Keys of requests (Idempotency-Key): each is a device that says one thing, so that the journal's own numbers keep a retry from being done
-- twice. Owner: the account, with which it goes; kept for a day (persistence.http_writing). Devices of people have none.
alter table devices add column idempotency bytea check (octet_length(idempotency) = 32);
create unique index devices_by_idempotency on devices (user_id, idempotency) where idempotency is not null;
create index devices_forgotten on devices (seen_at) where idempotency is not null;
