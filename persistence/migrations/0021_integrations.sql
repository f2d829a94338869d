-- What other systems may do here, what is told to them, and the log of who did what.
--
--   audit_log      only grows: a trigger refuses every change but by the functions that keep its months
--   accounts (kind 1) ── api_keys ── sessions that were opened with a key
--   webhooks ─┬─ webhook_cursors      how far a subscription has come in each stream of its community
--             └─ webhook_deliveries   what became of each attempt
--
-- A subscription has no queue of its own: what is due to it is "what came in stream S after n", read from the log.

-- The audit log.
--
-- A row is never changed. Rows are deleted by two functions alone: prepare_audit_partitions moves what a month without a partition left in the
-- default one, prune_audit lets go of whole months. Both open the door for themselves only, for as long as they run.
create function refuse_audit_change() returns trigger
language plpgsql as $$
begin
    if tg_op = 'DELETE' and coalesce(current_setting('educonnect.audit_keeper', true), '') = 'on' then
        return old;
    end if;
    raise exception 'the audit log is only ever added to' using errcode = 'insufficient_privilege';
end $$;
create trigger audit_log_append_only before update or delete on audit_log for each row execute function refuse_audit_change();
-- A truncation fires the trigger of the table that is named, so that each partition has its own.
create trigger audit_log_not_truncated before truncate on audit_log for each statement execute function refuse_audit_change();
do $$
declare
    v_partition regclass;
begin
    for v_partition in select inhrelid::regclass from pg_inherits where inhparent = 'audit_log'::regclass loop
        execute format('create trigger audit_log_not_truncated before truncate on %s for each statement execute function refuse_audit_change()',
            v_partition);
    end loop;
end $$;

create index audit_log_by_time on audit_log (at, id);
create index audit_log_by_subject on audit_log (subject, at) where subject is not null;
create index audit_log_by_action on audit_log (action, at);

create or replace function prepare_audit_partitions(p_months_ahead integer default 3) returns integer
language plpgsql
set educonnect.audit_keeper = 'on'
as $$
declare
    v_start timestamptz;
    v_name text;
    v_created integer := 0;
begin
    -- One at a time, or two starting programs would both create the same month.
    perform pg_advisory_xact_lock(hashtext('audit_log'));
    for v_month in 0 .. p_months_ahead loop
        v_start := date_trunc('month', now() at time zone 'UTC') at time zone 'UTC';
        v_start := (v_start at time zone 'UTC' + make_interval(months => v_month)) at time zone 'UTC';
        v_name := 'audit_log_' || to_char(v_start at time zone 'UTC', 'YYYY_MM');
        continue when to_regclass(v_name) is not null;
        execute format('create table %I (like audit_log including defaults including constraints)', v_name);
        execute format(
            'with moved as (delete from audit_log_default where at >= %L and at < %L returning *) insert into %I select * from moved',
            v_start, (v_start at time zone 'UTC' + interval '1 month') at time zone 'UTC', v_name);
        execute format(
            'alter table audit_log attach partition %I for values from (%L) to (%L)',
            v_name, v_start, (v_start at time zone 'UTC' + interval '1 month') at time zone 'UTC');
        execute format('create trigger audit_log_not_truncated before truncate on %I for each statement execute function refuse_audit_change()',
            v_name);
        v_created := v_created + 1;
    end loop;
    return v_created;
end $$;

-- Lets go of months that ended before p_before, and of what older rows the default partition holds. Returns how many partitions went.
create function prune_audit(p_before timestamptz) returns integer
language plpgsql
set educonnect.audit_keeper = 'on'
set lock_timeout = '2s'
as $$
declare
    v_partition text;
    v_dropped integer := 0;
begin
    if p_before > now() - interval '30 days' then
        raise exception 'the audit log is kept for 30 days at least' using errcode = 'invalid_parameter_value';
    end if;
    perform pg_advisory_xact_lock(hashtext('audit_log'));
    for v_partition in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'audit_log'::regclass and c.relname ~ '^audit_log_\d{4}_\d{2}$' order by c.relname
    loop
        continue when (to_date(right(v_partition, 7), 'YYYY_MM') + interval '1 month') at time zone 'UTC' > p_before;
        execute format('drop table %I', v_partition);
        v_dropped := v_dropped + 1;
    end loop;
    delete from audit_log_default where at < p_before;
    return v_dropped;
