-- Reports and who decides them, blocks between people, and slow mode.
--
--   reports ─▶ a review stream of the community's (streams.kind 6), or of the platform: staff read it; it never says who reported
--   blocks  ─▶ the conversation of the two has no writers (streams.write_roles 0) while one of them blocks the other
--   streams.slow_s ─▶ slow_posts: when each learner spoke last there
--
-- The hot path asks nothing about blocks: it looks at write_roles as ever. Of slow mode it looks at one more column of a row that it has
-- locked, and asks slow_posts only where that is above 0 and a learner speaks.

create table blocks (
    user_id bigint not null,                        -- who blocks
    blocked bigint not null,
    at      timestamptz not null default now(),
    primary key (user_id, blocked),
    check (user_id <> blocked)
);
comment on table blocks is 'Who blocks whom; at most 1,000 of a person (persistence.operations.blocks). Kept until taken back, gone with the account.';
create index blocks_by_blocked on blocks (blocked, user_id);

create table reports (
    id         bigint generated always as identity primary key,
    reporter   bigint not null,                     -- told to nobody
    about      smallint not null,                   -- protocol.values.ReportAbout
    subject    bigint not null,                     -- who is reported; of a message its author
    space_id   bigint not null,                     -- the community whose staff decide; 0: the platform
    stream_id  bigint not null default 0,           -- of a message
    seq        bigint not null default 0,
    reason     smallint not null,                   -- protocol.values.ReportReason, as said last
    words      text not null default '' check (length(words) <= 500),
    evidence   bytea,                               -- the message's body as it was reported: its author may delete it meanwhile. Gone with the decision
    times      integer not null default 1,
    at         timestamptz not null default now(),
    last_at    timestamptz not null default now(),
    state      smallint not null default 1,         -- protocol.values.ReportState
    decided_by bigint,
    decided_at timestamptz
) with (fillfactor = 90);
comment on table reports is 'At most 20 new ones of a person a day; decided ones are kept for 180 days (persistence.review.sweep).';
-- One open report of a person about the same thing.
create unique index reports_open on reports (reporter, about, subject, stream_id, seq) where state = 1;
create index reports_by_subject on reports (subject, about, stream_id, seq) where state = 1;
create index reports_by_space on reports (space_id, id);
create index reports_by_reporter on reports (reporter, id);
create index reports_by_decision on reports (decided_at) where state > 1;

alter table streams add column slow_s integer not null default 0;   -- seconds between two messages of one learner; 0: any
create table slow_posts (
    stream_id bigint not null,
    user_id   bigint not null,
    at_ms     bigint not null,                      -- Unix milliseconds
    primary key (stream_id, user_id)
) with (fillfactor = 50);
comment on table slow_posts is 'When each person spoke last in a channel in slow mode; older than the longest slow mode is swept (persistence.review.sweep).';
create index slow_posts_by_age on slow_posts using brin (at_ms);

-- What is reported of people and conversations outside any community. Nobody is a member: it is read by request, and by whoever is made one.
with made as (
    insert into spaces (kind, name, pair_key, created_by) values (0, 'platform review', 'system:review', 0) returning id
)
insert into streams (space_id, kind, name, read_roles, write_roles, placement) select id, 6, 'review', 3, 0, id from made;

-- As before, but for the three places that speak of a blocked conversation (18) and of what comes too soon (35).
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
    v_slow boolean;                 -- a learner speaks in a channel in slow mode, or something came too soon
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
            when m.role & s.write_roles = 0 then case when s.kind = 4 then 18 else 16 end
            when e.kind = 4 then
                coalesce((select case when l.kind in (1, 6) then 0 when l.kind = 5 then 26 else 17 end
                          from log l where l.stream_id = e.stream and l.seq = e.target), 17)
            when e.kind = 6 and e.target > s.head then 17
            else 0
        end)::smallint order by e.pos),
        coalesce(bool_or(e.refusal = 35 or (s.slow_s > 0 and m.role = 8 and e.kind in (1, 6))), false)
    into v_code, v_slow
    from unnest(p_user, p_device, p_kind, p_stream, p_target, p_refusal, v_code, v_fresh) with ordinality
        as e (user_id, device, kind, stream, target, refusal, code, fresh, pos)
    left join streams s on s.id = e.stream and s.id = any (p_stream)
    -- LIMIT keeps the planner at one look-up by the whole key. As a plain join it took the index by space alone and walked through every
    -- member of a large community for each post (263 ms for 1,000 posts into a space of 2,000).
    left join lateral (select m.role from members m where m.space_id = s.space_id and m.user_id = e.user_id limit 1) m on true;

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

-- Other writers or another pace for streams, under the same locks as the events that tell of it: one call, as every last one is.
create function append_changing(
    p_change bigint[], p_write smallint[], p_slow integer[],        -- a stream, and what becomes of it; null: as it is
    p_stream bigint[], p_author bigint[], p_kind smallint[], p_target bigint[], p_body bytea[], p_bump bigint[],
    p_guard bigint[], p_guard_version integer[], p_channel bigint, p_name text, p_read_roles smallint, p_write_roles smallint,
    p_device bigint, p_number bigint, p_digest bigint, p_code smallint, p_value bigint, p_value_at integer, p_detail text
) returns table (seq bigint, at bigint, audience_version integer)
language plpgsql
set lock_timeout = '5s' set plan_cache_mode = 'force_generic_plan' set enable_seqscan = 'off'
as $$
#variable_conflict use_column
begin
    perform s.id from streams s where s.id = any (p_change || p_stream || p_bump || p_guard || p_channel) order by s.id for update;
    update streams s set write_roles = coalesce(c.write_roles, s.write_roles), slow_s = coalesce(c.slow_s, s.slow_s)
    from unnest(p_change, p_write, p_slow) as c (stream, write_roles, slow_s) where s.id = c.stream and s.id = any (p_change);
    return query select a.seq, a.at, a.audience_version from append_events(
        p_stream, p_author, p_kind, p_target, p_body, p_bump, p_guard, p_guard_version, p_channel, p_name, p_read_roles, p_write_roles,
        p_device, p_number, p_digest, p_code, p_value, p_value_at, p_detail) a;
end $$;
