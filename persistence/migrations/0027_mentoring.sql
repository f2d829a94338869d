-- Mentorships, and what the search for a mentor knows.
--
--   mentorships          from the proposal on: who, where, how it stands, how each of the two said it was
--   mentors              one row for whoever has said how they mentor: what the matching model is fed, in the order of `changed`
--   mentor_unsettled     whose row has to be made anew, left by triggers wherever something of it changes; claimed by deletion
--   mentor_clock         one row: the number of the last change, and the trust that mentoring asks for
--   mentor_exposure      how often each was shown lately, fading
--   match_shown          who was shown to whom, and how well they fitted: with what became of it, the rows that the model learns from
--   match_tickets        answers that took long, for ten minutes
--   meetings_unsettled   meetings whose reminders have to be made anew
--
-- mentor_clock is locked by whoever changes `mentors`, from the first number to the commit. So numbers become visible in their order, and
-- whoever has read up to one has missed none below it: a sequence would hand out 7 and 8, commit 8 first, and 7 would never be fed.

alter table spaces drop constraint spaces_kind_check;
alter table spaces add constraint spaces_kind_check check (kind between 0 and 5) not valid;

create table mentorships (
    id               bigint generated always as identity primary key,
    mentor           bigint not null,
    learner          bigint not null,
    community        bigint not null default 0,        -- in which it was asked for; 0: none
    subject          text not null check (length(subject) between 1 and 60),
    words            text not null default '' check (length(words) <= 500),      -- of the proposal
    state            smallint not null default 1,      -- protocol.values.MentorshipState
    by_user          bigint not null default 0,        -- who brought it there; 0: time
    said             text not null default '' check (length(said) <= 500),       -- what they said then
    space_id         bigint not null default 0,        -- its own, once it has begun
    conversation     bigint not null default 0,
    records          bigint not null default 0,        -- the stream of its goals and meetings
    proposed_at      timestamptz not null default now(),
    answered_at      timestamptz,
    closed_at        timestamptz,
    mentor_over_at   timestamptz,
    learner_over_at  timestamptz,
    mentor_reached   boolean,
    learner_reached  boolean,
    mentor_rating    smallint check (mentor_rating between 1 and 5),
    learner_rating   smallint check (learner_rating between 1 and 5),
    good             double precision check (good between 0 and 1),              -- once it is closed, by what was said; null: nothing was
    factors          real[] not null default '{}',     -- how well they fitted when the learner was shown them last; {}: never were
    score            real not null default 0,
    fitted_by        text not null default '',         -- which version said so
    place            smallint not null default 0,      -- at which place, from 1; 0: never
    check (mentor <> learner)
);
create unique index mentorships_open on mentorships (mentor, learner) where state in (1, 2);
create index mentorships_by_mentor on mentorships (mentor, id);
create index mentorships_by_learner on mentorships (learner, id);
create index mentorships_by_space on mentorships (space_id) where space_id > 0;
create index mentorships_by_records on mentorships (records) where records > 0;
create index mentorships_waiting on mentorships (proposed_at) where state = 1;
create index mentorships_active on mentorships (community, id) where state = 2;
create index mentorships_by_end on mentorships (closed_at) where closed_at is not null;
comment on table mentorships is 'owner: both people; what was never begun is kept for a year, the others as long as both accounts';

create table mentor_clock (
    only_row  boolean primary key default true check (only_row),
    head      bigint not null default 0,
    trust_min double precision not null default 0.45,  -- as the settings say; written with each settling
    day       date not null default 'epoch'            -- for which the week's hours were worked out last
);
comment on table mentor_clock is 'one row; owner: the platform';
insert into mentor_clock default values;

