-- Search: the words of a place are counted for each of its streams, so that those of a stream which somebody does not read change nothing
-- for them.
--
-- Counted for a space, they told: which words were taken for slips, and which of many similar words were looked for, depended on how often a
-- channel that one does not read has them. And of all words that there are, everybody's, only so many were looked at: a place that
-- said many kept others from finding parts of theirs.
--
-- The index is made anew in the background, as after an upgrade.

delete from search_cursors;
truncate search_messages, search_words, search_vocabulary;

alter table search_words add column stream_id bigint not null;
alter table search_words drop constraint search_words_pkey, add primary key (word, space_id, stream_id);
create index search_words_by_stream on search_words (stream_id, word) include (messages);
comment on table search_words is 'owner: the stream, gone with its space; a word goes with the last message that has it';

create or replace function search_forget() returns trigger language plpgsql set enable_seqscan = 'off' as $$
begin
    with fewer as materialized (
        select o.stream_id, substring(w.lexeme from position('.' in w.lexeme) + 1) as word, count(*) as n
        from gone o cross join lateral unnest(o.words) w group by 1, 2
    ),
    counted as (
        update search_words s set messages = s.messages - f.n from fewer f
        where s.word = f.word and s.stream_id = f.stream_id and s.messages > f.n
    )
    delete from search_words s using fewer f where s.word = f.word and s.stream_id = f.stream_id and s.messages <= f.n;
    return null;
end $$;

-- As before, and words by stream.
create or replace function index_messages(p_streams bigint[], p_events integer)
returns table (stream bigint, indexed integer, more boolean)
language plpgsql
set lock_timeout = '5s' set enable_seqscan = 'off'
as $$
#variable_conflict use_column
declare
    v_stream bigint[];
    v_from bigint[];
    v_upto bigint[];
    v_head bigint[];
    v_changed_in bigint[];
    v_changed bigint[];
begin
    if not pg_try_advisory_xact_lock(search_lock()) then
        return query select s, -1, true from unnest(p_streams) s;
        return;
    end if;
    insert into search_cursors (stream_id)
        select s.id from streams s where s.id = any (p_streams) and s.kind in (3, 4) order by s.id on conflict do nothing;
    -- Locked, so that whoever erases the stream waits, and finds what is written here.
    perform c.stream_id from search_cursors c where c.stream_id = any (p_streams) order by c.stream_id for update;
    select array_agg(c.stream_id order by c.stream_id), array_agg(c.upto order by c.stream_id),
           array_agg(coalesce(e.upto, s.head) order by c.stream_id), array_agg(s.head order by c.stream_id)
    into v_stream, v_from, v_upto, v_head
    from search_cursors c
    join streams s on s.id = c.stream_id and s.id = any (p_streams)
    -- Null: less than a part is left, and the head is its end.
    left join lateral (
        select l.seq as upto from log l where l.stream_id = c.stream_id and l.seq > c.upto order by l.seq offset p_events - 1 limit 1
    ) e on true
    where c.stream_id = any (p_streams) and s.head > c.upto;
    if v_stream is null then
        return query select c.stream_id, 0, false from search_cursors c where c.stream_id = any (p_streams);
        return;
    end if;

    -- What reads otherwise since, of what is in the index by now: edited, taken back, emptied.
    select array_agg(t.stream_id), array_agg(t.target) into v_changed_in, v_changed
    from (
        select distinct l.stream_id, l.target
        from unnest(v_stream, v_from, v_upto) as q (stream, since, upto)
        join log l on l.stream_id = q.stream and l.seq > q.since and l.seq <= q.upto and l.kind in (2, 3, 5) and l.target <= q.since
    ) t;
    delete from search_messages m using unnest(v_changed_in, v_changed) as q (stream, target)
    where m.stream_id = q.stream and m.seq = q.target;
    if exists (
        select from unnest(v_stream, v_from, v_upto) as q (stream, since, upto)
        join log l on l.stream_id = q.stream and l.seq > q.since and l.seq <= q.upto and l.kind = 69
    ) then
        delete from search_messages m
        using (
            select l.stream_id, a.value as author, u.value as upto
            from unnest(v_stream, v_from, v_upto) as q (stream, since, upto)
            join log l on l.stream_id = q.stream and l.seq > q.since and l.seq <= q.upto and l.kind = 69
            cross join lateral msgpack_uint(l.body, 2) a cross join lateral msgpack_uint(l.body, a.next) u
        ) c
        where m.stream_id = c.stream_id and m.seq <= c.upto and (c.author = 0 or m.author = c.author);
    end if;

    with said as (
        select q.stream, l.seq from unnest(v_stream, v_from, v_upto) as q (stream, since, upto)
        join log l on l.stream_id = q.stream and l.seq > q.since and l.seq <= q.upto and l.kind in (1, 6)
        union all select q.stream, q.target from unnest(v_changed_in, v_changed) as q (stream, target)
    ),
    fresh as materialized (
        select l.stream_id, l.seq, s.space_id, l.author, l.at, w.words
        from said i
        join log l on l.stream_id = i.stream and l.seq = i.seq and l.kind in (1, 6)
        join streams s on s.id = i.stream and s.id = any (v_stream)
        cross join lateral (select search_words_in(message_text(l.body)) as words) w
        where cardinality(w.words) > 0
    ),
    written as (
        insert into search_messages (stream_id, seq, space_id, author, at, words)
        select f.stream_id, f.seq, f.space_id, f.author, f.at, array_to_tsvector(array(select search_key(f.space_id, w) from unnest(f.words) w))
        from fresh f order by f.stream_id, f.seq
    ),
    counted as (
        insert into search_words as s (word, space_id, stream_id, messages)
        select w.word, f.space_id, f.stream_id, count(*) from fresh f cross join lateral unnest(f.words) as w (word)
        group by w.word, f.space_id, f.stream_id order by w.word, f.space_id, f.stream_id
        on conflict (word, space_id, stream_id) do update set messages = s.messages + excluded.messages
        returning s.word, s.xmax = 0 as is_new
    )
    insert into search_vocabulary (word) select distinct c.word from counted c where c.is_new on conflict do nothing;

    update search_cursors c set upto = q.upto from unnest(v_stream, v_upto) as q (stream, upto)
    where c.stream_id = q.stream and c.stream_id = any (v_stream);
    return query select q.stream, (q.upto - q.since)::integer, q.upto < q.head
        from unnest(v_stream, v_from, v_upto, v_head) as q (stream, since, upto, head);