end $$;

-- Service accounts and their keys.
--
-- A service account is an account like any other, but that it has no password (an empty hash compares with nothing) and belongs to a
-- community, or to the platform (owner_space null).
alter table accounts add column kind smallint not null default 0;       -- 0 a person, 1 a service
alter table accounts add column owner_space bigint;
create index accounts_services on accounts (owner_space, id) where kind = 1;

-- A service is a member of no community but its own, and no owner of that.
create function keep_services_home() returns trigger
language plpgsql as $$
begin
    if exists (
        select from accounts a join spaces s on s.id = new.space_id
        where a.id = new.user_id and a.kind = 1 and s.kind = 1 and (a.owner_space is distinct from new.space_id or new.role = 1)
    ) then
        raise exception 'a service belongs to one community' using errcode = 'check_violation';
    end if;
    return new;
end $$;
create trigger members_services before insert or update of role on members for each row execute function keep_services_home();

create table api_keys (
    id           bigint generated always as identity primary key,
    prefix       text not null unique,              -- the part that is shown, and finds the row
    hash         bytea not null check (octet_length(hash) = 32),  -- sha256 of the secret part: 32 random bytes need no slow hash
    user_id      bigint not null references accounts (id) on delete cascade,
    space_id     bigint,                            -- where it holds; null: on the platform
    name         text not null check (length(name) between 1 and 80),
    scopes       bigint not null,                   -- the sum of 2^permission; what the account may not do is not in them
    created_by   bigint not null,
    created_at   timestamptz not null default now(),
    expires_at   timestamptz not null,
    last_used_at timestamptz,
    revoked_at   timestamptz
) with (fillfactor = 80);
comment on table api_keys is 'Keys of service accounts, at most 20 living ones an account; deleted 90 days after their end.';
create index api_keys_by_user on api_keys (user_id, id);
create index api_keys_ended on api_keys (least(expires_at, revoked_at));

-- A session that was opened with a key ends with it, and a service has no others: nothing that it opens outlives its key.
alter table sessions add column api_key bigint;
create index sessions_by_api_key on sessions (api_key) where api_key is not null;
create function keep_services_keyed() returns trigger
language plpgsql as $$
begin
    if exists (select from accounts a where a.id = new.user_id and a.kind = 1) then
        raise exception 'a service has sessions by its keys only' using errcode = 'check_violation';
    end if;
    return new;
end $$;
create trigger sessions_services before insert on sessions for each row when (new.api_key is null) execute function keep_services_keyed();
-- Checked for every row that is written from now on; there are no services yet.
alter table accounts add constraint services_have_no_password check (kind = 0 or (password_hash = '' and email is null)) not valid;

-- Webhooks.
create table webhooks (
    id            bigint generated always as identity primary key,
    space_id      bigint not null references spaces (id) on delete cascade,
    name          text not null check (length(name) between 1 and 80),
    url           text not null check (length(url) <= 500),
    kinds         smallint[] not null,              -- tags of protocol.events
    role          smallint not null check (role in (1, 2, 4, 8)),  -- it is told what a member of this role may read
    secret        bytea not null,                   -- sealed by the gateway; unreadable here
    former_secret bytea,                            -- signs beside the new one until former_until
    former_until  timestamptz,
    state         smallint not null default 1 check (state between 1 and 3),  -- 1 active, 2 paused by somebody, 3 given up for failing
    reason        text not null default '',
    attempts      integer not null default 0,       -- failed ones of the event that is next
    failing_since timestamptz,
    due_at        timestamptz not null default now(),
    lease         bigint not null default 0,        -- counts who took it; only the last may settle
    leased_until  timestamptz not null default '-infinity',
    delivered     bigint not null default 0,
    delivered_at  timestamptz,
    created_by    bigint not null,
    created_at    timestamptz not null default now()
) with (fillfactor = 50);
comment on table webhooks is 'Subscriptions of communities to their events, at most 10 a community.';
create index webhooks_by_space on webhooks (space_id, id);
create index webhooks_due on webhooks (due_at) where state = 1;