create table mentors (
    user_id    bigint primary key,
    changed    bigint not null,                        -- of mentor_clock
    gone       boolean not null default false,         -- mentors nobody now: closed, below the gate, disabled
    dormant    boolean not null default false,         -- gone, but would mentor again if trust, a role or the account allowed it
    candidate  bytea not null default '',              -- actors.inference.Candidate, msgpack; empty where gone
    keys       text[] not null default '{}',           -- subjects in lower case
    languages  text[] not null default '{}',
    spaces     bigint[] not null default '{}',         -- communities in which they mentor
    everywhere boolean not null default false,
    free       integer not null default 0,
    zone       text not null default '',
    week       text not null default '',               -- the zone's offsets of the week that `candidate` was made for
    bucket     smallint not null default 0,            -- of mentor_exposure: made anew when it is another
    gone_at    timestamptz
) with (fillfactor = 80);
create unique index mentors_by_change on mentors (changed);
-- Without a list of what is new: a search would walk through it, 20 ms with 100,000 mentors that no vacuum has seen yet.
create index mentors_by_key on mentors using gin (keys) with (fastupdate = off) where not gone;
create index mentors_by_space on mentors using gin (spaces) with (fastupdate = off) where not gone;
create index mentors_by_language on mentors using gin (languages) with (fastupdate = off) where not gone;
create index mentors_by_zone on mentors (zone, week) where not gone;
comment on table mentors is 'owner: user_id; emptied when they mentor no more, deleted a day later, when every model has heard of it, unless they would (dormant)';

create table mentor_unsettled (
    id      bigint generated always as identity primary key,
    user_id bigint not null,
    at      timestamptz not null default now()
);
comment on table mentor_unsettled is 'owner: whoever settles, who deletes what they have worked out; seconds old';

create table mentor_exposure (
    user_id bigint primary key,
    shown   double precision not null default 0 check (shown >= 0),
    at      timestamptz not null default now()
) with (fillfactor = 50);
comment on table mentor_exposure is 'owner: user_id; deleted when it has faded away';

create table match_shown (
    seeker  bigint not null,
    mentor  bigint not null,
    at      timestamptz not null default now(),
    place   smallint not null,
    times   integer not null default 1,
    by      text not null default '',
    score   real not null default 0,
    factors real[] not null,
    primary key (seeker, mentor)
) with (fillfactor = 80);
create index match_shown_by_mentor on match_shown (mentor);
create index match_shown_by_age on match_shown (at);
comment on table match_shown is 'owner: seeker; kept for 90 days';

create unlogged table match_tickets (
    ticket  bigint primary key,
    user_id bigint not null,
    at      timestamptz not null default now(),
    answer  bytea                                      -- protocol.frames.MentorsFound; null: not yet
);
create index match_tickets_by_age on match_tickets (at);
create index match_tickets_by_user on match_tickets (user_id);
comment on table match_tickets is 'owner: user_id; kept for ten minutes';

create table meetings_unsettled (
    id        bigint generated always as identity primary key,
    stream_id bigint not null,
    key       bigint not null
);
comment on table meetings_unsettled is 'owner: whoever settles, who deletes what they have worked out; seconds old';
-- Of a meeting: its stream and key, so that it can be moved. What people asked for themselves has 0.
alter table reminders add column record_key bigint not null default 0;
create unique index reminders_by_record on reminders (stream_id, record_key, user_id) where record_key > 0;

-- Whoever has a row here, or says how they mentor, is made anew. One look by a key where it is nobody's concern.
create function mentor_touched(p_user bigint) returns void
language sql
set enable_seqscan = 'off'
as $$
    insert into mentor_unsettled (user_id) select p_user where exists (select from mentors m where m.user_id = p_user)
$$;

create function mentor_record_changed() returns trigger
language plpgsql as $$
declare
    v_stream bigint := coalesce(new.stream_id, old.stream_id);
    v_entity smallint := coalesce(new.entity, old.entity);
    v_user bigint;
begin
    if v_entity = 24 then
        insert into meetings_unsettled (stream_id, key) values (v_stream, coalesce(new.key, old.key));
        return null;
    end if;
    select s.created_by into v_user from streams t join spaces s on s.id = t.space_id and s.kind = 3 where t.id = v_stream;
    if v_user is null then
        return null;
    elsif v_entity = 21 and tg_op <> 'DELETE' then
        insert into mentor_unsettled (user_id) values (v_user);
    else
        perform mentor_touched(v_user);
    end if;
    return null;
end $$;
-- 3, 21, 24: PROFILE, MENTORING, MEETING. A condition on a trigger costs other records nothing.
create trigger records_mentoring after insert or update on records
    for each row when (new.entity in (3, 21, 24)) execute function mentor_record_changed();
create trigger records_mentoring_gone after delete on records
    for each row when (old.entity in (3, 21, 24)) execute function mentor_record_changed();

create function mentor_member_changed() returns trigger
language plpgsql as $$
begin
    perform mentor_touched(coalesce(new.user_id, old.user_id));
    return null;
end $$;
create trigger members_mentoring after insert or delete or update of role on members
    for each row execute function mentor_member_changed();
