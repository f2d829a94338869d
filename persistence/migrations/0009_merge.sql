-- Changes of records: a batch in two calls, with the rules decided between them (actors/merging.py).
--
--   merge_begin ─▶ lock devices ─▶ classify by number ─▶ lock records ─▶ read seats, records, open conflicts
--                  sorted          as journal_append      sorted          fresh snapshot
--   (decide)
--   merge_write ─▶ records ↔ tombstones · kept values · conflicts · unapplied · outbox
--   merge_finish ─▶ outcomes ─▶ lock streams ─▶ guards ─▶ number and insert events
--                               sorted, last     else ED001: the whole transaction again
--
-- A record that is not there yet cannot be locked. So every write says which version it replaces, and where another came first it raises
-- ED001 or a unique violation: again, from the beginning. So does a batch that sees more records than it could lock. Nested loops alone: every look-up is by a whole key, and a plan made while
-- these tables were empty would scan them for ever.

create function merge_begin(
    p_user bigint[], p_device bigint[], p_generation integer[], p_number bigint[], p_digest bigint[],
    p_stream bigint[], p_entity smallint[], p_key bigint[]      -- 0: names no record
) returns table (
    at bigint, code smallint, value bigint, detail text, replayed boolean, fresh boolean,
    stream_kind smallint, read_roles smallint, audience_version integer, role smallint, community bigint, has_left boolean,
    version bigint, cells bytea, is_tombstone boolean, conflict bigint, locked bigint
)
language plpgsql
set lock_timeout = '5s' set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off' set enable_hashjoin = 'off' set enable_mergejoin = 'off'
as $$
#variable_conflict use_column
declare
    v_code smallint[];              -- as in journal_append: 0 fresh, -1 known
    v_records bigint;
    v_tombstones bigint;
begin
    perform d.id from devices d where d.id = any (p_device) order by d.id for update;

    select array_agg(c.code order by c.pos)
    into v_code
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
        left join devices d on d.id = e.device and d.user_id = e.user_id and d.generation = e.generation
    ) c;

    select count(*) into v_records
    from (
        select distinct e.stream, e.entity, e.key from unnest(p_stream, p_entity, p_key, v_code) as e (stream, entity, key, code)
        where e.code = 0 and e.key > 0 order by 1, 2, 3
    ) e
    cross join lateral (
        select r.version from records r where r.stream_id = e.stream and r.entity = e.entity and r.key = e.key limit 1 for update
    ) l;
    -- Only now: what another transaction deleted while we waited is found here.
    select count(*) into v_tombstones
    from (
        select distinct e.stream, e.entity, e.key from unnest(p_stream, p_entity, p_key, v_code) as e (stream, entity, key, code)
        where e.code = 0 and e.key > 0 order by 1, 2, 3
    ) e
    cross join lateral (
        select t.version from tombstones t where t.stream_id = e.stream and t.entity = e.entity and t.key = e.key limit 1 for update
    ) l;

    return query
    select extract(epoch from clock_timestamp())::bigint,
        (case when e.code <> -1 then e.code when o.number is null then 9 when o.digest <> e.digest then 10 else o.code end)::smallint,
        case when o.digest = e.digest then o.value else 0 end, case when o.digest = e.digest then o.detail end,
        coalesce(e.code = -1 and o.digest = e.digest, false), e.code = 0,
        s.kind, s.read_roles, s.audience_version, m.role,
        case when c.id is not null and (m.role is not null or b.is_member or b.was_member) then c.id end,
        coalesce(m.role is null and b.was_member and not b.is_member, false),
        coalesce(r.version, t.version), coalesce(r.cells, t.cells), r.version is null and t.version is not null, f.id,
        v_records + v_tombstones
    from unnest(p_user, p_device, p_number, p_digest, p_stream, p_entity, p_key, v_code) with ordinality
        as e (user_id, device, number, digest, stream, entity, key, code, pos)
    -- LIMIT keeps each of these at one look-up by key. As a plain join, planned while the table was empty, this one went through all
    -- outcomes for each change: 800 us of Postgres a change instead of 35.
    left join lateral (
        select o.number, o.digest, o.code, o.value, o.detail from outcomes o
        where e.code = -1 and o.device_id = e.device and o.slot = e.number % 256 and o.number = e.number limit 1
    ) o on true
    left join streams s on s.id = e.stream and e.code = 0
    left join spaces p on p.id = s.space_id
    left join lateral (select m.role from members m where m.space_id = s.space_id and m.user_id = e.user_id limit 1) m on true
    left join lateral (select case p.kind when 1 then p.id when 4 then p.parent end as id) c on true
    -- Whoever is no member here: of the community perhaps, or once?
    left join lateral (
        select exists (select from members n where n.space_id = c.id and n.user_id = e.user_id) as is_member,
               exists (select from spaces n where n.pair_key = 'enrolment:' || c.id || ':' || e.user_id) as was_member
        where m.role is null and c.id is not null
    ) b on true
    left join lateral (
        select r.version, r.cells from records r
        where e.code = 0 and r.stream_id = e.stream and r.entity = e.entity and r.key = e.key limit 1
    ) r on true
    left join lateral (
        select t.version, t.cells from tombstones t
        where e.code = 0 and t.stream_id = e.stream and t.entity = e.entity and t.key = e.key limit 1
    ) t on true
    left join lateral (
        select f.id from sync_conflicts f
        where e.code = 0 and f.stream_id = e.stream and f.entity = e.entity and f.key = e.key and f.user_id = e.user_id
            and f.state in (1, 2) limit 1
    ) f on true
    order by e.pos;
