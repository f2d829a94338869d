-- Every row that an append or an attachment needs is found by its key, whatever the statistics say.
--
-- A connection keeps the plan of its first call. Where that was made while tables were known to be empty (vacuumed before they were used),
-- joins walked through all of devices, streams, accounts, sessions, read markers or outcomes for each batch, and went on so while the tables
-- grew: after a storm each retry would have read every outcome of every device. Now each of these tables is asked for the batch's own keys
-- (`= any`, which an index always takes), or for one row at a time (LIMIT). The functions are otherwise as they were.

create or replace function journal_append(
    p_user bigint[], p_device bigint[], p_generation integer[], p_number bigint[], p_digest bigint[],
    p_kind smallint[], p_stream bigint[], p_target bigint[], p_body bytea[], p_refusal smallint[], p_detail text[],
    p_mention_at integer[], p_mention_user bigint[]
) returns table (code smallint, value bigint, detail text, replayed boolean, stream bigint, seq bigint, at bigint, audience_version integer)
language plpgsql
set lock_timeout = '5s'     -- a stuck transaction elsewhere must cost one batch, not the journal
set plan_cache_mode = 'force_generic_plan' set enable_seqscan = 'off'
as $$
#variable_conflict use_column
declare
    v_code smallint[];              -- by position; 0: so far nothing speaks against it; -1: known, its stored outcome is the answer
    v_fresh boolean[];              -- to be decided now, and if it carries a number, that is consumed
    v_into bigint[] := p_stream;    -- where its event goes
    v_value bigint[];               -- known outcomes and read markers
    v_detail text[] := p_detail;
    v_silent boolean[];             -- succeeds without an event: a read marker that was there already
    v_at bigint;
