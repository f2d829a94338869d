-- Jobs: work that a transaction asks for and that somebody does later.
--
--   enqueue ─▶ READY ◀──due── DELAYED ◀──failed──╮
--                │ claim (FOR UPDATE SKIP LOCKED) │
--                ╰──────────▶ RUNNING ────────────┤ worker's lease over: READY again
--                                │ done: deleted  ╰ too often, or too late: moved to dead_jobs
--
-- A row that is done is deleted in the transaction of its effect, so the table holds what is to be done and nothing else. Whoever runs a job
-- holds it by (worker, attempts): no two holders have both in common, so a holder whose lease is over finds no row to end.

create table jobs (
    id           bigint generated always as identity primary key,
    kind         text not null check (length(kind) between 1 and 60),
    state        smallint not null default 0 check (state between 0 and 2),   -- 0 ready, 1 delayed, 2 running
    priority     smallint not null default 0 check (priority between -100 and 100),   -- lower goes first
    key          text check (length(key) between 1 and 200),
    space_id     bigint,                            -- the community on whose behalf it is done
    payload      bytea not null check (octet_length(payload) <= 65536),
    effect       uuid not null default gen_random_uuid(),   -- by which the world outside knows a repeat; random, for ids come again in a restored database
    created_at   timestamptz not null default now(),
    due_at       timestamptz not null default now(),
    expires_at   timestamptz,                       -- no attempt begins after it
    attempts     smallint not null default 0,       -- begun so far, the running one among them
    attempts_max smallint not null default 0,       -- its kind's, as whoever claimed it last knew it
    worker       bigint,                            -- while it runs: job_workers.id
    begun_at     timestamptz,
    cancelled    boolean not null default false,    -- while it runs: its effect may not happen any more
    done         integer not null default 0,        -- how far it is, in steps of its own
    total        integer not null default 0,
    words        text not null default '' check (length(words) <= 200),
    error        text not null default '' check (length(error) <= 2000)   -- of the last attempt that failed
) with (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000, autovacuum_analyze_scale_factor = 0.5,
    autovacuum_vacuum_cost_delay = 0
);
create index jobs_ready on jobs (kind, priority, id) where state = 0;
create index jobs_delayed on jobs (due_at) where state = 1;
create index jobs_running on jobs (worker) where state = 2;
create index jobs_expiring on jobs (expires_at) where state < 2 and expires_at is not null;
create unique index jobs_key on jobs (kind, key) where state < 2 and key is not null;

-- Processes that run jobs. One row is renewed for all that a process runs; when it is over, its jobs are others'.
create table job_workers (
    id           bigint generated always as identity primary key,
    name         text not null,
    started_at   timestamptz not null default now(),
    leased_until timestamptz not null
) with (fillfactor = 50);

-- What failed too often or came too late; looked at, retried or forgotten by a person. Kept for a bounded time.
create table dead_jobs (
    id         bigint primary key,                  -- as it was in jobs
    kind       text not null,
    priority   smallint not null,
    key        text,
    space_id   bigint,
    payload    bytea not null,
    effect     uuid not null,
    created_at timestamptz not null,
    attempts   smallint not null,
    died_at    timestamptz not null default now(),
    reason     smallint not null check (reason between 1 and 4),   -- 1 failed too often, 2 too late, 3 hopeless, 4 its workers were lost
    error      text not null
);
create index dead_jobs_by_age on dead_jobs (died_at);
create index dead_jobs_by_kind on dead_jobs (kind, id);

-- What is done by the clock: one row a schedule, claimed by whoever finds it due, so that each tick is one job however many nodes there are.
create table job_schedules (
    name     text primary key check (length(name) between 1 and 60),
    kind     text not null,
    timing   text not null,                         -- as it is written in the code: a cron expression, or every N s
    next_at  timestamptz not null,
    fired_at timestamptz,                           -- the tick that was last turned into a job
    fired    bigint not null default 0,
    skipped  bigint not null default 0,             -- ticks that found the job of an earlier one
    ended_at timestamptz,                           -- when a job of it was last done
    error    text not null default ''               -- of the last attempt, where that failed
) with (fillfactor = 70);
create index job_schedules_due on job_schedules (next_at);

-- How many of each kind ended how, an hour. Added up by the processes and written down every few seconds: a killed one loses that much of it.
create table job_tallies (
    hour      timestamptz not null,
    kind      text not null,
    done      bigint not null default 0,
    failed    bigint not null default 0,            -- attempts
    dead      bigint not null default 0,
    cancelled bigint not null default 0,
    run_ms    bigint not null default 0,
    primary key (hour, kind)
) with (fillfactor = 70);