end $$;

drop function search_alike(text, bigint[], regdictionary[]);

-- Words of these streams that a pattern fits ('%soma%'): of all words that there are by their parts, and where these are too many to be
-- looked at, of the streams' own, some of each, so that what others say costs time and hides nothing. ("+ 0", or the index is asked for each
-- space with each stream.)
create function search_fitting(p_like text, p_spaces bigint[], p_streams bigint[]) returns text[]
language plpgsql stable
set enable_seqscan = 'off' set plan_cache_mode = 'force_generic_plan'
as $$
declare
    v_max constant integer := 1000;
    v_words text[] := array(select v.word from search_vocabulary v where v.word like p_like limit v_max);
begin
    if cardinality(v_words) < v_max then
        return array(
            select w.word from unnest(v_words) w (word) where exists (
                select from search_words s where s.word = w.word and s.space_id = any (p_spaces) and s.stream_id + 0 = any (p_streams)));
    end if;
    return array(
        select s.word from unnest(p_streams) r (id)
        cross join lateral (
            select o.word, o.messages from search_words o where o.stream_id = r.id and o.word like p_like
            order by o.word limit greatest(10, v_max / greatest(1, cardinality(p_streams)))
        ) s
        group by s.word order by sum(s.messages) desc, s.word limit 200);
end $$;

-- The same of words that look like another: by trigrams, most alike first.
create function search_similar(p_word text, p_spaces bigint[], p_streams bigint[], p_limit integer) returns text[]
language plpgsql stable
set enable_seqscan = 'off' set plan_cache_mode = 'force_generic_plan' set pg_trgm.similarity_threshold = '0.35'
as $$
declare
    v_max constant integer := 1000;
    v_words text[] := array(select v.word from search_vocabulary v where v.word % p_word limit v_max);
begin
    if cardinality(v_words) < v_max then
        return array(
            select w.word from unnest(v_words) w (word) where exists (
                select from search_words s where s.word = w.word and s.space_id = any (p_spaces) and s.stream_id + 0 = any (p_streams))
            order by similarity(w.word, p_word) desc, w.word limit p_limit);
    end if;
    return array(
        select s.word from unnest(p_streams) r (id)
        cross join lateral (select o.word from search_words o where o.stream_id = r.id and o.word % p_word) s
        group by s.word order by similarity(s.word, p_word) desc, s.word limit p_limit);
end $$;

