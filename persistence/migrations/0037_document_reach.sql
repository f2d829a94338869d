-- What an update refers to has to be there; what a state has of each pen is written beside it; what a state has is pruned from the log.
--
--   Update ─▶ journal_append ─▶ judge_updates: one after the other, each against what those before it left ─▶ document_pens.reach
--   job document.compact ─▶ state + vector (how far each pen is in it) ─▶ restored: document_pens is that again
--
-- Invariant: what document_pens says of a pen is what a reader has who applied all that is not set aside.

-- `vector` is a state vector of Yjs, as of `vector_upto`; where that is not `upto`, a node of the version before made the state, and pens
-- that nobody knows may be in it. The next state mends that.
alter table documents add column vector bytea, add column vector_upto bigint not null default -1;
alter table document_versions add column vector bytea;
-- Of the present generation. A hostile member would draw a pen for each key.
alter table document_tails add column pens integer not null default 0;
update document_tails t set pens = (select count(*) from document_pens p where p.stream_id = t.stream_id);

-- Pens stay when a person is erased, as what they wrote does: who refers to it is judged by them.
drop index document_pens_by_user;
comment on table document_pens is 'owner: the document, gone with it; user 0: of nobody who is known any more';

-- Where a document's state ends, by event, so that nobody has to look for what may go.
create index document_versions_unready on document_versions (stream_id) where upto < until;

drop function judge_updates(bigint[], smallint[], bigint[], bigint[], bytea[], smallint[], boolean[], bigint[], bigint[]);

-- Judges and counts the updates of a batch, under their streams' locks: one after the other, since each is judged by those that were taken
-- before it. p_target: generation * 2^32 + pen; p_from, p_upto: what it adds; p_needs: to how many pens it refers, which are the next so many
-- of p_need_pen, and have to have come as far as p_need_upto. Answers the codes, and words where a code's own are not enough; `until_ms` is
-- when what came too soon (SLOWED) may come again, in Unix milliseconds.
create function judge_updates(
    p_user bigint[], p_kind smallint[], p_stream bigint[], p_target bigint[], p_body bytea[], p_code smallint[], p_fresh boolean[],
    p_from bigint[], p_upto bigint[], p_needs integer[], p_need_pen bigint[], p_need_upto bigint[]
) returns table (code smallint[], until_ms bigint[], words text[])
language plpgsql
set plan_cache_mode = 'force_generic_plan' set enable_seqscan = 'off'
as $$
#variable_conflict use_variable
declare
    v_code smallint[] := p_code;
    v_until bigint[] := array_fill(null::bigint, array[cardinality(p_code)]);
    v_words text[] := array_fill(null::text, array[cardinality(p_code)]);
    v_due bigint[] := '{}';
    v_size constant bigint := 4 * 1024 * 1024;      -- protocol.documents.STATE_BYTES_MAX
    v_tail_max constant bigint := 20 * 1024 * 1024; -- what came since; a compaction that does not come must not fill the disk
    v_pens_max constant integer := 65536;           -- as persistence.documents.states.PENS_MAX
    v_job_bytes constant bigint := 256 * 1024;      -- so much, or so many, and a job makes a new state
    v_job_updates constant bigint := 500;
    v_at bigint := 0;           -- the stream of the last one, and what is known of it
    v_generation bigint;
    v_full boolean;
    v_exact boolean;            -- all pens of its state are known
    v_tail bigint;
    v_updates bigint;
    v_bytes_came bigint;
    v_updates_came bigint;
    v_pens integer;
    v_pens_came integer;
    v_holder bigint;
    v_reach bigint;
    v_verdict smallint;
    e record;
