-- Moderation: how far what is said was judged, what is held, how communities want it, and what people decided.
--
--   log ─▶ moderation_cursors (how far a stream is judged) ─▶ held ─▶ a person's decision, an appeal ─▶ moderation_labels, for training
--   a stream that checks first: what is said there goes into held instead of the log, and from there into the log
--
-- The hot path asks nothing about any of it but one more column of a row that it has locked.

create table moderation_cursors (
    stream_id     bigint primary key,
    upto          bigint not null default 0,        -- everything up to here was judged
    claimed_until timestamptz not null default '-infinity',
    claimed_by    bigint not null default 0         -- of a claim, not of a gateway: whoever was too slow has lost it
) with (fillfactor = 50);
comment on table moderation_cursors is 'owner: the stream; one row for each in which something was said, gone with it';
-- What was said before there was moderation is not judged after the fact.
insert into moderation_cursors (stream_id, upto) select id, head from streams where kind in (2, 3, 4, 8, 11, 12);

create sequence moderation_claims;

create table held (
    id          bigint generated always as identity primary key,
    space_id    bigint not null default 0,          -- where it was said; 0: nowhere (a profile, a name)
    review_id   bigint not null default 0,          -- the community whose staff decide; 0: the platform's reviewers
    stream_id   bigint not null default 0,
    event_seq   bigint not null default 0,          -- the event that was judged; 0: it never became one
    target      bigint not null default 0,          -- the message that an edit is about, or that was taken back
    entity      smallint not null default 0,        -- of a record
    key         bigint not null default 0,
    author      bigint not null,
    form        smallint not null,                  -- protocol.values.HeldForm
    state       smallint not null,                  -- protocol.values.HeldState
    body        bytea,                              -- what was said, as an event's body; a record's fields; a name. Gone 30 days after it ended
    reasons     text not null default '' check (length(reasons) <= 200),    -- harm:percent, by comma, the first decides
    judged_by   text not null default '' check (length(judged_by) <= 80),
    degraded    text not null default '' check (length(degraded) <= 200),
    language    text not null default '' check (length(language) <= 40),
    at          timestamptz not null default now(),
    attempts    smallint not null default 0,        -- of judging it, where it is checked first
    not_before  timestamptz not null default now(), -- a claim, or when it is tried again
    told        boolean not null default false,     -- the review stream has heard of it
    decided_by  bigint not null default 0,          -- a person; 0: nobody yet
    decided_at  timestamptz,
    became      bigint not null default 0,          -- the number of the message that it was released as
    appeal      text not null default '' check (length(appeal) <= 500),
    appealed_at timestamptz,
    appeal_by   bigint not null default 0,          -- who decided it
    appeal_at   timestamptz
) with (fillfactor = 80);
comment on table held is 'owner: author; what was said is emptied 30 days after it ended, and the row deleted after 180 (persistence.moderation.keeping)';
create index held_checking on held (not_before, id) where state = 1;
create unique index held_once on held (stream_id, event_seq, entity, key) where event_seq > 0;
create index held_by_review on held (review_id, id);
create index held_by_author on held (author, id);
create index held_by_place on held (stream_id, target) where target > 0;
create index held_became on held (stream_id, became) where became > 0;
create index held_appealed on held (appealed_at) where appealed_at is not null and appeal_by = 0;
create index held_by_end on held (decided_at) where decided_at is not null;

create table moderation_labels (
    id       bigint generated always as identity primary key,
    held_id  bigint not null,
    space_id bigint not null default 0,
    author   bigint not null,                       -- for erasing it; no model is told
    text     text not null check (length(text) <= 20000),
    about    smallint not null,                     -- actors.inference.About
    language text not null default '',
    harm     smallint not null,                     -- protocol.values.Harm, as the model had it
    harmful  boolean not null,                      -- as a person decided
    at       timestamptz not null default now()
);
create unique index moderation_labels_once on moderation_labels (held_id);
create index moderation_labels_by_author on moderation_labels (author);
create index moderation_labels_by_age on moderation_labels (at);
comment on table moderation_labels is 'what people decided, for training; owner: author; kept for a year, 50,000 at most (persistence.moderation.keeping)';

-- As before, but that what is said where it is judged first goes into `held`.

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

-- Claims streams whose judging nobody else is at, and reads what was said in them since: at most p_events of each, for p_lease_s.
-- Of a stream whose kind is none of p_kinds nothing is read and nothing written: it comes back with claim 0.
create function claim_moderation(p_streams bigint[], p_kinds smallint[], p_lease_s double precision, p_events integer)
returns table (
    claim bigint, stream bigint, upto bigint, head bigint, seq bigint, kind smallint, author bigint, target bigint, body bytea, at bigint,
    space bigint, space_kind smallint, stream_kind smallint, role smallint, joined_s bigint, trust double precision, standing boolean,
    levels text, mask boolean
)
language plpgsql
set lock_timeout = '5s' set plan_cache_mode = 'force_generic_plan' set enable_seqscan = 'off'
as $$
#variable_conflict use_column
declare
    v_claim bigint := nextval('moderation_claims');
    v_claimed bigint[];