-- A stream without a row was opened after the subscription: it is read from its beginning.
create table webhook_cursors (
    webhook_id bigint not null references webhooks (id) on delete cascade,
    stream_id  bigint not null,
    after      bigint not null,
    replays    integer not null default 0,          -- how often it was set back: an attempt under way then must not set it on
    primary key (webhook_id, stream_id)
) with (fillfactor = 50);
comment on table webhook_cursors is 'How far a subscription has come in a stream of its community; as many as the community has streams.';

create table webhook_deliveries (
    id         bigint generated always as identity primary key,
    webhook_id bigint not null references webhooks (id) on delete cascade,
    stream_id  bigint not null,
    seq        bigint not null,
    attempt    integer not null,
    at         timestamptz not null default now(),
    status     smallint not null,                   -- of HTTP; 0: no answer
    took_ms    integer not null,
    answer     text not null                        -- its first bytes, or why there was none
);
comment on table webhook_deliveries is 'Every attempt, for webhooks.log_days.';
create index webhook_deliveries_by_webhook on webhook_deliveries (webhook_id, id);
create index webhook_deliveries_by_time on webhook_deliveries (at);

-- Which active subscriptions have something after their cursors, and nobody at work. Also those whose worker was killed: their lease is over.
create function webhooks_due(p_limit integer) returns setof bigint
language sql stable as $$
    select w.id from webhooks w
    where w.state = 1 and w.due_at <= clock_timestamp() and w.leased_until <= clock_timestamp()
        and exists (
            select from streams s left join webhook_cursors c on c.webhook_id = w.id and c.stream_id = s.id
            where s.space_id = w.space_id and s.read_roles & w.role <> 0 and s.head > coalesce(c.after, 0)
        )
    order by w.due_at limit p_limit
$$;

-- Takes a subscription, if it is due and nobody has it, and tells the next event that it wants: the oldest of its streams' next ones. Streams
-- with nothing wanted within the window are passed over that far. found false: nothing to send now; behind: there may be more at once.
create function webhook_take(p_webhook bigint, p_lease_s double precision, p_window integer)
returns table (
    found boolean, behind boolean, lease bigint, space bigint, url text, secret bytea, former_secret bytea, attempts integer, failing_s bigint,
    stream bigint, seq bigint, kind smallint, author bigint, at bigint, body bytea, replays integer
)
language plpgsql as $$
#variable_conflict use_column
declare
    w webhooks;
begin
    select * into w from webhooks
        where id = p_webhook and state = 1 and due_at <= clock_timestamp() and leased_until <= clock_timestamp()
        for no key update skip locked;
    if not found then
        return;
    end if;
    return query
    with behind as materialized (
        select s.id as stream, coalesce(c.after, 0) as after, coalesce(c.replays, 0) as replays, least(s.head, coalesce(c.after, 0) + p_window) as upto,
            s.head, e.seq, e.kind, e.author, e.at, e.body
        from streams s
        left join webhook_cursors c on c.webhook_id = w.id and c.stream_id = s.id
        left join lateral (
            select l.seq, l.kind, l.author, l.at, l.body from log l
            where l.stream_id = s.id and l.seq > coalesce(c.after, 0) and l.seq <= coalesce(c.after, 0) + p_window and l.kind = any (w.kinds)
            order by l.seq limit 1
        ) e on true
        where s.space_id = w.space_id and s.read_roles & w.role <> 0 and s.head > coalesce(c.after, 0)
    ),
    passed as (
        insert into webhook_cursors as c (webhook_id, stream_id, after)
        select w.id, b.stream, b.upto from behind b where b.seq is null
        on conflict (webhook_id, stream_id) do update set after = excluded.after where c.after < excluded.after
    ),
    next as (
        select * from behind b where b.seq is not null order by b.at, b.stream limit 1
    ),
    taken as (
        update webhooks h set lease = h.lease + 1, leased_until = clock_timestamp() + make_interval(secs => p_lease_s)
        where h.id = w.id and exists (select from next) returning h.lease
    )
    select n.seq is not null, n.seq is not null or exists (select from behind b where b.upto < b.head),
        t.lease, w.space_id, w.url, w.secret, case when w.former_until > clock_timestamp() then w.former_secret end, w.attempts,
        coalesce(extract(epoch from clock_timestamp() - w.failing_since), 0)::bigint,
        n.stream, n.seq, n.kind, n.author, n.at, n.body, n.replays
    from (select 1) as one left join next n on true left join taken t on true;
end $$;
