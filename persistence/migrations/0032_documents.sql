-- Documents that people write together: streams of opaque updates, with a state that a newcomer begins from.
--
--   Update ─▶ journal_append: generation, pen, size ─▶ log                 document_tails: how much came since the state was made
--                                                        ╰─ every so often ─▶ job document.compact ─▶ documents.state, document_set_aside
--   NameVersion ─▶ document_versions: the state and what came after it, as it is       RestoreVersion ─▶ another generation
--
-- Nothing here opens an update: what is packed together is opened in a process that may be killed.

create table documents (
    stream_id   bigint primary key,
    space_id    bigint not null references spaces (id) on delete cascade,
    created_by  bigint not null,
    created_at  timestamptz not null default now(),
    write_roles smallint not null,                  -- while it is put away, its stream has none
    archived    boolean not null default false,
    generation  bigint not null check (generation between 1 and 2147483647),   -- drawn, so that a restored database repeats none
    upto        bigint not null default 0,          -- the state is that after this event of the stream
    state       bytea not null default '',          -- updates, packed (protocol.documents); '': empty
    compacted_at timestamptz not null default now()
) with (fillfactor = 70);
alter table documents alter column state set storage external;      -- it is read in parts, and is compact as it is
create index documents_by_space on documents (space_id);
comment on table documents is 'owner: the community, gone with it';

-- Written by the append alone, under the stream's lock. An operation that wrote here would hold what the append, with the stream, waits for.
create table document_tails (
    stream_id bigint primary key,
    bytes     bigint not null,                      -- of updates ever taken
    updates   bigint not null,
    cleared_bytes   bigint not null default 0,      -- of these, what is in the state
    cleared_updates bigint not null default 0
) with (fillfactor = 50);
comment on table document_tails is 'owner: the document, gone with it; a row each';

create table document_pens (
    stream_id bigint not null,
    pen       bigint not null,                      -- a Yjs client
    user_id   bigint not null,
    reach     bigint not null,                      -- where what it added ends; what it adds next begins no later
    primary key (stream_id, pen)
) with (fillfactor = 80);
create index document_pens_by_user on document_pens (user_id);
comment on table document_pens is 'owner: the document, gone with it; a person''s pens go with them';

create table document_versions (
    id         bigint generated always as identity primary key,
    stream_id  bigint not null,
    space_id   bigint not null references spaces (id) on delete cascade,
    generation bigint not null,
    upto       bigint not null,                     -- what the state is: the document after this event
    until      bigint not null check (until >= upto),   -- what it is to be; a job brings it there
    name       text not null check (length(name) <= 80),
    by         bigint not null,                     -- 0: kept when another one was restored
    at         timestamptz not null default now(),
    state      bytea not null
);
alter table document_versions alter column state set storage external;
create index document_versions_by_document on document_versions (stream_id, id);
create index document_versions_by_space on document_versions (space_id);
comment on table document_versions is 'owner: the document, gone with it; at most persistence.documents.operations.VERSIONS_MAX each';

create table document_set_aside (
    stream_id bigint not null,
    seq       bigint not null,
    words     text not null check (length(words) <= 2000),      -- what the sandbox said of it
    at        timestamptz not null default now(),
    primary key (stream_id, seq)
);
comment on table document_set_aside is 'updates that no reader can apply; owner: the document, gone with it';

create function forget_document() returns trigger language plpgsql as $$
begin
    delete from document_tails t where t.stream_id = old.stream_id;
    delete from document_pens p where p.stream_id = old.stream_id;
    delete from document_set_aside a where a.stream_id = old.stream_id;
    return old;
end $$;
create trigger documents_forget after delete on documents for each row execute function forget_document();