begin
    insert into moderation_cursors (stream_id)
        select s.id from streams s where s.id = any (p_streams) and s.kind = any (p_kinds) order by s.id on conflict do nothing;
    with free as materialized (
        select c.stream_id from moderation_cursors c where c.stream_id = any (p_streams) and c.claimed_until < clock_timestamp()
        for update skip locked
    ),
    taken as (
        update moderation_cursors c set claimed_until = clock_timestamp() + make_interval(secs => p_lease_s), claimed_by = v_claim
        from free f where c.stream_id = f.stream_id and c.stream_id = any (p_streams) returning c.stream_id
    )
    select array_agg(t.stream_id) into v_claimed from taken t;
    return query
    select v_claim, c.stream_id, c.upto, s.head, l.seq, l.kind, l.author, l.target, l.body, l.at,
        p.id, p.kind, s.kind, m.role, m.joined_s, a.trust, a.standing, coalesce(y.levels, ''), coalesce(y.mask, true)
    from moderation_cursors c
    join streams s on s.id = c.stream_id and s.id = any (v_claimed)
    join spaces p on p.id = s.space_id
    left join moderation_policies y on y.space_id = p.id
    left join lateral (
        -- What was let through by a person, or judged before it was delivered, is not judged again.
        select l.* from log l
        where l.stream_id = c.stream_id and l.seq > c.upto and l.kind in (1, 2, 6, 10, 11, 14, 15, 16, 17, 30)
            and not exists (select from held h where h.stream_id = l.stream_id and h.became = l.seq and h.became > 0)
        order by l.seq limit p_events
    ) l on true
    left join lateral (
        select m.role, extract(epoch from clock_timestamp() - m.joined_at)::bigint as joined_s
        from members m where m.space_id = p.id and m.user_id = l.author limit 1
    ) m on true
    left join lateral (
        select a.trust, a.kind = 0 as standing from accounts a where a.id = l.author limit 1
    ) a on true
    where c.stream_id = any (v_claimed) and s.kind = any (p_kinds)
    order by c.stream_id, l.seq;
    return query
    select 0::bigint, s.id, s.head, s.head, null::bigint, null::smallint, null::bigint, null::bigint, null::bytea, null::bigint,
        s.space_id, null::smallint, s.kind, null::smallint, null::bigint, null::double precision, null::boolean, null::text, null::boolean
    from streams s where s.id = any (p_streams) and s.kind <> all (p_kinds);
end $$;

-- What is checked first and waits for it: claimed for p_lease_s, oldest first.
create function claim_held(p_limit integer, p_lease_s double precision)
returns table (
    id bigint, stream bigint, target bigint, entity smallint, key bigint, form smallint, author bigint, body bytea, at bigint, attempts smallint,
    space bigint, space_kind smallint, stream_kind smallint, role smallint, joined_s bigint, trust double precision, standing boolean,
    levels text, mask boolean
)
language plpgsql
set lock_timeout = '5s' set plan_cache_mode = 'force_generic_plan' set enable_seqscan = 'off'
as $$
#variable_conflict use_column
begin
    return query
    with free as materialized (
        select h.id from held h where h.state = 1 and h.not_before <= clock_timestamp() order by h.not_before, h.id limit p_limit
        for update skip locked
    ),
    taken as (
        update held h set not_before = clock_timestamp() + make_interval(secs => p_lease_s), attempts = least(h.attempts + 1, 1000)
        from free f where h.id = f.id
        returning h.id, h.stream_id, h.target, h.entity, h.key, h.form, h.author, h.body, h.at, h.attempts
    )
    select t.id, t.stream_id, t.target, t.entity, t.key, t.form, t.author, t.body, extract(epoch from t.at)::bigint, t.attempts, p.id, p.kind, s.kind, m.role, m.joined_s, a.trust, a.standing,
        coalesce(y.levels, ''), coalesce(y.mask, true)
    from taken t
    join streams s on s.id = t.stream_id
    join spaces p on p.id = s.space_id
    left join moderation_policies y on y.space_id = p.id
    left join lateral (
        select m.role, extract(epoch from clock_timestamp() - m.joined_at)::bigint as joined_s
        from members m where m.space_id = p.id and m.user_id = t.author limit 1
    ) m on true
    left join lateral (select a.trust, a.kind = 0 as standing from accounts a where a.id = t.author limit 1) a on true
    order by t.id;
end $$;

-- As before, but that an edit comes to where everything is checked first only if it was let through.

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
    -- Whoever lets an edit through has written its number into `held`. One that knows nothing of checking first, as the previous version of
    -- the program does while both run, is told to decide again: whoever asked comes back, and finds the new one.
    if 2 = any (p_kind) and exists (
        select from unnest(p_stream, p_author, p_kind) as e (stream, author, kind)
        join streams s on s.id = e.stream and s.id = any (p_stream) and s.check_first
        where e.kind = 2 and e.author > 0
            and not exists (select from held h where h.stream_id = e.stream and h.became = s.head + 1 and h.became > 0)
    ) then
        raise exception 'an edit that nobody let through' using errcode = 'ED001';
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

-- A channel that is opened in a community that checks first does so, too, whoever opens it.
create function stream_checks_first() returns trigger language plpgsql as $$
begin
    new.check_first := new.kind = 3 and exists (select from moderation_policies p where p.space_id = new.space_id and p.check_first);
    return new;
end $$;

-- At last, what locks tables that are in use, the one that every append goes through last of all: held until the commit, which is next.

create table moderation_policies (
    space_id    bigint primary key references spaces (id) on delete cascade,
    check_first boolean not null default false,
    levels      text not null default '' check (length(levels) <= 200),     -- harm:hold:hide, in percent, by comma; what is not named: as usual
    mask        boolean not null default true       -- personal data is masked; otherwise held
);
comment on table moderation_policies is 'How a community wants it; owner: the community, gone with it.';

alter table streams add column check_first boolean not null default false;  -- what is said is judged before anybody reads it
create trigger streams_check_first before insert on streams for each row when (new.kind = 3) execute function stream_checks_first();