end $$;

-- For a transaction that saw what it could not lock before: to wait for it now would be against the order of locks.
create function begin_again() returns void
language plpgsql as $$
begin
    raise exception 'a record has come in between' using errcode = 'ED001';
end $$;

-- For operations that change one record: locks it as merge_begin does, and reads it.
create function lock_record(p_stream bigint, p_entity smallint, p_key bigint, out version bigint, out cells bytea, out is_tombstone boolean)
language plpgsql
set lock_timeout = '5s' set plan_cache_mode = 'force_generic_plan' set enable_seqscan = 'off'
as $$
begin
    select r.version, r.cells, false into version, cells, is_tombstone
    from records r where r.stream_id = p_stream and r.entity = p_entity and r.key = p_key for update;
    if version is null then
        select t.version, t.cells, true into version, cells, is_tombstone
        from tombstones t where t.stream_id = p_stream and t.entity = p_entity and t.key = p_key for update;
    end if;
end $$;

-- Writes down what was decided. Each group of arrays is one kind of rows, already sorted.
--   r_was     what stood there: 0 nothing, 1 a record, 2 a tombstone        r_before  its version
--   c_is_new  a conflict is new (its id is from conflict_ids), else it grows
--   q_community  0: into the person's own space
create function merge_write(
    r_stream bigint[], r_entity smallint[], r_key bigint[], r_was smallint[], r_before bigint[], r_version bigint[], r_cells bytea[],
    r_gone boolean[], r_writer bigint[],
    v_stream bigint[], v_entity smallint[], v_key bigint[], v_version bigint[], v_kept smallint[], v_author bigint[], v_device bigint[],
    v_number bigint[], v_at bigint[], v_fields bytea[],
    c_id bigint[], c_is_new boolean[], c_stream bigint[], c_entity smallint[], c_key bigint[], c_user bigint[], c_device bigint[],
    c_number bigint[], c_state smallint[], c_written_at bigint[], c_base bigint[], c_version bigint[],
    c_mine bytea[], c_theirs bytea[], c_common bytea[], c_gone boolean[],
    q_community bigint[], q_user bigint[], q_device bigint[], q_number bigint[], q_code smallint[], q_detail text[], q_operation bytea[],
    q_left boolean[],
    n_kind smallint, n_user bigint[], n_stream bigint[], n_author bigint[], n_body bytea[]
) returns boolean
language plpgsql
set lock_timeout = '5s' set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off' set enable_hashjoin = 'off' set enable_mergejoin = 'off'
as $$
#variable_conflict use_column
declare
    v_written bigint;
    v_count bigint := 0;
    v_crowded bigint;
