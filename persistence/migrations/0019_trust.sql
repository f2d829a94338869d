-- How far people are trusted, by what happened and by who vouches for whom.
--
--   trust_events          what happened, for good: added to, never changed, deleted when it counts for nothing any more
--   trust_relationships   who vouches for whom now
--   trust_seeds           whose word others build on, as the platform's staff named them
--   trust_standings       what reached each person by others' words, by the number of steps: what the next change builds on
--   trust_unsettled       what has changed and is not worked out yet

-- 0.2 is actors.trust.START. A double: a real would make 0.7 less than 0.7.
alter table accounts add column trust double precision not null default 0.2 check (trust between 0 and 1);
comment on column accounts.trust is 'the present score, in thousandths of [0, 1]; written by the job trust.settle and by the pass of each day';

-- What a device that attaches is told of its account's trust: by the account's key, also where it was planned on an empty table.
create function account_trust(p_user bigint) returns double precision
language sql stable
set enable_seqscan = 'off'
as $$
    select a.trust from accounts a where a.id = p_user
$$;

create table trust_events (
    id       bigint generated always as identity primary key,
    user_id  bigint not null,                       -- about whom
    kind     smallint not null,                     -- actors.trust.FactKind
    day      integer not null default floor(extract(epoch from now()) / 86400)::integer,   -- since 1970, UTC
    at       timestamptz not null default now(),
    actor    bigint not null default 0,             -- who says so
    space_id bigint not null default 0,             -- where; 0: the platform
    subject  bigint not null default 0,             -- what it is about; 0: nothing
    weight   double precision not null default 1 check (weight between 0 and 1)
);
create index trust_events_by_user on trust_events (user_id, id);
create index trust_events_given on trust_events (actor, at) where kind = 1;
create index trust_events_by_day on trust_events (day);
create unique index trust_events_once on trust_events (user_id, kind, subject) where subject <> 0;
comment on table trust_events is 'facts; owner: user_id; kept for four years (actors.trust.FACTS_KEPT_DAYS), then the pass of the day deletes them';

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is added to and never changed', tg_table_name using errcode = 'restrict_violation';
end $$;
create trigger trust_events_stand before update on trust_events for each row execute function refuse_change();

create table trust_relationships (
    endorser bigint not null,
    endorsed bigint not null,
    space_id bigint not null,
    weight   double precision not null default 1 check (weight between 0 and 1),
    day      integer not null,                      -- when it was said last, in days since 1970
    at       timestamptz not null default now(),
    primary key (endorser, endorsed, space_id),
    check (endorser <> endorsed)
);
create index trust_relationships_by_endorsed on trust_relationships (endorsed, endorser);
comment on table trust_relationships is
    'who vouches for whom; owner: the endorser, who has at most 200; gone when withdrawn, or after four years without being said again';

create table trust_seeds (
    user_id  bigint primary key,
    named_by bigint not null,
    at       timestamptz not null default now()
);
comment on table trust_seeds is 'named by the platform''s staff, at most 10,000; owner: the platform; gone when they are named no longer';

create table trust_standings (
    user_id bigint primary key,
    levels  integer[] not null                      -- actors.trust_flow.Levels; only who received something has a row
) with (fillfactor = 80);
comment on table trust_standings is 'owner: user_id; worked out anew by the pass of each day';

-- A change of a word (both), or of what somebody keeps or is (endorsed 0). Claimed by deletion.
create table trust_unsettled (
    id       bigint generated always as identity primary key,
    endorser bigint not null,
    endorsed bigint not null default 0,
    at       timestamptz not null default now()
);
comment on table trust_unsettled is 'owner: the job trust.settle, which deletes what it has worked out; seconds old';

-- Whoever changes what trust is made of leaves word here, whatever way it is changed.
create function trust_word_changed() returns trigger language plpgsql as $$
begin
    insert into trust_unsettled (endorser, endorsed) values (coalesce(new.endorser, old.endorser), coalesce(new.endorsed, old.endorsed));
    return null;
end $$;
create trigger trust_relationships_change after insert or update or delete on trust_relationships
    for each row execute function trust_word_changed();

create function trust_person_changed() returns trigger language plpgsql as $$
begin
    insert into trust_unsettled (endorser) values (coalesce(new.user_id, old.user_id));
    return null;
end $$;
create trigger trust_seeds_change after insert or delete on trust_seeds for each row execute function trust_person_changed();
-- 3, 4, 6, 7: the kinds that scores are made of (persistence.trust.COUNTED).
create trigger trust_events_come after insert on trust_events
    for each row when (new.kind in (3, 4, 6, 7)) execute function trust_person_changed();
create trigger trust_events_go after delete on trust_events
    for each row when (old.kind in (3, 4, 6, 7)) execute function trust_person_changed();

-- A proven address is a fact, with its weight: 1 it was proven, 0 it was taken away.
create function trust_address_changed() returns trigger language plpgsql as $$
begin
    insert into trust_events (user_id, kind, actor, weight) values (new.id, 8, new.id, (new.email_verified_at is not null)::integer);
    insert into trust_unsettled (endorser) values (new.id);
    return null;
end $$;
create trigger accounts_address_change after update of email_verified_at on accounts
    for each row when ((old.email_verified_at is null) <> (new.email_verified_at is null)) execute function trust_address_changed();

-- day: for which everything was worked out last. passing_until: a pass is under way; what changes meanwhile waits for it.
create table trust_clock (
    only_row      boolean primary key default true check (only_row),
    day           integer not null,
    passing_until timestamptz not null default 'epoch'
);
comment on table trust_clock is 'one row; owner: the platform; whoever settles or passes locks it first';
insert into trust_clock (day) values (floor(extract(epoch from now()) / 86400)::integer);