-- Adds jobs to the caller's transaction. While a job with the same kind and key waits, another order changes nothing but is stood for by it:
-- that job cannot begin before the caller's transaction has ended, or it would not see what it was ordered for.
-- Keys are taken in sorted order; who orders several with keys orders them in one call.
create function enqueue_jobs(
    p_kind text[], p_payload bytea[], p_delay_s double precision[], p_priority smallint[], p_key text[], p_deadline_s double precision[],
    p_space bigint[]
) returns integer
language plpgsql
set plan_cache_mode = 'force_generic_plan' set enable_seqscan = 'off'
as $$
declare
    v_added integer;
    v_order record;
begin
    insert into jobs (kind, payload, state, priority, space_id, due_at, expires_at)
    select o.kind, o.payload, (o.delay_s > 0)::integer, o.priority, nullif(o.space, 0),
        now() + make_interval(secs => greatest(o.delay_s, 0)),
        case when o.deadline_s > 0 then now() + make_interval(secs => o.deadline_s) end
    from unnest(p_kind, p_payload, p_delay_s, p_priority, p_key, p_deadline_s, p_space) with ordinality
        as o (kind, payload, delay_s, priority, key, deadline_s, space, pos)
    where o.key = '' order by o.pos;
    get diagnostics v_added = row_count;
    if v_added = cardinality(p_kind) then
        return v_added;
    end if;
    for v_order in
        select o.* from unnest(p_kind, p_payload, p_delay_s, p_priority, p_key, p_deadline_s, p_space) with ordinality
            as o (kind, payload, delay_s, priority, key, deadline_s, space, pos)
        where o.key <> '' order by o.kind, o.key, o.pos
    loop
        loop
            insert into jobs (kind, payload, state, priority, key, space_id, due_at, expires_at)
            values (
                v_order.kind, v_order.payload, (v_order.delay_s > 0)::integer, v_order.priority, v_order.key, nullif(v_order.space, 0),
                now() + make_interval(secs => greatest(v_order.delay_s, 0)),
                case when v_order.deadline_s > 0 then now() + make_interval(secs => v_order.deadline_s) end
            ) on conflict (kind, key) where state < 2 and key is not null do nothing;
            if found then
                v_added := v_added + 1;
                exit;
            end if;
            -- A claim asks for the row FOR UPDATE and skips it while this lock is held.
            perform from jobs j where j.kind = v_order.kind and j.key = v_order.key and j.state < 2 for key share;
            exit when found;
        end loop;
    end loop;
    return v_added;
end $$;

-- One job, for statements and functions of SQL. `p_payload`: msgpack of the kind's own struct.
create function enqueue_job(
    p_kind text, p_payload bytea, p_delay_s double precision default 0, p_priority integer default 0, p_key text default '',
    p_deadline_s double precision default 0, p_space bigint default 0
) returns integer
language sql as $$
    select enqueue_jobs(
        array[p_kind], array[p_payload], array[p_delay_s], array[p_priority::smallint], array[coalesce(p_key, '')], array[p_deadline_s],
        array[coalesce(p_space, 0)])
$$;

-- Takes ready jobs for a worker whose lease lives: of each kind as many as it has room for, together at most `p_limit`, by priority and age.
create function claim_jobs(p_worker bigint, p_kind text[], p_free integer[], p_attempts_max smallint[], p_limit integer)
returns table (id bigint, kind text, payload bytea, effect uuid, attempts smallint, priority smallint, key text, space_id bigint)
language plpgsql
set lock_timeout = '5s'
set plan_cache_mode = 'force_generic_plan' set enable_seqscan = 'off'
as $$
#variable_conflict use_column
declare
    v_ids bigint[];
begin
    -- Whoever takes over from a worker deletes its row first: what that one claims meanwhile would be nobody's.
    perform from job_workers w where w.id = p_worker and w.leased_until > clock_timestamp() for key share;
    if not found then
        return;
    end if;
    select array_agg(f.id order by f.id) into v_ids from (
        select c.id from unnest(p_kind, p_free) as k (kind, free)
        cross join lateral (
            select j.id, j.priority from jobs j
            where j.kind = k.kind and j.state = 0 and (j.expires_at is null or j.expires_at > clock_timestamp())
            order by j.priority, j.id limit k.free for update skip locked
        ) c
        order by c.priority, c.id limit p_limit
    ) f;
    if v_ids is null then
        return;
    end if;
    return query
    update jobs j set
        state = 2, worker = p_worker, attempts = j.attempts + 1, begun_at = clock_timestamp(), done = 0, total = 0, words = '',
        attempts_max = p_attempts_max[array_position(p_kind, j.kind)]
    where j.id = any (v_ids)
    returning j.id, j.kind, j.payload, j.effect, j.attempts, j.priority, j.key, j.space_id;