begin
    if cardinality(r_stream) > 0 then
        -- Also what is deleted in the batch that made it: only a row among the records keeps two from making one.
        if 0 = any (r_was) then
            insert into records (stream_id, entity, key, version, cells)
            select w.stream, w.entity, w.key, w.version, w.cells
            from unnest(r_stream, r_entity, r_key, r_was, r_version, r_cells) as w (stream, entity, key, was, version, cells)
            where w.was = 0 order by 1, 2, 3;
            get diagnostics v_count = row_count;
            -- It may have come and gone between our look and our lock.
            if exists (
                select from unnest(r_stream, r_entity, r_key, r_was) as w (stream, entity, key, was)
                join tombstones t on t.stream_id = w.stream and t.entity = w.entity and t.key = w.key where w.was = 0
            ) then
                raise exception 'a record has changed' using errcode = 'ED001';
            end if;
        end if;
        with changed as (
            update records r set version = w.version, cells = w.cells
            from unnest(r_stream, r_entity, r_key, r_was, r_before, r_version, r_cells, r_gone)
                as w (stream, entity, key, was, before, version, cells, gone)
            where w.was = 1 and not w.gone
                and r.stream_id = w.stream and r.entity = w.entity and r.key = w.key and r.version = w.before
            returning 1
        ) select count(*) into v_written from changed;
        v_count := v_count + v_written;
        if true = any (r_gone) then
            with w as materialized (
                select * from unnest(r_stream, r_entity, r_key, r_was, r_before, r_version, r_cells, r_gone, r_writer)
                    as w (stream, entity, key, was, before, version, cells, gone, writer)
                where w.gone
            ),
            buried as (
                delete from records r using w
                where w.was < 2 and r.stream_id = w.stream and r.entity = w.entity and r.key = w.key
                    and r.version = case w.was when 1 then w.before else w.version end
                returning w.*
            ),
            stones as (
                insert into tombstones (stream_id, entity, key, version, cells, deleted_by)
                select b.stream, b.entity, b.key, b.version, b.cells, b.writer from buried b order by 1, 2, 3
            ),
            changed as (
                update tombstones t set version = w.version, cells = w.cells from w
                where w.was = 2 and t.stream_id = w.stream and t.entity = w.entity and t.key = w.key and t.version = w.before
                returning 1
            )
            select (select count(*) from buried where was = 1) + (select count(*) from changed) into v_written;
            v_count := v_count + v_written;
        end if;
        if 2 = any (r_was) then
            with risen as (
                delete from tombstones t using unnest(r_stream, r_entity, r_key, r_was, r_before, r_version, r_cells, r_gone)
                    as w (stream, entity, key, was, before, version, cells, gone)
                where w.was = 2 and not w.gone
                    and t.stream_id = w.stream and t.entity = w.entity and t.key = w.key and t.version = w.before
                returning w.stream, w.entity, w.key, w.version, w.cells
            ),
            stored as (
                insert into records (stream_id, entity, key, version, cells)
                select n.stream, n.entity, n.key, n.version, n.cells from risen n order by 1, 2, 3
            )
            select count(*) into v_written from risen;
            v_count := v_count + v_written;
        end if;
        if v_count <> cardinality(r_stream) then
            raise exception 'a record has changed' using errcode = 'ED001';
        end if;
    end if;

    if cardinality(v_stream) > 0 then
        insert into entity_versions (stream_id, entity, key, version, kept, author, device_id, number, at, fields)
        select w.stream, w.entity, w.key, w.version, w.kept,
            coalesce(nullif(w.author, 0), (select d.user_id from devices d where d.id = w.device), 0), w.device, w.number, w.at, w.fields
        from unnest(v_stream, v_entity, v_key, v_version, v_kept, v_author, v_device, v_number, v_at, v_fields) with ordinality
            as w (stream, entity, key, version, kept, author, device, number, at, fields, pos)
        order by w.pos;
    end if;

    if cardinality(c_id) > 0 then
        insert into sync_conflicts (id, stream_id, space_id, entity, key, user_id, device_id, number, state, at, written_at, base, version,
            mine, theirs, common, gone)
        overriding system value
        select w.id, w.stream, s.space_id, w.entity, w.key, w.user_id, w.device, w.number, w.state, extract(epoch from clock_timestamp())::bigint,
            w.written_at, w.base, w.version, w.mine, w.theirs, w.common, w.gone
        from unnest(c_id, c_is_new, c_stream, c_entity, c_key, c_user, c_device, c_number, c_state, c_written_at, c_base, c_version,
                c_mine, c_theirs, c_common, c_gone)
            as w (id, is_new, stream, entity, key, user_id, device, number, state, written_at, base, version, mine, theirs, common, gone)
        join streams s on s.id = w.stream
        where w.is_new order by w.stream, w.entity, w.key, w.user_id;
        update sync_conflicts f set mine = w.mine, theirs = w.theirs, common = w.common, gone = w.gone, device_id = w.device,
            number = w.number, written_at = w.written_at, version = w.version
        from unnest(c_id, c_is_new, c_device, c_number, c_written_at, c_version, c_mine, c_theirs, c_common, c_gone)
            as w (id, is_new, device, number, written_at, version, mine, theirs, common, gone)
        where not w.is_new and f.id = w.id;
    end if;

    if cardinality(q_user) > 0 then
        insert into sync_queue (space_id, user_id, device_id, number, code, detail, operation, quarantined)
        select coalesce(nullif(w.community, 0), a.personal_space, 0), w.user_id, w.device, w.number, w.code, w.detail, w.operation, w.has_left
        from unnest(q_community, q_user, q_device, q_number, q_code, q_detail, q_operation, q_left) with ordinality
            as w (community, user_id, device, number, code, detail, operation, has_left, pos)
        left join accounts a on a.id = w.user_id order by w.pos;
        for v_crowded in select distinct w from unnest(q_user) w order by 1 loop
            perform bound_queue(v_crowded);
        end loop;
    end if;

    if cardinality(n_user) > 0 then
        insert into outbox (kind, user_id, stream_id, author, payload)
        select n_kind, w.user_id, w.stream, w.author, w.body
        from unnest(n_user, n_stream, n_author, n_body) with ordinality as w (user_id, stream, author, body, pos) order by w.pos;
    end if;
    return true;