begin
    for e in
        select u.pos, u.user_id, u.stream, u.target >> 32 as generation, u.target & 4294967295 as pen, octet_length(u.body) as bytes,
            u.low, u.high, coalesce(u.needs, 0) as needs, coalesce(u.skipped, 0) as skipped
        from (
            select i.*, sum(i.needs) over (order by i.pos) - i.needs as skipped
            from unnest(p_user, p_kind, p_stream, p_target, p_body, p_code, p_fresh, p_from, p_upto, p_needs) with ordinality
                as i (user_id, kind, stream, target, body, code, fresh, low, high, needs, pos)
        ) u
        where u.kind = 80 and u.fresh and u.code = 0 order by u.stream, u.pos
    loop
        if e.stream <> v_at then
            if v_at <> 0 then
                if count_updates(v_at, v_bytes_came, v_updates_came, v_pens_came, v_job_bytes, v_job_updates) then
                    v_due := v_due || v_at;
                end if;
            end if;
            v_at := e.stream;
            select d.generation, octet_length(d.state) > v_size, d.vector_upto = d.upto into v_generation, v_full, v_exact
                from documents d where d.stream_id = v_at;
            select t.bytes - t.cleared_bytes, t.pens into v_tail, v_pens from document_tails t where t.stream_id = v_at;
            v_tail := coalesce(v_tail, 0);
            v_pens := coalesce(v_pens, 0);
            v_bytes_came := 0;
            v_updates_came := 0;
            v_pens_came := 0;
        end if;

        v_holder := null;
        v_reach := 0;
        if e.pen > 0 then
            select p.user_id, p.reach into v_holder, v_reach from document_pens p where p.stream_id = v_at and p.pen = e.pen;
        end if;
        v_verdict := case
            when v_generation is null then 17
            when v_generation <> e.generation then 29
            -- A pen is its first user's.
            when v_holder <> e.user_id then 16
            -- What is full is still deleted from.
            when e.pen > 0 and v_full then 25
            when e.pen > 0 and v_holder is null and v_pens + v_pens_came >= v_pens_max then 25
            when v_tail + v_bytes_came + e.bytes > v_tail_max then 35
            -- It goes on where its pen ended: neither leaves something out nor says something twice, and differently.
            when e.pen > 0 and e.low <> coalesce(v_reach, 0) then 29
            else 0
        end;
        if v_verdict = 29 and v_generation = e.generation then
            v_words[e.pos] := 'does not go on where its client ended';
        end if;
        if v_verdict = 0 and e.needs > 0 then
            -- What it stands beside, stands in or deletes has to be there.
            if exists (
                select from unnest(p_need_pen[e.skipped + 1 : e.skipped + e.needs], p_need_upto[e.skipped + 1 : e.skipped + e.needs])
                    as n (pen, upto)
                left join lateral (select p.reach from document_pens p where p.stream_id = v_at and p.pen = n.pen limit 1) k on true
                where n.upto > coalesce(k.reach, case when v_exact then 0 else n.upto end)
            ) then
                v_verdict := 29;
                v_words[e.pos] := 'refers to what is not there';
            end if;
        end if;
        v_code[e.pos] := v_verdict;
        if v_verdict = 0 then
            v_bytes_came := v_bytes_came + e.bytes;
            v_updates_came := v_updates_came + 1;
            if e.pen > 0 and v_holder is null then
                insert into document_pens (stream_id, pen, user_id, reach) values (v_at, e.pen, e.user_id, e.high);
                v_pens_came := v_pens_came + 1;
            elsif e.pen > 0 and e.high > v_reach then
                update document_pens p set reach = e.high where p.stream_id = v_at and p.pen = e.pen;
            end if;
        elsif v_verdict = 35 then
            v_until[e.pos] := (extract(epoch from clock_timestamp()) * 1000)::bigint + 5000;
            -- Where nothing is taken for want of a state the job is asked for each time: one that failed for good would be waited for, for ever.
            v_due := v_due || v_at;
        end if;
    end loop;
    if v_at <> 0 then
        if count_updates(v_at, v_bytes_came, v_updates_came, v_pens_came, v_job_bytes, v_job_updates) then
            v_due := v_due || v_at;
        end if;
    end if;
    if cardinality(v_due) > 0 then
        -- Their streams are locked, and nobody orders this job by its key but who holds that lock.
        perform enqueue_job('document.compact', compact_order(d.stream_id), p_key => 'document:' || d.stream_id, p_space => d.space_id)
        from (select distinct d.stream_id, d.space_id from documents d where d.stream_id = any (v_due) order by d.stream_id) d;
    end if;
    return query select v_code, v_until, v_words;