-- What a word may mean in these streams: itself, words that have it in them, words of the same stem, and, where hardly any of these is there
-- and it is long enough for a guess, those that look like it. In each space the most frequent ones.
create function search_alike(p_word text, p_spaces bigint[], p_streams bigint[], p_dictionaries regdictionary[])
returns table (space bigint, word text, messages bigint)
language plpgsql stable
set enable_seqscan = 'off' set plan_cache_mode = 'force_generic_plan'
as $$
#variable_conflict use_column
declare
    v_words constant integer := 20;                 -- in a space; what more there is begins or ends with so little that it says nothing
    v_like text := replace(replace(replace(p_word, '\', '\\'), '%', '\%'), '_', '\_');
    v_meant text[] := array[p_word];
begin
    if length(p_word) >= 3 then
        v_meant := v_meant || search_fitting('%' || v_like || '%', p_spaces, p_streams) || array(
            select w.word
            from (
                select distinct t.stem from unnest(p_dictionaries) d cross join lateral unnest(ts_lexize(d, p_word)) as t (stem)
                -- Words with the word itself in them are there by now.
                where length(t.stem) >= 3 and position(p_word in t.stem) = 0
            ) t
            cross join lateral unnest(search_fitting('%' || t.stem || '%', p_spaces, p_streams)) as w (word)
            where exists (select from unnest(p_dictionaries) d where ts_lexize(d, w.word) = array[t.stem]));
    else
        -- Of one or two letters there are no parts: words that begin with them, by the order of words; of each stream some.
        v_meant := v_meant || array(
            select s.word from unnest(p_streams) r (id)
            cross join lateral (
                select o.word, o.messages from search_words o
                where o.stream_id = r.id and o.word >= p_word and o.word < p_word || chr(1114111)
                order by o.word limit greatest(10, 1000 / greatest(1, cardinality(p_streams)))
            ) s
            group by s.word order by sum(s.messages) desc, s.word limit 200);
    end if;
    -- Where the word is known, what looks like it is hardly meant; one that is in a message or two may be the slip itself.
    if length(p_word) >= 4 and not exists (
        select from unnest(v_meant) as m (word)
        join search_words s on s.word = m.word and s.space_id = any (p_spaces) and s.stream_id + 0 = any (p_streams)
        having sum(s.messages) >= 3
    ) then
        v_meant := v_meant || search_similar(p_word, p_spaces, p_streams, 30);
    end if;
    return query
    select r.space_id, r.word, r.messages
    from (
        select s.*, row_number() over (partition by s.space_id order by s.word = p_word desc, s.messages desc, s.word) as place
        from (
            select s.space_id, s.word, sum(s.messages)::bigint as messages
            from (select distinct m.word from unnest(v_meant) as m (word)) m
            join search_words s on s.word = m.word and s.space_id = any (p_spaces) and s.stream_id + 0 = any (p_streams)
            group by s.space_id, s.word
        ) s
    ) r
    where r.place <= v_words;
end $$;

-- As before, with the words of those streams alone that the account reads.
create or replace function find_messages(
    p_user bigint, p_words text[], p_whole boolean, p_space bigint, p_stream bigint, p_dictionaries regdictionary[],
    p_at bigint, p_from bigint, p_seq bigint, p_limit integer
) returns table (space bigint, stream bigint, seq bigint, author bigint, name text, at bigint, body bytea, marked text[])
language plpgsql stable
set enable_seqscan = 'off' set plan_cache_mode = 'force_generic_plan'
as $$
#variable_conflict use_column
declare
    v_walk constant integer := 20000;               -- of a stream are looked through where a word is in too many messages to gather them all
    v_blocked bigint[] := array(select b.blocked from blocks b where b.user_id = p_user);
    v_scope bigint[];
    v_read bigint[];                                -- the streams of these spaces that they read
    v_place record;
    v_exact tsquery;
    v_query tsquery;
    v_spaces bigint[] := '{}';
    v_streams bigint[] := '{}';
    v_seqs bigint[] := '{}';
    v_ats bigint[] := '{}';
    v_marks integer[] := '{}';                      -- which of v_marked
    v_marked text[] := '{}';                        -- joined by U+0001, which no word has
    v_queries text[] := '{}';
begin
    select coalesce(array_agg(distinct m.space_id), '{}'), coalesce(array_agg(s.id), '{}') into v_scope, v_read
    from members m join streams s on s.space_id = m.space_id and s.kind in (3, 4) and m.role & s.read_roles <> 0
    where m.user_id = p_user and (p_space = 0 or m.space_id = p_space) and (p_stream = 0 or s.id = p_stream);
    for v_place in
        with meant as materialized (
            select w.space_id as space, t.term, w.word, sum(w.messages) as messages
            from unnest(p_words) with ordinality as t (word, term)
            join search_words w on w.word = t.word and w.space_id = any (v_scope) and w.stream_id + 0 = any (v_read)
            where p_whole group by w.space_id, t.term, w.word
            union all
            select a.space, t.term, a.word, a.messages
            from unnest(p_words) with ordinality as t (word, term)
            cross join lateral search_alike(t.word, v_scope, v_read, p_dictionaries) a
            where not p_whole
        ),
        -- Only where each of the words is there.
        there as (
            select o.space, min(o.messages) as few
            from (select m.space, m.term, sum(m.messages) as messages from meant m group by m.space, m.term) o
            group by o.space having count(*) = cardinality(p_words)
        )
        select t.space, t.few, w.words, w.terms, r.streams, r.events
        from there t
        cross join lateral (
            select array_agg(m.word) as words, array_agg(m.term::integer) as terms from meant m where m.space = t.space
        ) w
        cross join lateral (
            select array_agg(s.id order by s.id) as streams, sum(s.head) as events
            from streams s where s.id = any (v_read) and s.space_id = t.space
        ) r
        where r.streams is not null
    loop
        v_query := search_query(v_place.space, v_place.words, v_place.terms);
        v_exact := case when p_whole then 'nothing'::tsquery
            else search_query(v_place.space, p_words, array(select generate_series(1, cardinality(p_words)))) end;
        v_marked := v_marked || array_to_string(v_place.words, E'\x01');
        v_queries := v_queries || v_query::text;
        -- To gather all that has a word costs as many rows as it is in; to walk from the newest on until a page is full costs the more the
        -- rarer it is. They cost the same where `few` squared is a page times all.
        if v_place.few * v_place.few <= p_limit * v_place.events then
            select v_spaces || array_agg(v_place.space), v_streams || array_agg(f.stream_id), v_seqs || array_agg(f.seq),
                   v_ats || array_agg(f.at), v_marks || array_agg(cardinality(v_marked))
            into v_spaces, v_streams, v_seqs, v_ats, v_marks
            from (
                -- "+ 0", or the planner takes the key of the streams and reads everything.
                select m.stream_id, m.seq, m.at from search_messages m
                where m.words @@ v_query and m.stream_id + 0 = any (v_place.streams) and not m.words @@ v_exact
                    and m.author <> all (v_blocked) and (m.at, m.stream_id, m.seq) < (p_at, p_from, p_seq)
                order by m.at desc, m.stream_id desc, m.seq desc limit p_limit
            ) f;
        else
            select v_spaces || array_agg(v_place.space), v_streams || array_agg(f.stream_id), v_seqs || array_agg(f.seq),
                   v_ats || array_agg(f.at), v_marks || array_agg(cardinality(v_marked))
            into v_spaces, v_streams, v_seqs, v_ats, v_marks
            from unnest(v_place.streams) as s (id)
            cross join lateral (
                select m.stream_id, m.seq, m.at
                from (
                    select * from search_messages w
                    where w.stream_id = s.id and (s.id <> p_from or w.seq < p_seq) order by w.seq desc limit v_walk
                ) m
                where m.words @@ v_query and not m.words @@ v_exact
                    and m.author <> all (v_blocked) and (m.at, m.stream_id, m.seq) < (p_at, p_from, p_seq)
                limit p_limit
            ) f;
        end if;
    end loop;
    return query
    select f.space, f.stream, f.seq, l.author, coalesce(a.display_name, ''), f.at, l.body, string_to_array(v_marked[f.mark], E'\x01')
    from (
        select * from unnest(v_spaces, v_streams, v_seqs, v_ats, v_marks) as u (space, stream, seq, at, mark)
        order by u.at desc, u.stream desc, u.seq desc limit p_limit
    ) f
    left join lateral (
        -- As it reads now, if it is still found by it.
        select l.author, l.body from log l
        where l.stream_id = f.stream and l.seq = f.seq and l.kind in (1, 6)
            and array_to_tsvector(array(select search_key(f.space, w) from unnest(search_words_in(message_text(l.body))) w))
                @@ v_queries[f.mark]::tsquery
        limit 1
    ) l on true
    left join lateral (select a.display_name from accounts a where a.id = l.author limit 1) a on true
    order by f.at desc, f.stream desc, f.seq desc;
end $$;