create trigger user_roles_mentoring after insert or delete on user_roles
    for each row execute function mentor_member_changed();

create function mentor_role_changed() returns trigger
language plpgsql as $$
begin
    perform mentor_touched(u.user_id) from user_roles u where u.role_id = new.id;
    return null;
end $$;
create trigger roles_mentoring after update of permissions on roles
    for each row when (old.permissions <> new.permissions) execute function mentor_role_changed();

create function mentor_account_changed() returns trigger
language plpgsql as $$
begin
    perform mentor_touched(new.id);
    return null;
end $$;
create trigger accounts_mentoring after update of trust, disabled_at on accounts
    for each row when (old.trust <> new.trust or (old.disabled_at is null) <> (new.disabled_at is null))
    execute function mentor_account_changed();

create function mentor_mentorship_changed() returns trigger
language plpgsql as $$
begin
    perform mentor_touched(coalesce(new.mentor, old.mentor));
    return null;
end $$;
create trigger mentorships_change after insert or delete or update of state on mentorships
    for each row execute function mentor_mentorship_changed();

-- What a search or a proposal must know of people now, whatever the model was fed: one look by keys for each.
create function mentor_standing(p_seeker bigint, p_users bigint[], p_space bigint)
returns table (
    user_id bigint, name text, display_name text, trust double precision, is_service boolean, cells bytea, active bigint, waiting bigint,
    is_open boolean, is_blocked boolean, shares bigint[], may_mentor boolean, languages text[]
)
language sql stable
set plan_cache_mode = 'force_generic_plan' set enable_seqscan = 'off' set enable_hashjoin = 'off' set enable_mergejoin = 'off'
as $$
    select a.id, a.name::text, a.display_name, a.trust, a.kind = 1, r.cells, n.active, n.waiting, n.is_open, b.is_blocked, c.shares, c.may_mentor,
        coalesce(w.languages, '{}')
    from unnest(p_users) with ordinality as q (user_id, pos)
    join accounts a on a.id = q.user_id and a.disabled_at is null
    join lateral (select t.id from streams t where t.space_id = a.personal_space and t.kind = 8 limit 1) s on true
    cross join lateral (select r.cells from records r where r.stream_id = s.id and r.entity = 21 and r.key = 1 limit 1) r
    left join lateral (select m.languages from mentors m where m.user_id = a.id limit 1) w on true
    cross join lateral (
        select count(*) filter (where o.state = 2) as active, count(*) filter (where o.state = 1) as waiting,
            coalesce(bool_or(o.learner = p_seeker), false) as is_open
        from mentorships o where o.mentor = a.id and o.state in (1, 2)
    ) n
    cross join lateral (
        select exists (select from blocks k where k.user_id = a.id and k.blocked = p_seeker)
            or exists (select from blocks k where k.user_id = p_seeker and k.blocked = a.id) as is_blocked
    ) b
    -- Where they may mentor and the seeker is, too: 7 are the base roles with the permission MENTOR, 13 its bit.
    cross join lateral (
        select coalesce(array_agg(m.space_id order by m.space_id), '{}') as shares, coalesce(bool_or(m.space_id = p_space), false) as may_mentor
        from members m join spaces p on p.id = m.space_id and p.kind = 1
        cross join lateral (select from members l where l.space_id = m.space_id and l.user_id = p_seeker limit 1) l
        where m.user_id = a.id and (m.role & 7 <> 0 or custom_permissions(a.id, m.space_id) >> 13 & 1 = 1)
    ) c
    order by q.pos
$$;

-- Reads that go by keys, whatever the tables held when they were planned: a connection keeps its first plan, and one made while these were
-- empty walks through all of them for each row: of 100,000 mentors, 500 were not settled within 30 seconds.
create function own_singles(p_users bigint[], p_entities smallint[]) returns table (user_id bigint, entity smallint, cells bytea)
language sql stable
set plan_cache_mode = 'force_generic_plan' set enable_seqscan = 'off' set enable_hashjoin = 'off' set enable_mergejoin = 'off'
as $$
    select a.id, r.entity, r.cells
    from unnest(p_users) as q (user_id)
    cross join lateral (select a.id, a.personal_space from accounts a where a.id = q.user_id limit 1) a
    cross join lateral (select s.id from streams s where s.space_id = a.personal_space and s.kind = 8 limit 1) s
    cross join unnest(p_entities) as e (entity)
    cross join lateral (
        select r.entity, r.cells from records r where r.stream_id = s.id and r.entity = e.entity and r.key = 1 limit 1
    ) r