end $$;

-- Adds up what came in a document; whether it is time for a new state.
create function count_updates(
    p_stream bigint, p_bytes bigint, p_updates bigint, p_pens integer, p_job_bytes bigint, p_job_updates bigint
) returns boolean
language plpgsql
as $$
declare
    v_is_due boolean;
begin
    if p_updates = 0 then
        return false;
    end if;
    insert into document_tails as t (stream_id, bytes, updates, pens) values (p_stream, p_bytes, p_updates, p_pens)
    on conflict (stream_id) do update
        set bytes = t.bytes + excluded.bytes, updates = t.updates + excluded.updates, pens = t.pens + excluded.pens
    returning (t.bytes - t.cleared_bytes) / p_job_bytes > (t.bytes - t.cleared_bytes - p_bytes) / p_job_bytes
        or (t.updates - t.cleared_updates) / p_job_updates > (t.updates - t.cleared_updates - p_updates) / p_job_updates into v_is_due;
    return v_is_due;
end $$;

-- As before, but that updates are judged by what they refer to (p_needs, p_need_pen, p_need_upto: see judge_updates).

create function journal_append(
    p_user bigint[], p_device bigint[], p_generation integer[], p_number bigint[], p_digest bigint[],
    p_kind smallint[], p_stream bigint[], p_target bigint[], p_body bytea[], p_refusal smallint[], p_detail text[],
    p_mention_at integer[], p_mention_user bigint[], p_from bigint[], p_upto bigint[], p_needs integer[], p_need_pen bigint[],
    p_need_upto bigint[]
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
        select j.code,
            array(select coalesce(u.until_ms, u.value) from unnest(j.until_ms, v_value) with ordinality as u (until_ms, value, pos) order by u.pos),
            array(select coalesce(u.words, u.detail) from unnest(j.words, v_detail) with ordinality as u (words, detail, pos) order by u.pos)
        into v_code, v_value, v_detail
        from judge_updates(
            p_user, p_kind, p_stream, p_target, p_body, v_code, v_fresh, p_from, p_upto, p_needs, p_need_pen, p_need_upto
        ) j;
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

-- What a gateway of the version before calls: it does not say what its updates refer to. What then waits for something is set aside when a
-- state is made.
create or replace function journal_append(
    p_user bigint[], p_device bigint[], p_generation integer[], p_number bigint[], p_digest bigint[],
    p_kind smallint[], p_stream bigint[], p_target bigint[], p_body bytea[], p_refusal smallint[], p_detail text[],
    p_mention_at integer[], p_mention_user bigint[], p_from bigint[], p_upto bigint[]
) returns table (code smallint, value bigint, detail text, replayed boolean, stream bigint, seq bigint, at bigint, audience_version integer)
language plpgsql
as $$
#variable_conflict use_column
begin
    return query select * from journal_append(
        p_user, p_device, p_generation, p_number, p_digest, p_kind, p_stream, p_target, p_body, p_refusal, p_detail, p_mention_at,
        p_mention_user, p_from, p_upto, '{}'::integer[], '{}'::bigint[], '{}'::bigint[]
    );
end $$;

create or replace function journal_append(
    p_user bigint[], p_device bigint[], p_generation integer[], p_number bigint[], p_digest bigint[],
    p_kind smallint[], p_stream bigint[], p_target bigint[], p_body bytea[], p_refusal smallint[], p_detail text[],
    p_mention_at integer[], p_mention_user bigint[]
) returns table (code smallint, value bigint, detail text, replayed boolean, stream bigint, seq bigint, at bigint, audience_version integer)
language sql
as $$
    select * from journal_append(
        p_user, p_device, p_generation, p_number, p_digest, p_kind, p_stream, p_target, p_body, p_refusal, p_detail, p_mention_at,
        p_mention_user, '{}'::bigint[], '{}'::bigint[], '{}'::integer[], '{}'::bigint[], '{}'::bigint[]
    )
$$;