begin
    perform d.id from devices d where d.id = any (p_device) order by d.id for update;

    -- Counting the entries that come after last_number is enough, because numbers ascend: the k-th of them is fresh exactly if it is
    -- last_number + k.
    select array_agg(c.code order by c.pos), array_agg(c.code = 0 order by c.pos)
    into v_code, v_fresh
    from (
        select e.pos,
            (case
                when e.device = 0 then 0
                when d.id is null then 4004
                when e.number > d.last_number then
                    case when e.number = d.last_number + row_number() over (partition by d.id, e.number > d.last_number order by e.pos)
                    then 0 else 8 end
                when e.number <= d.last_number - 256 then 9
                else -1
            end)::smallint as code
        from unnest(p_user, p_device, p_generation, p_number) with ordinality as e (user_id, device, generation, number, pos)
        left join devices d on d.id = e.device and d.user_id = e.user_id and d.generation = e.generation and d.id = any (p_device)
    ) c;

    if -1 = any (v_code) then
        select array_agg(
                   (case when e.code <> -1 then e.code when o.number is null then 9 when o.digest <> e.digest then 10 else o.code end)::smallint
                   order by e.pos),
               array_agg(case when e.code = -1 and o.digest = e.digest then o.value end order by e.pos),
               array_agg(case when e.code = -1 then o.detail else e.detail end order by e.pos)
        into v_code, v_value, v_detail
        from unnest(p_device, p_number, p_digest, v_code, p_detail) with ordinality as e (device, number, digest, code, detail, pos)
        left join lateral (
            select o.number, o.digest, o.code, o.value, o.detail from outcomes o
            where e.code = -1 and o.device_id = e.device and o.slot = e.number % 256 and o.number = e.number limit 1
        ) o on true;
    else
        v_value := array_fill(null::bigint, array[cardinality(p_device)]);
    end if;

    if 23 = any (p_kind) then
        select array_agg(case when e.kind = 23 then a.inbox else e.stream end order by e.pos)
        into v_into
        from unnest(p_kind, p_stream, p_user) with ordinality as e (kind, stream, user_id, pos)
        left join accounts a on a.id = e.user_id and e.kind = 23 and a.id = any (p_user);
    end if;

    perform s.id from streams s where s.id = any (v_into) order by s.id for update;
    v_at := extract(epoch from clock_timestamp())::bigint;

    -- Authority, in a new snapshot. Whoever is not a member learns nothing, not even that the stream exists. Fresh entries only: a known
    -- one keeps the answer it had.
    select array_agg(
        (case
            when not e.fresh then e.code
            when e.refusal <> 0 then e.refusal
            when s.id is null then 17
            when e.device = 0 and e.user_id = 0 then 0
            when m.role is null then 17
            when e.kind = 23 then
                case when m.role & s.read_roles = 0 then 16 when e.target > s.head then 1 else 0 end
            when m.role & s.write_roles = 0 then 16
            when e.kind = 4 then
                coalesce((select case when l.kind in (1, 6) then 0 when l.kind = 5 then 26 else 17 end
                          from log l where l.stream_id = e.stream and l.seq = e.target), 17)
            when e.kind = 6 and e.target > s.head then 17
            else 0
        end)::smallint order by e.pos)
    into v_code
    from unnest(p_user, p_device, p_kind, p_stream, p_target, p_refusal, v_code, v_fresh) with ordinality
        as e (user_id, device, kind, stream, target, refusal, code, fresh, pos)
    left join streams s on s.id = e.stream and s.id = any (p_stream)
    -- LIMIT keeps the planner at one look-up by the whole key. As a plain join it took the index by space alone and walked through every
    -- member of a large community for each post (263 ms for 1,000 posts into a space of 2,000).
    left join lateral (select m.role from members m where m.space_id = s.space_id and m.user_id = e.user_id limit 1) m on true;

    v_silent := array_fill(false, array[cardinality(p_device)]);
    if 23 = any (p_kind) then
        -- Under the inbox's lock: two devices of one person cannot both move the same marker.
        select array_agg(coalesce(k.mark, e.value) order by e.pos), array_agg(k.mark is not null and k.mark >= k.target and k.known order by e.pos)
        into v_value, v_silent
        from unnest(v_value) with ordinality as e (value, pos)
        left join (
            select r.pos, r.target, greatest(r.target, r.before) as mark, r.before >= r.target as known
            from (
                select f.pos, f.target, greatest(coalesce(t.seq, 0), coalesce(max(f.target) over (
                           partition by f.user_id, f.stream order by f.pos rows between unbounded preceding and 1 preceding), 0)) as before
                from unnest(p_user, p_kind, p_stream, p_target, v_code, v_fresh) with ordinality
                    as f (user_id, kind, stream, target, code, fresh, pos)
                left join lateral (
                    select t.seq from read_markers t where t.user_id = f.user_id and t.stream_id = f.stream limit 1
                ) t on true
                where f.kind = 23 and f.code = 0 and f.fresh
            ) r
        ) k on k.pos = e.pos;
        insert into read_markers as t (user_id, stream_id, seq)
            select f.user_id, f.stream, max(f.target)
            from unnest(p_user, p_kind, p_stream, p_target, v_code, v_fresh) as f (user_id, kind, stream, target, code, fresh)
            where f.kind = 23 and f.code = 0 and f.fresh
            group by f.user_id, f.stream
            order by f.user_id, f.stream
        on conflict (user_id, stream_id) do update set seq = excluded.seq where excluded.seq > t.seq;
    end if;

    return query
    with numbered as materialized (
        select e.*, s.audience_version,
            case when e.written then s.head + row_number() over (partition by e.stream, e.written order by e.pos) end as seq
        from (
            select u.*, u.fresh and u.code = 0 and not u.silent as written
            from unnest(p_user, p_device, p_number, p_digest, p_kind, v_into, p_target, p_body, v_detail, v_code, v_fresh, v_value, v_silent)
                with ordinality
                as u (user_id, device, number, digest, kind, stream, target, body, detail, code, fresh, value, silent, pos)
        ) e
        left join streams s on s.id = e.stream and s.id = any (v_into)
    ),
    logged as (
        insert into log (stream_id, seq, kind, author, at, target, body)
        select n.stream, n.seq, n.kind, n.user_id, v_at, case when n.kind = 4 then n.target end, n.body from numbered n where n.written
    ),
    counted as (
        update streams s set head = g.head
        from (select n.stream, max(n.seq) as head from numbered n where n.written group by n.stream) g
        where s.id = g.stream and s.id = any (v_into)
    ),
    advanced as (
        update devices d set last_number = g.number, seen_at = now()
        from (select n.device, max(n.number) as number from numbered n where n.fresh and n.device <> 0 group by n.device) g
        where d.id = g.device and d.id = any (p_device)
    ),
    recorded as (
        insert into outcomes as o (device_id, slot, number, digest, code, value, detail)
        select n.device, n.number % 256, n.number, n.digest, n.code,
               case when n.code = 0 then coalesce(n.value, n.seq, 0) else 0 end, n.detail
        from numbered n where n.fresh and n.device <> 0
        on conflict (device_id, slot) do update
            set number = excluded.number, digest = excluded.digest, code = excluded.code, value = excluded.value, detail = excluded.detail
    ),
    mentioned as (
        insert into outbox (kind, user_id, stream_id, seq, author)
        select 22, m.user_id, n.stream, n.seq, n.user_id
        from unnest(p_mention_at, p_mention_user) as m (pos, user_id)
        join numbered n on n.pos = m.pos
        where n.written and m.user_id <> n.user_id
    )
    select n.code, case when n.code = 0 then coalesce(n.value, n.seq, 0) else 0::bigint end, n.detail,
           not n.fresh and n.code not in (4004, 8, 9, 10),
           n.stream, n.seq, v_at, n.audience_version
    from numbered n order by n.pos;
end $$;

