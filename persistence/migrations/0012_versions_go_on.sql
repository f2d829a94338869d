-- A record that is made again after its tombstone was forgotten goes on counting above every version that any forgotten record of its stream
-- had. Otherwise what knew the earlier one seems to know the new one: a device passes over the new one's versions as old, and a change that
-- was written before the deletion overwrites, as known, what it never saw.

alter table streams add column forgotten bigint not null default 0;   -- the highest version of a record that was deleted and is forgotten

drop function count_records(bigint[], smallint[], integer);
create function count_records(p_stream bigint[], p_entity smallint[], p_max integer)
returns table (stream bigint, entity smallint, made bigint, forgotten bigint)
language sql stable
set plan_cache_mode = 'force_generic_plan' set enable_seqscan = 'off' set enable_hashjoin = 'off' set enable_mergejoin = 'off'
as $$
    select q.stream, q.entity, (
        select count(*) from (select from records r where r.stream_id = q.stream and r.entity = q.entity limit p_max) r
    ) + (
        select count(*) from (select from tombstones t where t.stream_id = q.stream and t.entity = q.entity limit p_max) t
    ), s.forgotten
    from (select distinct * from unnest(p_stream, p_entity) as u (stream, entity)) q join streams s on s.id = q.stream;
$$;