end $$;

-- At most so many unapplied changes of a person stay open, counting apart those that wait for a community because their writer had left:
-- beyond that the oldest are closed.
create function bound_queue(p_user bigint, p_open_max integer default 1000, p_left_max integer default 10000) returns void
language sql
set plan_cache_mode = 'force_generic_plan' set enable_seqscan = 'off' set enable_hashjoin = 'off' set enable_mergejoin = 'off'
as $$
    with crowd as materialized (
        select k.quarantined, (
            select count(*) from sync_queue q where q.user_id = p_user and q.closed_at is null and q.quarantined = k.quarantined
        ) - k.open_max as surplus
        from (values (false, p_open_max), (true, p_left_max)) as k (quarantined, open_max)
    ),
    oldest as materialized (
        select o.space_id, o.id from crowd c cross join lateral (
            select q.space_id, q.id from sync_queue q
            where q.user_id = p_user and q.closed_at is null and q.quarantined = c.quarantined
            order by q.id limit c.surplus for update skip locked
        ) o
        where c.surplus > 0
    )
    update sync_queue q set closed_at = now() from oldest o where q.space_id = o.space_id and q.id = o.id;
$$;

-- Ids for conflicts that are about to be written: a change's outcome names its conflict.
create function conflict_ids(p_count integer) returns setof bigint
language sql as $$
    select nextval(pg_get_serial_sequence('sync_conflicts', 'id')) from generate_series(1, p_count);
$$;

-- Outcomes, the state of devices, and events; the transaction's last call.
--   p_guard  streams whose audience must still be as it was when the rules were asked
create function merge_finish(
    p_written boolean,              -- that merge_write has run
    p_device bigint[], p_number bigint[], p_digest bigint[], p_code smallint[], p_value bigint[], p_detail text[],
    d_device bigint[], d_user bigint[], d_last bigint[], d_pushed bigint[], d_refused bigint[], d_skew_s integer[],
    p_guard bigint[], p_guard_version integer[],
    p_kind smallint, p_stream bigint[], p_author bigint[], p_body bytea[]
) returns table (seq bigint, at bigint, audience_version integer)
language plpgsql
set lock_timeout = '5s' set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off' set enable_hashjoin = 'off' set enable_mergejoin = 'off'
as $$
#variable_conflict use_column
declare
    v_at bigint;
begin
    insert into outcomes as o (device_id, slot, number, digest, code, value, detail)
    select e.device, e.number % 256, e.number, e.digest, e.code, e.value, e.detail
    from unnest(p_device, p_number, p_digest, p_code, p_value, p_detail) as e (device, number, digest, code, value, detail)
    on conflict (device_id, slot) do update
        set number = excluded.number, digest = excluded.digest, code = excluded.code, value = excluded.value, detail = excluded.detail;
    update devices d set last_number = w.last, seen_at = now()
    from unnest(d_device, d_last) as w (device, last) where d.id = w.device;
    insert into device_sync_state as t (device_id, user_id, pushed, refused, pushed_at, skew_s)
    select w.device, w.user_id, w.pushed, w.refused, now(), w.skew_s
    from unnest(d_device, d_user, d_pushed, d_refused, d_skew_s) as w (device, user_id, pushed, refused, skew_s)
    on conflict (device_id) do update
        set pushed = t.pushed + excluded.pushed, refused = t.refused + excluded.refused, pushed_at = now(), skew_s = excluded.skew_s;

    perform s.id from streams s where s.id = any (p_guard || p_stream) order by s.id for update;
    if exists (
        select from unnest(p_guard, p_guard_version) as g (stream, version)
        left join streams s on s.id = g.stream where s.audience_version is distinct from g.version
    ) then
        raise exception 'the audience has changed' using errcode = 'ED001';
    end if;
    v_at := extract(epoch from clock_timestamp())::bigint;
    return query
    with numbered as materialized (
        select e.*, s.head + row_number() over (partition by e.stream order by e.pos) as seq, s.audience_version
        from unnest(p_stream, p_author, p_body) with ordinality as e (stream, author, body, pos)
        join streams s on s.id = e.stream
    ),
    logged as (
        insert into log (stream_id, seq, kind, author, at, body)
        select n.stream, n.seq, p_kind, n.author, v_at, n.body from numbered n
    ),
    counted as (
        update streams s set head = g.head
        from (select n.stream, max(n.seq) as head from numbered n group by n.stream) g where s.id = g.stream
    )
    select n.seq, v_at, n.audience_version from numbered n order by n.pos;
end $$;