create or replace function append_events(
    p_stream bigint[], p_author bigint[], p_kind smallint[], p_target bigint[], p_body bytea[],
    p_bump bigint[] default '{}',
    p_guard bigint[] default '{}', p_guard_version integer[] default '{}',
    p_channel bigint default null, p_name text default null, p_read_roles smallint default null, p_write_roles smallint default null,
    p_device bigint default 0, p_number bigint default 0, p_digest bigint default 0,
    p_code smallint default 0, p_value bigint default 0, p_value_at integer default 0, p_detail text default null
) returns table (seq bigint, at bigint, audience_version integer)
language plpgsql
set lock_timeout = '5s'
set plan_cache_mode = 'force_generic_plan' set enable_seqscan = 'off'
as $$
#variable_conflict use_column
declare
    v_at bigint;
    v_seq bigint[];
    v_version integer[];
    v_value bigint := p_value;
begin
    perform s.id from streams s where s.id = any (p_stream || p_bump || p_guard || p_channel) order by s.id for update;
    if exists (
        select from unnest(p_guard, p_guard_version) as g (stream, version)
        left join streams s on s.id = g.stream and s.id = any (p_guard) where s.audience_version is distinct from g.version
    ) then
        raise exception 'the audience has changed' using errcode = 'ED001';
    end if;
    v_at := extract(epoch from clock_timestamp())::bigint;
    if cardinality(p_bump) > 0 then
        update streams s set audience_version = s.audience_version + 1 where s.id = any (p_bump);
    end if;
    if p_channel is not null then
        update streams s set name = p_name, read_roles = p_read_roles, write_roles = p_write_roles where s.id = p_channel;
    end if;
    if cardinality(p_stream) > 0 then
        with numbered as materialized (
            select e.*, s.head + row_number() over (partition by e.stream order by e.pos) as seq, s.audience_version
            from unnest(p_stream, p_author, p_kind, p_target, p_body) with ordinality as e (stream, author, kind, target, body, pos)
            join streams s on s.id = e.stream and s.id = any (p_stream)
        ),
        logged as (
            insert into log (stream_id, seq, kind, author, at, target, body)
            select n.stream, n.seq, n.kind, n.author, v_at, nullif(n.target, 0), n.body from numbered n
        ),
        counted as (
            update streams s set head = g.head
            from (select n.stream, max(n.seq) as head from numbered n group by n.stream) g
            where s.id = g.stream and s.id = any (p_stream)
        )
        select array_agg(n.seq order by n.pos), array_agg(n.audience_version order by n.pos) into v_seq, v_version from numbered n;
        if cardinality(v_seq) is distinct from cardinality(p_stream) then
            raise exception 'a stream does not exist: %', p_stream using errcode = 'foreign_key_violation';
        end if;
    end if;
    if p_value_at > 0 then
        v_value := v_seq[p_value_at];
    end if;
    if p_device <> 0 then
        update devices d set last_number = p_number, seen_at = now() where d.id = p_device;
        insert into outcomes as o (device_id, slot, number, digest, code, value, detail)
        values (p_device, p_number % 256, p_number, p_digest, p_code, v_value, p_detail)
        on conflict (device_id, slot) do update
            set number = excluded.number, digest = excluded.digest, code = excluded.code, value = excluded.value, detail = excluded.detail;
    end if;
    return query select n.seq, v_at, n.version from unnest(v_seq, v_version) as n (seq, version);
end $$;

create or replace function attach_devices(p_session bigint[], p_user bigint[], p_device bigint[], p_gateway integer[])
returns table (
    code smallint, generation integer, last_number bigint, inbox bigint, session_expires bigint, display_name text, previous_gateway integer
)
language plpgsql
set lock_timeout = '5s'
set plan_cache_mode = 'force_generic_plan' set enable_seqscan = 'off'
as $$
#variable_conflict use_column
begin
    perform d.id from devices d where d.id = any (p_device) order by d.id for update;
    return query
    with judged as materialized (
        select q.pos, q.device, q.gateway, d.generation, d.last_number, d.gateway as previous_gateway, a.inbox, a.display_name,
            extract(epoch from s.expires_at)::bigint as session_expires,
            (case
                when s.id is null or a.id is null or s.revoked_at is not null or a.disabled_at is not null then 4003
                when d.id is null or s.device_id <> d.id then 16
                when s.expires_at <= clock_timestamp() then 4002
                else 0
            end)::smallint as code
        from unnest(p_session, p_user, p_device, p_gateway) with ordinality as q (session, user_id, device, gateway, pos)
        left join sessions s on s.id = q.session and s.user_id = q.user_id and s.id = any (p_session)
        left join accounts a on a.id = q.user_id and a.id = any (p_user)
        left join devices d on d.id = q.device and d.user_id = q.user_id and d.id = any (p_device)
    ),
    taken as (
        update devices d set generation = d.generation + 1, gateway = j.gateway, seen_at = now()
        from judged j where j.code = 0 and d.id = j.device and d.id = any (p_device)
    )
    select j.code, j.generation + 1, j.last_number, j.inbox, j.session_expires, j.display_name, j.previous_gateway
    from judged j order by j.pos;
end $$;
