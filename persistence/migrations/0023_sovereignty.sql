-- Whose data it is: where a community's may be kept and for how long, what was erased and must stay so, and archives that wait to be fetched.

alter table spaces add column region text not null default '' check (length(region) <= 40);   -- where its data may be kept; '': anywhere
alter table spaces add column retention_days integer check (retention_days between 1 and 36500);   -- messages are kept for; null: for ever
create index spaces_with_retention on spaces (id) where retention_days is not null;
alter table streams add column cleared bigint not null default 0;       -- messages up to here are gone for their age

-- What was erased. It outlives what it is about, and is written to a file outside the database as well: whoever restores a backup erases by it.
create table erasures (
    id       bigint generated always as identity primary key,
    kind     smallint not null check (kind in (1, 2)),                  -- 1 a community, 2 a person
    subject  bigint not null,
    born     timestamptz not null,                  -- when it was made: a restored database may give its identifier to another
    asked_by bigint not null,                       -- an account; 0: the command line, or the list of a restored backup
    asked_at timestamptz not null default now(),
    step     text not null default '' check (length(step) <= 80),      -- how far it is
    rows     bigint not null default 0,             -- deleted or emptied so far
    done_at  timestamptz,
    unique (kind, subject, born)
);
comment on table erasures is 'Numbers and times alone: nothing of what was erased.';
create index erasures_open on erasures (id) where done_at is null;

create table archives (
    id         bigint generated always as identity primary key,
    kind       smallint not null check (kind in (1, 2)),                -- as in erasures
    subject    bigint not null,
    asked_by   bigint not null,
    asked_at   timestamptz not null default now(),
    ready_at   timestamptz,
    bytes      bigint not null default 0,
    sha256     bytea,
    error      text not null default '' check (length(error) <= 400),
    expires_at timestamptz not null default now() + interval '7 days'
);
comment on table archives is 'Exports that wait to be fetched by who asked; one of a subject at a time, deleted after a week.';
create unique index archives_by_subject on archives (kind, subject, asked_by);
create index archives_by_age on archives (expires_at);

create table archive_parts (
    archive_id bigint not null references archives (id) on delete cascade,
    place      integer not null,
    bytes      bytea not null check (octet_length(bytes) <= 262144),
    primary key (archive_id, place)
);
