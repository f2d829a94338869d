-- Where a device is pushed to, sealed: a copy of the database alone tells nobody's endpoints and keys.
--
--   subscribe ─▶ sealed, sealed_by, hash of another kind │ plain, while a worker of the version before lives: it would read a seal as an
--   hourly job ─▶ plain rows, and those of older keys, are sealed                              endpoint that is none, and forget the row
--
-- A sealed row is found by another hash than a plain one, so that a gateway of the version before, which writes plain rows, meets no sealed
-- one; the job lets the newer, plain one take its place. After going back to the version before, devices subscribe again.

alter table push_subscriptions add column sealed bytea not null default '' check (octet_length(sealed) <= 4096);    -- actors.push.Subscription
alter table push_subscriptions add column sealed_by text not null default '' check (length(sealed_by) <= 40);       -- the key's name; '': not sealed
create index push_subscriptions_by_seal on push_subscriptions (sealed_by);

alter table job_workers add column opens_seals boolean not null default false;   -- whether it can push to a sealed subscription

-- Erasing a community looks for what people were told of it.
create index notices_by_space on notices (space_id) where space_id <> 0;

-- Who was told of a community without being in it, once the notice of that is gone for its age: the inbox still says what it is called.
create table told_outside (
    space_id bigint not null,
    user_id  bigint not null,
    primary key (space_id, user_id)
);
create index told_outside_by_user on told_outside (user_id);
comment on table told_outside is 'owner: the community and the person, gone with either; a row a community and person, however often they were told';
