-- The append: the one place where numbers are given, mutations are counted, and authority is checked.
--
--   lock devices ─▶ classify by number ─▶ lock streams ─▶ check authority ─▶ number, insert, count, record
--   sorted          fresh·known·refused   sorted          fresh snapshot     one statement
--
-- READ COMMITTED: every statement of a volatile function sees what was committed before that statement began. So authority is read in a
-- statement of its own after the stream's row is locked, and every transaction that takes authority away updates that same row: either it
-- came first and is seen, or it waits. One lock order for all (devices, spaces, log rows, streams, each sorted) keeps it free of deadlocks:
-- an UPDATE ... FROM promises no order, and cost 184 deadlocks a second with four writers.

-- The hot path: a batch of Say, Post, React, MarkRead and entries that were refused before they came here. One answer per entry, in order.
-- Precondition: within one call a device's numbers strictly ascend and span less than the ring of outcomes.
--   p_stream  what the operation names                    p_kind  the event's tag; 23 (ReadUpTo) goes into the author's inbox instead
--   p_target  message reacted to, answered, or read up to p_refusal  0, or the code with which the entry was refused beforehand
create function journal_append(
    p_user bigint[], p_device bigint[], p_generation integer[], p_number bigint[], p_digest bigint[],
    p_kind smallint[], p_stream bigint[], p_target bigint[], p_body bytea[], p_refusal smallint[], p_detail text[],
    p_mention_at integer[], p_mention_user bigint[]
) returns table (code smallint, value bigint, detail text, replayed boolean, stream bigint, seq bigint, at bigint, audience_version integer)
language plpgsql
set lock_timeout = '5s'     -- a stuck transaction elsewhere must cost one batch, not the journal
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
        left join devices d on d.id = e.device and d.user_id = e.user_id and d.generation = e.generation
    ) c;

    if -1 = any (v_code) then
        select array_agg(
                   (case when e.code <> -1 then e.code when o.number is null then 9 when o.digest <> e.digest then 10 else o.code end)::smallint
                   order by e.pos),
               array_agg(case when e.code = -1 and o.digest = e.digest then o.value end order by e.pos),
               array_agg(case when e.code = -1 then o.detail else e.detail end order by e.pos)
        into v_code, v_value, v_detail
        from unnest(p_device, p_number, p_digest, v_code, p_detail) with ordinality as e (device, number, digest, code, detail, pos)
        left join outcomes o on o.device_id = e.device and o.slot = e.number % 256 and o.number = e.number;
    else
        v_value := array_fill(null::bigint, array[cardinality(p_device)]);
    end if;

    if 23 = any (p_kind) then
        select array_agg(case when e.kind = 23 then a.inbox else e.stream end order by e.pos)
        into v_into
        from unnest(p_kind, p_stream, p_user) with ordinality as e (kind, stream, user_id, pos)
        left join accounts a on a.id = e.user_id and e.kind = 23;
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
    left join streams s on s.id = e.stream
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
                left join read_markers t on t.user_id = f.user_id and t.stream_id = f.stream
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
        left join streams s on s.id = e.stream
    ),
    logged as (
        insert into log (stream_id, seq, kind, author, at, target, body)
        select n.stream, n.seq, n.kind, n.user_id, v_at, case when n.kind = 4 then n.target end, n.body from numbered n where n.written
    ),
    counted as (
        update streams s set head = g.head
        from (select n.stream, max(n.seq) as head from numbered n where n.written group by n.stream) g
        where s.id = g.stream
    ),
    advanced as (
        update devices d set last_number = g.number, seen_at = now()
        from (select n.device, max(n.number) as number from numbered n where n.fresh and n.device <> 0 group by n.device) g
        where d.id = g.device
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

-- The slow path's beginning: locks the device and says whether the entry is new. admitted: carry it out; otherwise code is the answer.
create function admit_entry(
    p_user bigint, p_device bigint, p_generation integer, p_number bigint, p_digest bigint,
    out admitted boolean, out code smallint, out value bigint, out detail text, out replayed boolean
) language plpgsql
set lock_timeout = '5s'
as $$
declare
    v_last bigint;
    v_outcome outcomes;
begin
    admitted := false; value := 0; replayed := false; code := 0;
    if p_device = 0 then
        admitted := true;
        return;
    end if;
    select d.last_number into v_last from devices d
    where d.id = p_device and d.user_id = p_user and d.generation = p_generation for update;
    if not found then
        code := 4004;
    elsif p_number = v_last + 1 then
        admitted := true;
    elsif p_number > v_last then
        code := 8;
    else
        -- A new statement, so a new snapshot: whoever held the device before us has committed its outcome.
        select * into v_outcome from outcomes o where o.device_id = p_device and o.slot = p_number % 256 and o.number = p_number;
        if not found or p_number <= v_last - 256 then
            code := 9;
        elsif v_outcome.digest <> p_digest then
            code := 10;
        else
            code := v_outcome.code; value := v_outcome.value; detail := v_outcome.detail; replayed := true;
        end if;
    end if;
end $$;

-- The slow path's end, always its last call: locks every stream it touches in sorted order, raises audience versions, changes a channel,
-- numbers and inserts the events, and records the entry's outcome (unless p_device is 0).
--   p_guard    streams whose audience must still be as it was when the caller decided; otherwise everything is undone (SQLSTATE ED001)
--   p_value_at the position of the event whose number is the outcome's value; 0: p_value is
create function append_events(
    p_stream bigint[], p_author bigint[], p_kind smallint[], p_target bigint[], p_body bytea[],
    p_bump bigint[] default '{}',
    p_guard bigint[] default '{}', p_guard_version integer[] default '{}',
    p_channel bigint default null, p_name text default null, p_read_roles smallint default null, p_write_roles smallint default null,
    p_device bigint default 0, p_number bigint default 0, p_digest bigint default 0,
    p_code smallint default 0, p_value bigint default 0, p_value_at integer default 0, p_detail text default null
) returns table (seq bigint, at bigint, audience_version integer)
language plpgsql
set lock_timeout = '5s'
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
        left join streams s on s.id = g.stream where s.audience_version is distinct from g.version
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
            join streams s on s.id = e.stream
        ),
        logged as (
            insert into log (stream_id, seq, kind, author, at, target, body)
            select n.stream, n.seq, n.kind, n.author, v_at, nullif(n.target, 0), n.body from numbered n
        ),
        counted as (
            update streams s set head = g.head
            from (select n.stream, max(n.seq) as head from numbered n group by n.stream) g where s.id = g.stream
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
