-- Learning: courses, lessons, answers and grades are records and need no tables. What is new is where they lie, what is not graded yet, and
-- every attempt as the server saw it.
--
--   community ─▶ a studio: drafts and answer keys, for those who write (kind 13, read by owner, moderator, mentor)
--   space kind 5, a mentorship: a mentor, a learner, their conversation and their goals (stream kind 14)
--   merge of an answer ─▶ ungraded ─ job learning.grade ─▶ GRADE in the answers' stream, and attempts
--   merge of a question or of its key ─▶ ungraded (of its own stream) ─ the same job ─▶ ungraded of everybody who answered it

alter table spaces drop constraint spaces_kind_check;
alter table spaces add constraint spaces_kind_check check (kind between 0 and 5) not valid;

create or replace function complete_spaces() returns void
language sql as $$
    insert into streams (space_id, kind, read_roles, write_roles, placement)
        select s.id, k.kind, k.read_roles, 0, s.id
        from spaces s join (values (3, 8, 1), (1, 11, 15), (1, 12, 15), (1, 13, 7)) as k (of_kind, kind, read_roles) on k.of_kind = s.kind
        where not exists (select from streams t where t.space_id = s.id and t.kind = k.kind)
        order by s.id, k.kind;
    select enrol(m.space_id, m.user_id) from members m join spaces s on s.id = m.space_id and s.kind = 1
    where not exists (
        select from spaces e join members n on n.space_id = e.id
        where e.pair_key = 'enrolment:' || m.space_id || ':' || m.user_id and n.user_id = m.user_id)
    order by m.space_id, m.user_id;
$$;
select complete_spaces();

-- Questions whose answer in this stream is to be graded, or, in a library or a studio, whose answers are to be graded again. Written in the
-- transaction that brought the answer; deleted in the one that writes the grade.
create table ungraded (
    stream_id bigint not null,
    question  bigint not null,
    times     integer not null default 1,           -- so that an order for what waits already takes the row's lock, and none is lost
    primary key (stream_id, question)
);

-- Every attempt with what it was worth when it was last graded. Derived: made again from entity_versions.
create table attempts (
    stream_id bigint not null,                      -- the learner's answers in this community
    question  bigint not null,
    place     bigint not null,                      -- entity_versions.place
    space_id  bigint not null,                      -- the community
    user_id   bigint not null,
    lesson    bigint not null default 0,
    at        bigint not null,                      -- Unix seconds, bounded
    seconds   integer not null default 0,           -- how long it took, as the device says; 0: unsaid
    points    smallint,                             -- 0 to 100; null: there is no key
    primary key (stream_id, question, place)
);
-- Who answered a question, wherever: a key is chosen at random, so these are few more than those of its community.
create index records_answered on records (key, stream_id) where entity = 2;

create index attempts_by_question on attempts (space_id, question);
create index attempts_by_user on attempts (user_id, space_id, at);
create index attempts_by_age on attempts (at);

-- The last part of a merge's transaction that has answers or questions among its changes: after the records, before the streams.
create function order_grading(p_after boolean, p_stream bigint[], p_question bigint[], p_ordered bigint[], p_payload bytea[]) returns boolean
language plpgsql
set lock_timeout = '5s' set plan_cache_mode = 'force_generic_plan' set enable_seqscan = 'off'
as $$
begin
    insert into ungraded as u (stream_id, question)
    select w.stream, w.question from unnest(p_stream, p_question) as w (stream, question) order by 1, 2
    on conflict (stream_id, question) do update set times = least(u.times + 1, 1000000);
    perform enqueue_jobs(
        array_fill('learning.grade'::text, array[cardinality(p_ordered)]), p_payload,
        array_fill(0::double precision, array[cardinality(p_ordered)]), array_fill(0::smallint, array[cardinality(p_ordered)]),
        array(select o::text from unnest(p_ordered) with ordinality as w (o, pos) order by w.pos),
        array_fill(0::double precision, array[cardinality(p_ordered)]), array_fill(0::bigint, array[cardinality(p_ordered)]));
    return p_after;
end $$;

-- Locks records as merge_begin does, all of them before any tombstone, and reads them; in the order in which they are named, which is sorted.
create function lock_records(p_stream bigint[], p_entity smallint[], p_key bigint[])
returns table (version bigint, cells bytea, is_tombstone boolean)
language plpgsql
set lock_timeout = '5s' set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off' set enable_hashjoin = 'off' set enable_mergejoin = 'off'
as $$
#variable_conflict use_column
begin
    perform l.version from unnest(p_stream, p_entity, p_key) with ordinality as e (stream, entity, key, pos)
    cross join lateral (
        select r.version from records r where r.stream_id = e.stream and r.entity = e.entity and r.key = e.key limit 1 for update
    ) l;
    perform l.version from unnest(p_stream, p_entity, p_key) with ordinality as e (stream, entity, key, pos)
    cross join lateral (
        select t.version from tombstones t where t.stream_id = e.stream and t.entity = e.entity and t.key = e.key limit 1 for update
    ) l;
    return query
    select coalesce(r.version, t.version), coalesce(r.cells, t.cells), r.version is null and t.version is not null
    from unnest(p_stream, p_entity, p_key) with ordinality as e (stream, entity, key, pos)
    left join records r on r.stream_id = e.stream and r.entity = e.entity and r.key = e.key
    left join tombstones t on t.stream_id = e.stream and t.entity = e.entity and t.key = e.key
    order by e.pos;
end $$;
