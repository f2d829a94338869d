-- Records: what devices keep and change offline. The rules are in protocol/entities.py and protocol/merge.py; here is where things stand.
--
--   streams ─┬─ records            as they are now: version and cells (value, version, stamp of each field), msgpack
--            ├─ tombstones         as they were when they were deleted, until the horizon
--            ├─ entity_versions    values that lost, were overwritten unseen, attempts, earlier content: kept
--            ├─ sync_conflicts     two who did not know of each other, and what was decided
--            └─ sync_queue         what was refused or came after its writer had left: kept, applied by nobody yet
--   devices ─┬─ device_sync_state  when and with what a device was last here
--            └─ offline_content_cache   which streams it keeps
--
-- Each row belongs to one stream, and by that to one placement. Cells are never looked into here.

alter table spaces drop constraint spaces_kind_check;
alter table spaces add constraint spaces_kind_check check (kind between 0 and 4);
alter table spaces add column parent bigint;                          -- of an enrolment: its community
alter table streams add column floor bigint not null default 0;       -- events up to here are no longer kept: take a snapshot

create table records (
    stream_id bigint not null,
    entity    smallint not null,
    key       bigint not null,
    version   bigint not null,
    cells     bytea not null,
    primary key (stream_id, entity, key)
) with (fillfactor = 80);

create table tombstones (
    stream_id  bigint not null,
    entity     smallint not null,
    key        bigint not null,
    version    bigint not null,
    cells      bytea not null,
    deleted_at timestamptz not null default now(),
    deleted_by bigint not null,
    primary key (stream_id, entity, key)
);
create index tombstones_by_age on tombstones (deleted_at);

create table entity_versions (
    stream_id bigint not null,
    entity    smallint not null,
    key       bigint not null,
    place     bigint generated always as identity,  -- orders them
    version   bigint not null,                      -- the record's when it was current; 0: it never was
    kept      smallint not null,                    -- protocol.values.KeptAs
    author    bigint not null,
    device_id bigint not null,
    number    bigint not null,
    at        bigint not null,                      -- Unix seconds, bounded
    fields    bytea not null,
    primary key (stream_id, entity, key, place)
);

create table sync_conflicts (
    id         bigint generated always as identity primary key,
    stream_id  bigint not null,
    space_id   bigint not null,
    entity     smallint not null,
    key        bigint not null,
    user_id    bigint not null,                     -- who wrote `mine`
    device_id  bigint not null,
    number     bigint not null,
    state      smallint not null,                   -- protocol.values.ConflictState
    at         bigint not null,                     -- Unix seconds, when it was found
    written_at bigint not null,                     -- when mine was written, bounded
    base       bigint not null,
    version    bigint not null,                     -- the record's that mine met
    mine       bytea not null,
    theirs     bytea not null,
    common     bytea not null,
    gone       boolean not null default false,      -- mine deletes
    decided_by bigint not null default 0,           -- who claimed or decided it
    decided_at timestamptz,
    choice     smallint not null default 0
);
-- Whoever goes on writing before they decided still has one conflict about the record.
create unique index sync_conflicts_open on sync_conflicts (stream_id, entity, key, user_id) where state in (1, 2);
create index sync_conflicts_by_user on sync_conflicts (user_id, id);
create index sync_conflicts_by_space on sync_conflicts (space_id, id) where state in (1, 2);

create table sync_queue (
    id          bigint generated always as identity,
    space_id    bigint not null,                    -- the community it was for, else the person's own space
    user_id     bigint not null,
    device_id   bigint not null,
    number      bigint not null,
    at          timestamptz not null default now(),
    code        smallint not null,                  -- protocol.codes.Code
    detail      text not null default '',
    operation   bytea not null,                     -- as it was sent
    quarantined boolean not null default false,     -- its writer had left the community when it came
    closed_at   timestamptz,                        -- released or discarded
    primary key (space_id, id)
) partition by hash (space_id);
create table sync_queue_0 partition of sync_queue for values with (modulus 8, remainder 0);
create table sync_queue_1 partition of sync_queue for values with (modulus 8, remainder 1);
create table sync_queue_2 partition of sync_queue for values with (modulus 8, remainder 2);
create table sync_queue_3 partition of sync_queue for values with (modulus 8, remainder 3);
create table sync_queue_4 partition of sync_queue for values with (modulus 8, remainder 4);
create table sync_queue_5 partition of sync_queue for values with (modulus 8, remainder 5);
create table sync_queue_6 partition of sync_queue for values with (modulus 8, remainder 6);
create table sync_queue_7 partition of sync_queue for values with (modulus 8, remainder 7);
create index sync_queue_by_user on sync_queue (user_id, id) where closed_at is null;
create index sync_queue_by_space on sync_queue (space_id, id) where closed_at is null;