-- Judges and counts the updates of a batch, under their streams' locks. p_target: generation * 2^32 + pen; p_from, p_upto: what it adds.
-- Answers the codes; `until_ms` is when what came too soon (SLOWED) may come again, in Unix milliseconds.
create function judge_updates(
    p_user bigint[], p_kind smallint[], p_stream bigint[], p_target bigint[], p_body bytea[], p_code smallint[], p_fresh boolean[],
    p_from bigint[], p_upto bigint[]
) returns table (code smallint[], until_ms bigint[])
language plpgsql
set plan_cache_mode = 'force_generic_plan' set enable_seqscan = 'off'
as $$
#variable_conflict use_column
declare
    v_code smallint[];
    v_until bigint[];
    v_due bigint[];
    v_size constant bigint := 4 * 1024 * 1024;      -- protocol.documents.STATE_BYTES_MAX
    v_tail constant bigint := 20 * 1024 * 1024;     -- what came since; a compaction that does not come must not fill the disk
    v_job_bytes constant bigint := 256 * 1024;      -- so much, or so many, and a job makes a new state
    v_job_updates constant bigint := 500;
begin
    select array_agg(
               (case
                   when not e.mine then e.code
                   when e.generation is null then 17
                   when e.generation <> e.target >> 32 then 29
                   when e.pen = 0 then case when e.tail > v_tail then 35 else 0 end
                   -- A pen is its first user's, in the batch as in the table.
                   when e.holder <> e.user_id then 16
                   -- What is full is still deleted from.
                   when e.size > v_size then 25
                   when e.tail > v_tail then 35
                   -- After one that leaves something out all of that pen do.
                   when e.behind then 29
                   else 0
               end)::smallint order by e.pos),
           array_agg(case when e.mine and e.tail > v_tail then (extract(epoch from clock_timestamp()) * 1000)::bigint + 5000 end order by e.pos)
    into v_code, v_until
    from (select e.*, bool_or(e.leaps) over (partition by e.stream, e.target, e.mine order by e.pos) as behind from (
        select e.*, d.generation, octet_length(d.state) as size,
            coalesce(p.user_id, first_value(e.user_id) over (partition by e.stream, e.target, e.mine order by e.pos)) as holder,
            coalesce(t.bytes - t.cleared_bytes, 0) + sum(octet_length(e.body)) over (partition by e.stream, e.mine order by e.pos) as tail,
            e.low > greatest(coalesce(p.reach, 0), coalesce(max(e.high) over (
                partition by e.stream, e.target, e.mine order by e.pos rows between unbounded preceding and 1 preceding), 0)) as leaps
        from (
            select e.*, e.target & 4294967295 as pen, e.code = 0 and e.fresh and e.kind = 80 as mine
            from unnest(p_user, p_kind, p_stream, p_target, p_body, p_code, p_fresh, p_from, p_upto) with ordinality
                as e (user_id, kind, stream, target, body, code, fresh, low, high, pos)
        ) e
        left join lateral (select d.generation, d.state from documents d where e.mine and d.stream_id = e.stream limit 1) d on true
        left join lateral (
            select p.user_id, p.reach from document_pens p where e.mine and p.stream_id = e.stream and p.pen = e.pen limit 1
        ) p on true
        left join lateral (select t.bytes, t.cleared_bytes from document_tails t where e.mine and t.stream_id = e.stream limit 1) t on true
    ) e) e;

    insert into document_pens as p (stream_id, pen, user_id, reach)
        select e.stream, e.target & 4294967295, min(e.user_id), max(e.high)
        from unnest(p_user, p_kind, p_stream, p_target, v_code, p_fresh, p_upto) as e (user_id, kind, stream, target, code, fresh, high)
        where e.kind = 80 and e.fresh and e.code = 0 and e.target & 4294967295 > 0
        group by e.stream, e.target & 4294967295 order by 1, 2
    on conflict (stream_id, pen) do update set reach = excluded.reach where excluded.reach > p.reach;

    with came as (
        select e.stream, sum(octet_length(e.body)) as bytes, count(*) as updates
        from unnest(p_kind, p_stream, p_body, v_code, p_fresh) as e (kind, stream, body, code, fresh)
        where e.kind = 80 and e.fresh and e.code = 0 group by e.stream
    ),
    counted as (
        insert into document_tails as t (stream_id, bytes, updates)
            select c.stream, c.bytes, c.updates from came c order by c.stream
        on conflict (stream_id) do update set bytes = t.bytes + excluded.bytes, updates = t.updates + excluded.updates
        returning t.stream_id, t.bytes - t.cleared_bytes as bytes, t.updates - t.cleared_updates as updates
    )
    select array_agg(n.stream_id order by n.stream_id) into v_due
    from counted n join came c on c.stream = n.stream_id
    where n.bytes / v_job_bytes > (n.bytes - c.bytes) / v_job_bytes
        or n.updates / v_job_updates > (n.updates - c.updates) / v_job_updates;
    -- Where nothing is taken for want of a state the job is asked for each time: one that failed for good would be waited for, for ever.
    select array_agg(distinct d.stream order by d.stream) into v_due
    from (
        select unnest(v_due) as stream
        union all select e.stream from unnest(p_stream, v_code, p_code) as e (stream, code, before) where e.code = 35 and e.before = 0
    ) d;
    if v_due is not null then
        -- Their streams are locked, and nobody orders this job by its key but who holds that lock.
        perform enqueue_job('document.compact', compact_order(d.stream_id), p_key => 'document:' || d.stream_id, p_space => d.space_id)
        from documents d where d.stream_id = any (v_due);
    end if;
    return query select v_code, v_until;