$$;

-- What a mentor's row is made of, besides their records. p_roles: base roles that may mentor; 13 is the permission's bit.
create function mentor_people(p_users bigint[], p_roles smallint, p_fade_days double precision, p_history interval)
returns table (
    id bigint, trust double precision, kind smallint, known boolean, shown double precision, active bigint, spaces bigint[], held bigint,
    good double precision
)
language sql stable
set plan_cache_mode = 'force_generic_plan' set enable_seqscan = 'off' set enable_hashjoin = 'off' set enable_mergejoin = 'off'
as $$
    select q.user_id, a.trust, a.kind, exists (select from mentors m where m.user_id = q.user_id),
        coalesce((select x.shown * power(2, -extract(epoch from now() - x.at) / 86400 / p_fade_days)
                  from mentor_exposure x where x.user_id = q.user_id), 0),
        (select count(*) from mentorships o where o.mentor = q.user_id and o.state = 2),
        array(select b.space_id from members b
              cross join lateral (select p.id from spaces p where p.id = b.space_id and p.kind = 1 limit 1) p
              where b.user_id = q.user_id and (b.role & p_roles <> 0 or custom_permissions(q.user_id, b.space_id) >> 13 & 1 = 1)
              order by b.space_id),
        h.held, h.good
    from unnest(p_users) as q (user_id)
    left join lateral (
        select a.trust, a.kind from accounts a where a.id = q.user_id and a.disabled_at is null limit 1
    ) a on true
    cross join lateral (
        select count(*) as held, coalesce(sum(o.good), 0)::float8 as good from mentorships o
        where o.mentor = q.user_id and o.state = 6 and o.good is not null and o.closed_at > now() - p_history
    ) h
$$;

create function mentor_changes(p_after bigint, p_limit integer) returns table (changed bigint, user_id bigint, candidate bytea)
language sql stable
set plan_cache_mode = 'force_generic_plan' set enable_seqscan = 'off' set enable_sort = 'off' set enable_bitmapscan = 'off'
as $$
    select m.changed, m.user_id, m.candidate from mentors m
    where m.changed > p_after and (not m.gone or p_after > 0) order by m.changed limit p_limit
$$;

-- At most p_most of each way to be near, of all of them the best p_most by subject: so it costs the same however many mentors there are.
create function mentors_near(p_keys text[], p_space bigint, p_languages text[], p_without bigint[], p_most integer) returns setof bytea
language sql stable
set plan_cache_mode = 'force_generic_plan' set enable_seqscan = 'off' set enable_hashjoin = 'off' set enable_mergejoin = 'off'
as $$
    with near as (
        (select m.user_id from mentors m where not m.gone and m.free > 0 and m.keys && p_keys limit p_most)
        union
        (select m.user_id from mentors m where not m.gone and m.free > 0 and m.spaces @> array[p_space] limit p_most)
        union
        (select m.user_id from mentors m where not m.gone and m.free > 0 and m.languages && p_languages limit p_most)
        union
        (select m.user_id from mentors m where cardinality(p_keys) = 0 and cardinality(p_languages) = 0 and not m.gone and m.free > 0
         limit p_most)
    )
    select m.candidate from near n cross join lateral (select m.* from mentors m where m.user_id = n.user_id limit 1) m
    where m.user_id <> all (p_without) and (p_space = 0 or m.spaces @> array[p_space])
    order by (select count(*) from unnest(p_keys) k where k = any (m.keys)) desc, m.user_id limit p_most
$$;

create function own_mentorships(p_user bigint, p_after bigint, p_open_only boolean, p_limit integer) returns setof mentorships
language sql stable
set plan_cache_mode = 'force_generic_plan' set enable_seqscan = 'off' set enable_hashjoin = 'off' set enable_mergejoin = 'off'
as $$
    select o.* from (
        (select a.* from mentorships a where a.mentor = p_user and a.id > p_after and (a.state in (1, 2) or not p_open_only)
         order by a.mentor, a.id limit p_limit)
        union all
        (select b.* from mentorships b where b.learner = p_user and b.id > p_after and (b.state in (1, 2) or not p_open_only)
         order by b.learner, b.id limit p_limit)
    ) o order by o.id limit p_limit
$$;
