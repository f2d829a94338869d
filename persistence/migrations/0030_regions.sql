-- Where a job may be done: the region label of the community on whose behalf it is ordered is written into the job, so that a claim joins
-- nothing. A worker says as it enlists which regions it takes jobs of; the jobs of no region are everybody's.
--
--   spaces.region ─enqueue─▶ jobs.region ─┬─ '' ──────▶ jobs_ready          every worker
--                     place_space ──▲     ╰─ 'ke' ─┬──▶ jobs_ready_placed   workers that take everything
--                                                  ╰──▶ jobs_ready_there    workers of 'ke'
--
-- The version before enlists workers that take everything, which is what they do, and orders jobs through the functions below.

alter table jobs add column region text not null default '';      -- as spaces.region was when it was ordered, or set since; '': anywhere
alter table job_workers add column regions text[];                -- whose jobs it takes, beside those of no region; null: everything

-- A job of no region is in one index, as before; who claims looks into the others only where there is something in them.
drop index jobs_ready;
create index jobs_ready on jobs (kind, priority, id) where state = 0 and region = '';
create index jobs_ready_placed on jobs (kind, priority, id) where state = 0 and region <> '';
create index jobs_ready_there on jobs (kind, region, priority, id) where state = 0 and region <> '';
create index jobs_placed on jobs (region) where region <> '';     -- what waits for a region that nobody serves
create index jobs_of_space on jobs (space_id) where space_id is not null;

-- Where a community's data may be kept, and so where its jobs are done; '' for none's.
create function region_of(p_space bigint) returns text
language sql stable
set plan_cache_mode = 'force_generic_plan' set enable_seqscan = 'off'
as $$
    select coalesce((select s.region from spaces s where s.id = p_space), '')
$$;

-- Sets a community's region, and that of its jobs that have not begun. Returns the label, null where there is no such community.
-- Orders of transactions that are under way meanwhile keep the label that they saw.
create function place_space(p_space bigint, p_region text) returns text
language plpgsql
set lock_timeout = '5s' set enable_seqscan = 'off'
as $$
begin
    update spaces s set region = p_region where s.id = p_space and s.kind = 1;
    if not found then
        return null;
    end if;
    update jobs j set region = p_region where j.space_id = p_space and j.state < 2 and j.region <> p_region;
    return p_region;
end $$;

create or replace function enqueue_jobs(
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
    insert into jobs (kind, payload, state, priority, space_id, region, due_at, expires_at)
    select o.kind, o.payload, (o.delay_s > 0)::integer, o.priority, nullif(o.space, 0),
        case when o.space > 0 then region_of(o.space) else '' end,
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
            insert into jobs (kind, payload, state, priority, key, space_id, region, due_at, expires_at)
            values (
                v_order.kind, v_order.payload, (v_order.delay_s > 0)::integer, v_order.priority, v_order.key, nullif(v_order.space, 0),
                case when v_order.space > 0 then region_of(v_order.space) else '' end,
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

-- Takes ready jobs for a worker whose lease lives: of each kind as many as it has room for, together at most `p_limit`, by priority and age,
-- of the regions that it said it takes. Where no job of any region is ready it looks no further than before there were regions.
create or replace function claim_jobs(p_worker bigint, p_kind text[], p_free integer[], p_attempts_max smallint[], p_limit integer)
returns table (id bigint, kind text, payload bytea, effect uuid, attempts smallint, priority smallint, key text, space_id bigint)
language plpgsql
set lock_timeout = '5s'
set plan_cache_mode = 'force_generic_plan' set enable_seqscan = 'off'
as $$
#variable_conflict use_column
declare
    v_ids bigint[];
    v_regions text[];
begin
    -- Whoever takes over from a worker deletes its row first: what that one claims meanwhile would be nobody's.
    select w.regions into v_regions from job_workers w where w.id = p_worker and w.leased_until > clock_timestamp() for key share;
    if not found then
        return;
    end if;
    if cardinality(v_regions) = 0 or not exists (select from jobs j where j.state = 0 and j.region <> '') then
        select array_agg(f.id order by f.id) into v_ids from (
            select c.id from unnest(p_kind, p_free) as k (kind, free)
            cross join lateral (
                select j.id, j.priority from jobs j
                where j.kind = k.kind and j.state = 0 and j.region = '' and (j.expires_at is null or j.expires_at > clock_timestamp())
                order by j.priority, j.id limit k.free for update skip locked
            ) c
            order by c.priority, c.id limit p_limit
        ) f;
    else
        -- Of each kind as many from each index; together no more than there is room for. What is locked and not taken is others' in a moment.
        with candidates as materialized (
            select k.kind, k.free, c.id, c.priority from unnest(p_kind, p_free) as k (kind, free)
            cross join lateral (
                select j.id, j.priority from jobs j
                where j.kind = k.kind and j.state = 0 and j.region = '' and (j.expires_at is null or j.expires_at > clock_timestamp())
                order by j.priority, j.id limit k.free for update skip locked
            ) c
            union all
            select k.kind, k.free, c.id, c.priority from unnest(p_kind, p_free) as k (kind, free)
            cross join lateral (
                select j.id, j.priority from jobs j
                where j.kind = k.kind and j.state = 0 and j.region <> '' and (j.expires_at is null or j.expires_at > clock_timestamp())
                order by j.priority, j.id limit k.free for update skip locked
            ) c
            where v_regions is null
            union all
            select k.kind, k.free, c.id, c.priority from unnest(p_kind, p_free) as k (kind, free)
            cross join unnest(v_regions) as r (region)
            cross join lateral (
                select j.id, j.priority from jobs j
                where j.kind = k.kind and j.state = 0 and j.region = r.region and j.region <> ''
                    and (j.expires_at is null or j.expires_at > clock_timestamp())
                order by j.priority, j.id limit k.free for update skip locked
            ) c
        ),
        ranked as (select c.*, row_number() over (partition by c.kind order by c.priority, c.id) as place from candidates c)
        select array_agg(f.id order by f.id) into v_ids from (
            select r.id from ranked r where r.place <= r.free order by r.priority, r.id limit p_limit
        ) f;
    end if;
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
