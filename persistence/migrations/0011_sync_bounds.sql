-- Bounds of what one person can make the server keep.

-- As before, and in bytes: a thousand refused changes could be 64 MB. Beyond the bounds the oldest are closed, but never the newest.
drop function bound_queue(bigint, integer, integer);
create function bound_queue(
    p_user bigint, p_open_max integer default 1000, p_left_max integer default 10000,
    p_open_bytes_max bigint default 4194304, p_left_bytes_max bigint default 16777216
) returns void
language sql
set plan_cache_mode = 'force_generic_plan' set enable_seqscan = 'off' set enable_hashjoin = 'off' set enable_mergejoin = 'off'
as $$
    with ranked as materialized (
        select q.space_id, q.id, q.quarantined, row_number() over newest as place, sum(octet_length(q.operation)) over newest as bytes
        from sync_queue q where q.user_id = p_user and q.closed_at is null
        window newest as (partition by q.quarantined order by q.id desc)
    ),
    oldest as materialized (
        select q.space_id, q.id from ranked r cross join lateral (
            select o.space_id, o.id from sync_queue o
            where o.space_id = r.space_id and o.id = r.id and o.closed_at is null for update skip locked
        ) q
        where r.place > case when r.quarantined then p_left_max else p_open_max end
            or r.place > 1 and r.bytes > case when r.quarantined then p_left_bytes_max else p_open_bytes_max end
    )
    update sync_queue q set closed_at = now() from oldest o where q.space_id = o.space_id and q.id = o.id;
$$;

-- What is closed goes with the horizon, by age.
create index sync_queue_closed on sync_queue (closed_at) where closed_at is not null;

-- How many records of each entity each stream has, counting those that are deleted and not yet forgotten, each up to p_max.
create function count_records(p_stream bigint[], p_entity smallint[], p_max integer) returns table (stream bigint, entity smallint, made bigint)
language sql stable
set plan_cache_mode = 'force_generic_plan' set enable_seqscan = 'off' set enable_hashjoin = 'off' set enable_mergejoin = 'off'
as $$
    select q.stream, q.entity, (
        select count(*) from (select from records r where r.stream_id = q.stream and r.entity = q.entity limit p_max) r
    ) + (
        select count(*) from (select from tombstones t where t.stream_id = q.stream and t.entity = q.entity limit p_max) t
    )
    from (select distinct * from unnest(p_stream, p_entity) as u (stream, entity)) q;
$$;
