-- Who is to be told of what in which inbox, decided now: level-triggered, so that any order of delivery ends in the truth.
-- Called under the locks of the inboxes concerned, in a statement of its own: whoever changes membership puts another row into the outbox
-- afterwards, which waits for these locks and sees that change.
--   deliver: false where it no longer holds (not a member any more, or again; may not read; invitation used or withdrawn; account gone)
create function judge_outbox(p_kind smallint[], p_user bigint[], p_space bigint[], p_stream bigint[])
returns table (deliver boolean, kind smallint, name text, role smallint, streams bigint[], stream_kinds smallint[], stream_names text[])
language sql stable
as $$
    select
        case
            when a.inbox is null then false
            when r.kind in (20, 17) then m.role is not null and p.id is not null
            when r.kind = 21 then m.role is null
            when r.kind = 22 then m.role & s.read_roles <> 0
            when r.kind = 24 then m.role is null and i.role is not null
            else false
        end,
        p.kind, p.name, m.role, t.ids, t.kinds, t.names
    from unnest(p_kind, p_user, p_space, p_stream) with ordinality as r (kind, user_id, space, stream, pos)
    left join accounts a on a.id = r.user_id and a.disabled_at is null
    left join streams s on s.id = r.stream
    left join spaces p on p.id = coalesce(r.space, s.space_id)
    left join lateral (select m.role from members m where m.space_id = p.id and m.user_id = r.user_id limit 1) m on true
    left join lateral (select i.role from invitations i where i.space_id = p.id and i.user_id = r.user_id limit 1) i on true
    left join lateral (
        select array_agg(o.id order by o.id) as ids, array_agg(o.kind order by o.id) as kinds, array_agg(o.name order by o.id) as names
        from streams o where o.space_id = p.id and o.read_roles & m.role <> 0
    ) t on r.kind in (20, 17)
    order by r.pos
$$;
