-- A device's new socket: takes the device over by raising its generation, if session and account are still good. A batch at once; a device
-- at most once in it. The device's row is locked first and everything else read in a later statement: a revocation that is committed by then
-- is seen, and one that comes later raises the generation again. Sessions are not written, so no order of locks can cross a revocation's.
--   code 0 taken; 16 the device is not this session's; 4003 revoked, disabled or unknown; 4002 expired
create function attach_devices(p_session bigint[], p_user bigint[], p_device bigint[], p_gateway integer[])
returns table (
    code smallint, generation integer, last_number bigint, inbox bigint, session_expires bigint, display_name text, previous_gateway integer
)
language plpgsql
set lock_timeout = '5s'
as $$
#variable_conflict use_column
begin
    perform d.id from devices d where d.id = any (p_device) order by d.id for update;
    return query
    with judged as materialized (
        select q.pos, q.device, q.gateway, d.generation, d.last_number, d.gateway as previous_gateway, a.inbox, a.display_name,
            extract(epoch from s.expires_at)::bigint as session_expires,
            (case
                when s.id is null or a.id is null or s.revoked_at is not null or a.disabled_at is not null then 4003
                when d.id is null or s.device_id <> d.id then 16
                when s.expires_at <= clock_timestamp() then 4002
                else 0
            end)::smallint as code
        from unnest(p_session, p_user, p_device, p_gateway) with ordinality as q (session, user_id, device, gateway, pos)
        left join sessions s on s.id = q.session and s.user_id = q.user_id
        left join accounts a on a.id = q.user_id
        left join devices d on d.id = q.device and d.user_id = q.user_id
    ),
    taken as (
        update devices d set generation = d.generation + 1, gateway = j.gateway, seen_at = now()
        from judged j where j.code = 0 and d.id = j.device
    )
    select j.code, j.generation + 1, j.last_number, j.inbox, j.session_expires, j.display_name, j.previous_gateway
    from judged j order by j.pos;
end $$;
