-- Analytics: what somebody did on a day, question by question; how they stand; and sums over many, for those who write lessons.
--
--   attempts ─ trigger ─▶ days_waiting ─▶ learning_days, by month ─▶ lessons_waiting ─▶ lesson_sums, by month
--                                     ╰─▶ learners ─ a job for each ─▶ NEXT, INSIGHT, CARD in the learner's own records
--
-- What waits is appended and claimed by deletion, so that grading waits for nobody. Each cell (a person's day, a lesson's month) is made anew
-- from what is below it when it waits, and only then: nothing is added to twice, and an answer that is graded again counts once.
--
-- A community whose settings say {"analytics": "off"} has none of it.

create function analytics_off(p_settings jsonb) returns boolean
language sql immutable parallel safe as $$ select coalesce(p_settings ->> 'analytics', 'on') in ('off', 'false') $$;
create index spaces_without_analytics on spaces (id) where kind = 1 and analytics_off(settings);

create table days_waiting (
    id       bigint generated always as identity primary key,
    at       timestamptz not null default now(),
    space_id bigint not null,
    user_id  bigint not null,
    day      date not null
);
comment on table days_waiting is 'seconds old; owner: the person';

create table learning_days (
    day      date not null,
    space_id bigint not null,
    user_id  bigint not null,
    lesson   bigint not null,
    question bigint not null,
    answers  integer not null,
    rights   integer not null,                      -- of them with all points
    passed   integer not null,                      -- of them with enough points
    seconds  bigint not null,                       -- as the devices say
    primary key (day, space_id, user_id, lesson, question)
) partition by range (day);
create table learning_days_default partition of learning_days default;
create index learning_days_by_lesson on learning_days (space_id, lesson, day);
create index learning_days_by_user on learning_days (user_id, space_id, day);
comment on table learning_days is 'graded attempts; owner: the person; months go after analytics.keep_days';

create table lessons_waiting (
    id       bigint generated always as identity primary key,
    at       timestamptz not null default now(),
    space_id bigint not null,
    lesson   bigint not null,
    month    date not null
);
comment on table lessons_waiting is 'seconds old; owner: the community';

-- What many did with a question in a month; question 0: with the lesson. `shown_*` is what is told: it only moves when as many learners
-- more, or less, are in it as a group has at least, so that no two tellings differ by somebody.
create table lesson_sums (
    month         date not null,                    -- its first day
    space_id      bigint not null,
    lesson        bigint not null,
    question      bigint not null,
    learners      integer not null,
    answers       bigint not null,
    passed        bigint not null,
    failing       integer not null,                 -- learners who passed none of it (a lesson: less than half of their answers)
    seconds       bigint not null,
    stopped       integer not null default 0,       -- learners who did nothing since, for two weeks
    shown_of      integer not null default 0,       -- how many learners are in what is told; 0: nothing is
    shown_passed  smallint not null default 0,      -- percent of answers
    shown_failing smallint not null default 0,      -- percent of learners
    shown_stopped smallint not null default 0,
    shown_seconds integer not null default 0,       -- for an answer
    made_at       timestamptz not null default now(),
    primary key (month, space_id, lesson, question)
) partition by range (month);
create table lesson_sums_default partition of lesson_sums default;
create index lesson_sums_by_space on lesson_sums (space_id, month);
create index lesson_sums_by_question on lesson_sums (space_id, question, month) where shown_of > 0;
comment on table lesson_sums is 'owner: the community; months go after analytics.keep_days';

create table learners (
    stream_id   bigint primary key,                 -- their answers in this community
    progress_id bigint not null,
    space_id    bigint not null,
    user_id     bigint not null,
    since       date not null default current_date,
    progress_at bigint not null default 0,          -- up to which event of their progress it was looked at
    active      bigint not null default 0,          -- bits: on `active_day` and the 62 days before it, the lowest is that day
    active_day  date not null default 'epoch',
    last_lesson bigint not null default 0,
    risk        smallint not null default 0,        -- 0 to 100: see docs/analytics.md
    reasons     text not null default '' check (length(reasons) <= 200),
    looked_day  date not null default 'epoch',
    unique (user_id, space_id)
) with (fillfactor = 70);
create index learners_by_space on learners (space_id, last_lesson);
comment on table learners is 'owner: the person; as long as their enrolment';

create table analytics_clock (
    only_row boolean primary key default true check (only_row),
    salt     bigint not null default (random() * 9e15)::bigint  -- so that a row of training names nobody
);
insert into analytics_clock default values;
comment on table analytics_clock is 'one row; owner: the platform';

create function days_wait() returns trigger
language plpgsql as $$
begin
    insert into days_waiting (space_id, user_id, day)
    select distinct w.space_id, w.user_id, (to_timestamp(w.at) at time zone 'UTC')::date
    from written w join spaces s on s.id = w.space_id and not analytics_off(s.settings);
    return null;
end $$;
create trigger attempts_added after insert on attempts referencing new table as written for each statement execute function days_wait();
create trigger attempts_graded_again after update on attempts referencing new table as written for each statement execute function days_wait();

-- Makes the months of both partitioned tables that are missing, from this one on; how many. What lies in the default partition moves.
create function prepare_learning_partitions(p_months_ahead integer default 3) returns integer
language plpgsql as $$
declare
    v_table text;
    v_column text;
    v_start date;
    v_name text;
    v_created integer := 0;
begin
    perform pg_advisory_xact_lock(hashtext('learning_days'));
    for v_table, v_column in values ('learning_days', 'day'), ('lesson_sums', 'month') loop
        for v_month in 0 .. p_months_ahead loop
            v_start := (date_trunc('month', now() at time zone 'UTC') + make_interval(months => v_month))::date;
            v_name := v_table || '_' || to_char(v_start, 'YYYY_MM');
            continue when to_regclass(v_name) is not null;
            execute format('create table %I (like %I including defaults including constraints)', v_name, v_table);
            execute format(
                'with moved as (delete from %I where %I >= %L and %I < %L returning *) insert into %I select * from moved',
                v_table || '_default', v_column, v_start, v_column, (v_start + interval '1 month')::date, v_name);
            execute format(
                'alter table %I attach partition %I for values from (%L) to (%L)',
                v_table, v_name, v_start, (v_start + interval '1 month')::date);
            v_created := v_created + 1;
        end loop;
    end loop;
    return v_created;
end $$;
select prepare_learning_partitions();

-- Lets go of months that ended before `p_before`; how many.
create function prune_learning(p_before date) returns integer
language plpgsql
set lock_timeout = '2s'
as $$
declare
    v_table text;
    v_column text;
    v_partition text;
    v_dropped integer := 0;
begin
    perform pg_advisory_xact_lock(hashtext('learning_days'));
    for v_table, v_column in values ('learning_days', 'day'), ('lesson_sums', 'month') loop
        for v_partition in
            select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
            where i.inhparent = v_table::regclass and c.relname ~ ('^' || v_table || '_\d{4}_\d{2}$') order by c.relname
        loop
            continue when to_date(right(v_partition, 7), 'YYYY_MM') + interval '1 month' > p_before;
            execute format('drop table %I', v_partition);
            v_dropped := v_dropped + 1;
        end loop;
        execute format('delete from %I where %I < %L', v_table || '_default', v_column, p_before);
    end loop;
    return v_dropped;
end $$;

-- Answers that were given before there was any of this.
insert into days_waiting (space_id, user_id, day)
select distinct a.space_id, a.user_id, (to_timestamp(a.at) at time zone 'UTC')::date
from attempts a join spaces s on s.id = a.space_id and not analytics_off(s.settings);
