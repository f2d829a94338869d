-- Models: which versions there are, which are in use, and the files of those that were trained here.
--
--   models ──▶ model_files   (card.files name them by hash; what no card names is removed with the last card that did)
--
-- Of nobody: cards and files hold what was learned from many, and no row of anybody's.

create table models (
    name       text not null check (name ~ '^[a-z][a-z0-9_-]{0,39}$'),
    version    text not null check (version ~ '^[0-9a-z][0-9a-z._-]{0,39}$'),
    card       jsonb not null check (pg_column_size(card) <= 65536),
    state      smallint not null check (state between 0 and 4),          -- actors.model_book.State
    percent    smallint not null default 0 check (percent between 0 and 100),
    shipped    boolean not null,                                         -- its files come with the program, not from model_files
    chosen     boolean not null default false,                           -- somebody promoted it: a newer shipped one does not replace it
    made_at    timestamptz not null default now(),
    changed_at timestamptz not null default now(),
    active_at  timestamptz,                                              -- when it was last made active: a rollback goes to the one before
    primary key (name, version)
);
create unique index models_active on models (name) where state = 3;
create unique index models_canary on models (name) where state = 2;
comment on table models is 'of nobody; retired versions beyond the last ten of a name go when another one is offered';

create table model_files (
    sha256  text primary key check (sha256 ~ '^[0-9a-f]{64}$'),
    content bytea not null check (octet_length(content) <= 64 * 1024 * 1024)
);
alter table model_files alter column content set storage external; -- arrays of floats hardly compress
comment on table model_files is 'of nobody; a file goes with the last card that names it';

create table model_audits (
    model  text not null,
    at     timestamptz not null default clock_timestamp(),
    report jsonb not null check (pg_column_size(report) <= 262144),      -- actors.model_book.Audited
    alarms integer not null,
    primary key (model, at)
);
comment on table model_audits is 'of nobody: shares of groups; the last sixty of each model';