end $$;

-- Moves one job, which the caller has locked, to the dead letters.
create function bury_job(p_id bigint, p_reason smallint, p_error text) returns void
language plpgsql as $$
begin
    with gone as (delete from jobs j where j.id = p_id returning j.*)
    insert into dead_jobs (id, kind, priority, key, space_id, payload, effect, created_at, attempts, reason, error)
    select g.id, g.kind, g.priority, g.key, g.space_id, g.payload, g.effect, g.created_at, g.attempts, p_reason, left(p_error, 2000)
    from gone g;
end $$;

-- Lets one running job, which the caller has locked, wait again. Where another one with its key waits already, that one stands for both.
create function requeue_job(p_id bigint, p_delay_s double precision, p_error text) returns void
language plpgsql as $$
begin
    update jobs j set
        state = (p_delay_s > 0)::integer, due_at = now() + make_interval(secs => greatest(p_delay_s, 0)), worker = null, begun_at = null,
        error = left(p_error, 2000)
    where j.id = p_id;
exception when unique_violation then
    delete from jobs j where j.id = p_id;
end $$;

-- An attempt failed: again after `p_delay_s`, or a dead letter for `p_reason` where that is not 0. Says what became of it: 'retried', 'dead',
-- 'cancelled', or null where the caller holds it no more.
create function fail_job(p_id bigint, p_worker bigint, p_attempt smallint, p_delay_s double precision, p_reason smallint, p_error text)
returns text
language plpgsql
set lock_timeout = '5s'
as $$
declare
    v_cancelled boolean;
    v_late boolean;
begin
    select j.cancelled, coalesce(j.expires_at <= now() + make_interval(secs => greatest(p_delay_s, 0)), false) into v_cancelled, v_late
    from jobs j where j.id = p_id and j.worker = p_worker and j.attempts = p_attempt and j.state = 2 for update;
    if not found then
        return null;
    end if;
    if v_cancelled then
        delete from jobs j where j.id = p_id;
        return 'cancelled';
    end if;
    if p_reason <> 0 or v_late then
        perform bury_job(p_id, case when p_reason <> 0 then p_reason else 2::smallint end, p_error);
        return 'dead';
    end if;
    perform requeue_job(p_id, p_delay_s, p_error);
    return 'retried';
end $$;

-- What time has brought about: delayed jobs are due, deadlines are over, workers are gone. Whoever works calls it now and then; one at a time
-- does it, up to `p_limit` of each.
create function tend_jobs(p_limit integer) returns table (due integer, late integer, taken integer, buried integer)
language plpgsql
set lock_timeout = '5s'
as $$
declare
    v_job record;
begin
    due := 0; late := 0; taken := 0; buried := 0;
    if not pg_try_advisory_xact_lock(hashtext('tend_jobs')) then
        return next;
        return;
    end if;
    update jobs j set state = 0 where j.id = any (array(
        select d.id from jobs d where d.state = 1 and d.due_at <= clock_timestamp() order by d.due_at limit p_limit for update skip locked));
    get diagnostics due = row_count;
    for v_job in
        select d.id from jobs d where d.state < 2 and d.expires_at <= clock_timestamp() order by d.expires_at limit p_limit
        for update skip locked
    loop
        perform bury_job(v_job.id, 2::smallint, '');
        late := late + 1;
    end loop;
    delete from job_workers w where w.id in (select d.id from job_workers d where d.leased_until <= clock_timestamp() for update skip locked);
    for v_job in
        select r.id, r.attempts, r.attempts_max, r.cancelled, r.expires_at from jobs r
        where r.state = 2 and not exists (select from job_workers w where w.id = r.worker)
        order by r.id limit p_limit for update skip locked
    loop
        taken := taken + 1;
        if v_job.cancelled then
            delete from jobs j where j.id = v_job.id;
        elsif v_job.attempts >= v_job.attempts_max then
            perform bury_job(v_job.id, 4::smallint, 'the process that ran it ended or lost the database, as often as its kind allows');
            buried := buried + 1;
        else
            -- At once the first time; a job that kills whoever runs it comes back ever later.
            perform requeue_job(
                v_job.id, case when v_job.attempts < 2 then 0 else random() * least(power(2, v_job.attempts), 300) end,
                'the process that ran it ended or lost the database');
        end if;
    end loop;
    return next;
end $$;