end $$;

-- msgpack of [stream], as persistence.documents.compaction reads it.
create function compact_order(p_stream bigint) returns bytea language sql immutable as $$
    select '\x91cf'::bytea || int8send(p_stream)
$$;

-- As before, but that documents take updates and nothing else does, and that nothing else is said in a document. p_from, p_upto: what an
-- update adds (0, 0: nothing, as of everything that is no update).

create function journal_append(
    p_user bigint[], p_device bigint[], p_generation integer[], p_number bigint[], p_digest bigint[],
    p_kind smallint[], p_stream bigint[], p_target bigint[], p_body bytea[], p_refusal smallint[], p_detail text[],
    p_mention_at integer[], p_mention_user bigint[], p_from bigint[], p_upto bigint[]
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
    v_slow boolean;                 -- a learner speaks in a channel in slow mode, or something came too soon
    v_checked boolean;              -- somebody speaks where it is judged first
    v_now_ms bigint;
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
            -- Nobody writes in a conversation of two while one of them blocks the other, and only then.
            when m.role & s.write_roles = 0 then case when s.kind = 4 and s.write_roles = 0 then 18 else 16 end
            when (e.kind = 80) <> (s.kind = 5) then 16
            when e.kind = 4 then
                coalesce((select case when l.kind in (1, 6) then 0 when l.kind = 5 then 26 else 17 end
                          from log l where l.stream_id = e.stream and l.seq = e.target), 17)
            when e.kind = 6 and e.target > s.head then 17
            else 0
        end)::smallint order by e.pos),
        coalesce(bool_or(e.refusal = 35 or (s.slow_s > 0 and m.role = 8 and e.kind in (1, 6))), false),
        coalesce(bool_or(s.check_first and e.kind in (1, 6) and e.fresh), false)
    into v_code, v_slow, v_checked
    from unnest(p_user, p_device, p_kind, p_stream, p_target, p_refusal, v_code, v_fresh) with ordinality
        as e (user_id, device, kind, stream, target, refusal, code, fresh, pos)
    left join streams s on s.id = e.stream and s.id = any (p_stream)
    -- LIMIT keeps the planner at one look-up by the whole key. As a plain join it took the index by space alone and walked through every
    -- member of a large community for each post (263 ms for 1,000 posts into a space of 2,000).
    left join lateral (select m.role from members m where m.space_id = s.space_id and m.user_id = e.user_id limit 1) m on true;

    if 80 = any (p_kind) then
        select j.code, array(select coalesce(u.until_ms, u.value) from unnest(j.until_ms, v_value) with ordinality as u (until_ms, value, pos) order by u.pos)
        into v_code, v_value
        from judge_updates(p_user, p_kind, p_stream, p_target, p_body, v_code, v_fresh, p_from, p_upto) j;
    end if;

    if v_slow then
        v_now_ms := (extract(epoch from clock_timestamp()) * 1000)::bigint;
        -- Under the stream's lock: two devices of one person, on two gateways, cannot both be in time. What is too soon is told when it
        -- will not be, in Unix milliseconds; the first of a batch is judged by what was said before it, the others by the first.
        select array_agg((case when e.code = 0 and w.until_ms > v_now_ms then 35 else e.code end)::smallint order by e.pos),
               array_agg(case when e.fresh and e.refusal = 35 then e.target
                              when e.code = 0 and w.until_ms > v_now_ms then w.until_ms else e.value end order by e.pos)
        into v_code, v_value
        from (
            select e.*, s.slow_s, row_number() over (partition by e.stream, e.user_id, s.slow_s is not null order by e.pos) as turn
            from unnest(p_user, p_kind, p_stream, p_target, p_refusal, v_code, v_fresh, v_value) with ordinality
                as e (user_id, kind, stream, target, refusal, code, fresh, value, pos)
            left join lateral (
                select s.slow_s * 1000::bigint as slow_s from streams s
                cross join lateral (select m.role from members m where m.space_id = s.space_id and m.user_id = e.user_id limit 1) m
                where s.id = e.stream and s.slow_s > 0 and m.role = 8 and e.kind in (1, 6) and e.code = 0 and e.fresh limit 1
            ) s on true
        ) e
        left join lateral (select t.at_ms from slow_posts t where t.stream_id = e.stream and t.user_id = e.user_id limit 1) t on true
        cross join lateral (
            select case when e.slow_s is null then 0
                        when t.at_ms + e.slow_s > v_now_ms then t.at_ms + e.slow_s
                        when e.turn > 1 then v_now_ms + e.slow_s else 0 end as until_ms
        ) w;
        insert into slow_posts as t (stream_id, user_id, at_ms)
            select distinct e.stream, e.user_id, v_now_ms
            from unnest(p_user, p_kind, p_stream, v_code, v_fresh) as e (user_id, kind, stream, code, fresh)
            join streams s on s.id = e.stream and s.id = any (p_stream) and s.slow_s > 0
            where e.fresh and e.code = 0 and e.kind in (1, 6) and e.user_id > 0
            order by e.stream, e.user_id
        on conflict (stream_id, user_id) do update set at_ms = excluded.at_ms;
    end if;

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

    if v_checked then
        -- Kept instead of appended. Its author's outcome is 0, which is no message's number, and nobody is told of a mention.
        with kept as (
            select e.* , s.space_id
            from unnest(p_user, p_kind, p_stream, p_body, v_code, v_fresh) with ordinality as e (user_id, kind, stream, body, code, fresh, pos)
            join streams s on s.id = e.stream and s.id = any (p_stream) and s.check_first
            where e.fresh and e.code = 0 and e.kind in (1, 6) and e.user_id > 0
        ),
        written as (
            insert into held (space_id, stream_id, author, form, state, body)
            select k.space_id, k.stream, k.user_id, 1, 1, k.body from kept k order by k.pos
        )
        select array_agg(v.silent or k.pos is not null order by v.pos) into v_silent
        from unnest(v_silent) with ordinality as v (silent, pos) left join kept k on k.pos = v.pos;
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
               case when n.code = 0 then coalesce(n.value, n.seq, 0) when n.code = 35 then coalesce(n.value, 0) else 0 end, n.detail
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
    select n.code, case when n.code = 0 then coalesce(n.value, n.seq, 0) when n.code = 35 then coalesce(n.value, 0) else 0::bigint end, n.detail,
           not n.fresh and n.code not in (4004, 8, 9, 10),
           n.stream, n.seq, v_at, n.audience_version
    from numbered n order by n.pos;
end $$;

-- What a gateway of the version before calls.
create or replace function journal_append(
    p_user bigint[], p_device bigint[], p_generation integer[], p_number bigint[], p_digest bigint[],
    p_kind smallint[], p_stream bigint[], p_target bigint[], p_body bytea[], p_refusal smallint[], p_detail text[],
    p_mention_at integer[], p_mention_user bigint[]
) returns table (code smallint, value bigint, detail text, replayed boolean, stream bigint, seq bigint, at bigint, audience_version integer)
language sql
as $$
    select * from journal_append(
        p_user, p_device, p_generation, p_number, p_digest, p_kind, p_stream, p_target, p_body, p_refusal, p_detail, p_mention_at,
        p_mention_user, '{}', '{}'
    )
$$;