create table device_sync_state (
    device_id   bigint primary key,
    user_id     bigint not null,
    pushed      bigint not null default 0,          -- changes that were decided
    refused     bigint not null default 0,          -- of those, refused
    pushed_at   timestamptz,
    skew_s      integer not null default 0,         -- how far its clock is behind ours, as last measured
    quota_bytes bigint not null default 0,
    held_at     timestamptz
) with (fillfactor = 50);

create table offline_content_cache (
    device_id bigint not null,
    stream_id bigint not null,
    rank      smallint not null default 0,
    primary key (device_id, stream_id)
);

-- What every person, community and membership has beside what it had before. Fills in whatever is missing, so it may run at any time: also
-- for what the previous version creates while both run.
create function enrol(p_space bigint, p_user bigint) returns void
language plpgsql as $$
declare
    v_enrolment bigint;
begin
    insert into spaces (kind, name, members, created_by, pair_key, parent)
        values (4, '', 1, p_user, 'enrolment:' || p_space || ':' || p_user, p_space)
        on conflict (pair_key) do nothing returning id into v_enrolment;
    if v_enrolment is null then
        select id into v_enrolment from spaces where pair_key = 'enrolment:' || p_space || ':' || p_user;
    else
        insert into streams (space_id, kind, read_roles, write_roles, placement)
            values (v_enrolment, 9, 1, 0, p_space), (v_enrolment, 10, 1, 0, p_space);
    end if;
    insert into members (space_id, user_id, role) values (v_enrolment, p_user, 1) on conflict do nothing;
end $$;

create function follow_membership() returns trigger
language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        if exists (select from spaces s where s.id = new.space_id and s.kind = 1) then
            perform enrol(new.space_id, new.user_id);
        end if;
    elsif exists (select from spaces s where s.id = old.space_id and s.kind = 1) then
        delete from members m using spaces s
        where s.pair_key = 'enrolment:' || old.space_id || ':' || old.user_id and m.space_id = s.id and m.user_id = old.user_id;
    end if;
    return null;
end $$;
create trigger members_enrol after insert or delete on members for each row execute function follow_membership();

create function complete_spaces() returns void
language sql as $$
    insert into streams (space_id, kind, read_roles, write_roles, placement)
        select s.id, k.kind, k.read_roles, 0, s.id
        from spaces s join (values (3, 8, 1), (1, 11, 15), (1, 12, 15)) as k (of_kind, kind, read_roles) on k.of_kind = s.kind
        where not exists (select from streams t where t.space_id = s.id and t.kind = k.kind)
        order by s.id, k.kind;
    select enrol(m.space_id, m.user_id) from members m join spaces s on s.id = m.space_id and s.kind = 1
    where not exists (
        select from spaces e join members n on n.space_id = e.id
        where e.pair_key = 'enrolment:' || m.space_id || ':' || m.user_id and n.user_id = m.user_id)
    order by m.space_id, m.user_id;
$$;
select complete_spaces();

create or replace function create_account(p_name citext, p_display_name text, p_password_hash text, out user_id bigint, out inbox bigint)
language plpgsql as $$
declare
    v_space bigint;
begin
    insert into accounts (name, display_name, password_hash) values (p_name, p_display_name, p_password_hash) returning id into user_id;
    insert into spaces (kind, name, members, created_by) values (3, '', 1, user_id) returning id into v_space;
    insert into members (space_id, user_id, role) values (v_space, create_account.user_id, 1);
    insert into streams (space_id, kind, name, read_roles, write_roles, placement)
        values (v_space, 1, '', 1, 0, v_space) returning id into inbox;
    insert into streams (space_id, kind, read_roles, write_roles, placement) values (v_space, 8, 1, 0, v_space);
    update accounts a set personal_space = v_space, inbox = create_account.inbox where a.id = create_account.user_id;
end $$;
