-- Search in messages: which message has which words, beside the log and behind it.
--
--   log ─index_messages─▶ search_messages: a message's words, each with its space in front ─▶ search_words: a word's spaces, and in how many
--          a part of a stream at a time                                                        messages of each
--                                                                             └─▶ search_vocabulary: all words; parts and slips are found here
--
-- Posting writes nothing here. What was said, edited, deleted or cleared is an event of its stream, and this is one more reader of streams,
-- seconds behind. So a row here may be out of date, and nothing is ever shown from it: whoever searches reads the log, as it is then, and
-- looks whether the words are there still.
--
-- A message's word stands with its space in front ("1f.word"), so what it costs to gather a word's messages grows with the spaces that one is
-- in, not with all there are. Which words a part or a slip may mean is asked of the vocabulary, which is everybody's, once; which of them
-- one's own spaces have is a look-up each. (Asked of each space's words by trigrams, 20 spaces of 200 took half a second.)

create extension if not exists pg_trgm;

create table search_cursors (
    stream_id bigint primary key,
    upto      bigint not null default 0             -- the index says what the stream said up to here, or says it as it reads now
) with (fillfactor = 70);
comment on table search_cursors is 'owner: the stream, gone with its space; a row each';

create table search_messages (
    stream_id bigint not null,
    seq       bigint not null,
    space_id  bigint not null,
    author    bigint not null,
    at        bigint not null,
    words     tsvector not null,
    primary key (stream_id, seq)
);
-- Rows are kept in order of the index' own making: a list that waits to be sorted in would be read by everybody who searches.
create index search_messages_words on search_messages using gin (words) with (fastupdate = off);
create index search_messages_by_author on search_messages (author);
comment on table search_messages is 'owner: who wrote it, and its space: gone with either, and when its text goes';

create table search_words (
    word     text collate "C" not null,
    space_id bigint not null,
    messages bigint not null,                       -- in how many it stands
    primary key (word, space_id)
) with (fillfactor = 70);
create index search_words_by_space on search_words (space_id);
comment on table search_words is 'owner: the space, gone with it; a word goes with the last message that has it';

create table search_vocabulary (
    word text collate "C" primary key
);
create index search_vocabulary_parts on search_vocabulary using gin (word gin_trgm_ops) with (fastupdate = off);
comment on table search_vocabulary is 'owner: those who say the word, gone with the last space that has it';

-- Letters without what is written above and below them, and with one shape of each. Arabic: no vowel signs, no stretching, one alif, one
-- ya, one ha.
create function search_plain(p_text text) returns text language sql immutable parallel safe as $$
    select translate(lower(translate(normalize(p_text, NFKD),
        U&'\0300\0301\0302\0303\0304\0306\0307\0308\030A\030B\030C\0323\0327\0328\064B\064C\064D\064E\064F\0650\0651\0652\0653\0654\0655\0670\0640', '')),
        U&'\0671\0649\0629', U&'\0627\064A\0647')
$$;

-- The words of a text, each once. Of longer ones nobody remembers the whole.
create function search_words_in(p_text text) returns text[] language sql immutable parallel safe as $$
    select array(select w.lexeme from unnest(to_tsvector('simple', search_plain(p_text))) w where length(w.lexeme) <= 64 order by 1)
$$;

-- What a message says, by its body (protocol.events.Said, Posted: an array that begins with a tag below 128 and the text); null where it
-- cannot be told. Postgres' text knows no U+0000.
create function message_text(p_body bytea) returns text language sql immutable parallel safe as $$
    select case when position('\x00'::bytea in t.raw) = 0 then convert_from(t.raw, 'UTF8') end
    from (select case
        when length(p_body) < 3 then null
        when get_byte(p_body, 2) between 160 and 191 then substring(p_body from 4 for get_byte(p_body, 2) - 160)
        when get_byte(p_body, 2) = 217 then substring(p_body from 5 for get_byte(p_body, 3))
        when get_byte(p_body, 2) = 218 then substring(p_body from 6 for get_byte(p_body, 3) * 256 + get_byte(p_body, 4))
    end as raw) t
$$;

-- An unsigned integer of msgpack at p_at (from 0), and where the next value begins.
create function msgpack_uint(p_body bytea, p_at integer, out value bigint, out next integer) language sql immutable parallel safe as $$
    select case get_byte(p_body, p_at)
            when 204 then get_byte(p_body, p_at + 1)::bigint
            when 205 then ('x' || encode(substring(p_body from p_at + 2 for 2), 'hex'))::bit(16)::bigint
            when 206 then ('x' || encode(substring(p_body from p_at + 2 for 4), 'hex'))::bit(32)::bigint
            when 207 then ('x' || encode(substring(p_body from p_at + 2 for 8), 'hex'))::bit(64)::bigint
            else get_byte(p_body, p_at)::bigint
        end,
        p_at + case get_byte(p_body, p_at) when 204 then 2 when 205 then 3 when 206 then 5 when 207 then 9 else 1 end
$$;

create function search_key(p_space bigint, p_word text) returns text language sql immutable parallel safe as $$
    select to_hex(p_space) || '.' || p_word
$$;

-- One at a time writes the index, in the whole installation: nobody waits for another's words, and counts are right.
create function search_lock() returns bigint language sql immutable parallel safe as $$ select 6085474129114849::bigint $$;

-- Takes words away with their last message. The lock comes before any row's, as the index itself takes them.
create function search_forget_lock() returns trigger language plpgsql as $$
begin
    perform pg_advisory_xact_lock(search_lock());
    return null;
end $$;
create function search_forget() returns trigger language plpgsql set enable_seqscan = 'off' as $$
begin
    with fewer as materialized (
        select o.space_id, substring(w.lexeme from position('.' in w.lexeme) + 1) as word, count(*) as n
        from gone o cross join lateral unnest(o.words) w group by 1, 2
    ),
    counted as (
        update search_words s set messages = s.messages - f.n from fewer f
        where s.word = f.word and s.space_id = f.space_id and s.messages > f.n
    )
    delete from search_words s using fewer f where s.word = f.word and s.space_id = f.space_id and s.messages <= f.n;
    return null;
end $$;
create function search_forget_words() returns trigger language plpgsql set enable_seqscan = 'off' as $$
begin
    delete from search_vocabulary v using (select distinct o.word from gone o) f
    where v.word = f.word and not exists (select from search_words s where s.word = f.word);
    return null;
end $$;
create trigger search_messages_lock before delete on search_messages for each statement execute function search_forget_lock();
create trigger search_messages_forget after delete on search_messages referencing old table as gone
    for each statement execute function search_forget();
create trigger search_words_lock before delete on search_words for each statement execute function search_forget_lock();
create trigger search_words_forget after delete on search_words referencing old table as gone
    for each statement execute function search_forget_words();

-- Reads on in these streams, at most p_events of each, and says of each in which people speak how much it read and whether there is more.
-- Where somebody else is at it, -1 of each and nothing is done.
create function index_messages(p_streams bigint[], p_events integer)
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
        insert into search_words as s (word, space_id, messages)
        select w.word, f.space_id, count(*) from fresh f cross join lateral unnest(f.words) as w (word)
        group by w.word, f.space_id order by w.word, f.space_id
        on conflict (word, space_id) do update set messages = s.messages + excluded.messages
        returning s.word, s.xmax = 0 as is_new
    )
    insert into search_vocabulary (word) select distinct c.word from counted c where c.is_new on conflict do nothing;

    update search_cursors c set upto = q.upto from unnest(v_stream, v_upto) as q (stream, upto)
    where c.stream_id = q.stream and c.stream_id = any (v_stream);
    return query select q.stream, (q.upto - q.since)::integer, q.upto < q.head
        from unnest(v_stream, v_from, v_upto, v_head) as q (stream, since, upto, head);
end $$;

-- "a" & ("b" | "c") in a space, of arrays of words: one of each has to be there.
create function search_query(p_space bigint, p_words text[], p_ends integer[]) returns tsquery language sql immutable parallel safe as $$
    select string_agg('(' || t.one || ')', ' & ')::tsquery
    from (
        select string_agg('''' || replace(replace(search_key(p_space, w.word), '\', '\\'), '''', '''''') || '''', ' | ') as one
        from unnest(p_words, p_ends) as w (word, term) group by w.term
    ) t
$$;

-- What a word may mean in these spaces: itself, words that have it in them, words of the same stem, and, where hardly any of these is there
-- and it is long enough for a guess, those that look like it. In each space the most frequent ones.
create function search_alike(p_word text, p_spaces bigint[], p_dictionaries regdictionary[])
returns table (space bigint, word text, messages bigint)
language plpgsql stable
set enable_seqscan = 'off' set plan_cache_mode = 'force_generic_plan' set pg_trgm.similarity_threshold = '0.35'
as $$
#variable_conflict use_column
declare
    v_words constant integer := 20;                 -- in a space; what more there is begins or ends with so little that it says nothing
    v_like text := replace(replace(replace(p_word, '\', '\\'), '%', '\%'), '_', '\_');
    v_stems text[];
    v_meant text[];
begin
    v_meant := array[p_word] || array(select v.word from search_vocabulary v where v.word like v_like || '%' limit 200);
    if length(p_word) >= 3 then
        v_meant := v_meant || array(select v.word from search_vocabulary v where v.word like '%' || v_like || '%' limit 200);
        v_stems := array(
            select distinct t.stem from unnest(p_dictionaries) d cross join lateral unnest(ts_lexize(d, p_word)) as t (stem)
            where length(t.stem) >= 3);
        v_meant := v_meant || array(
            select v.word
            from unnest(v_stems) as t (stem)
            cross join lateral (select v.word from search_vocabulary v where v.word like '%' || t.stem || '%' limit 500) v
            where exists (select from unnest(p_dictionaries) d where ts_lexize(d, v.word) = array[t.stem]) limit 100);
    end if;
    -- Where the word is known, what looks like it is hardly meant; one that is in a message or two may be the slip itself.
    if length(p_word) >= 4 and not exists (
        select from unnest(v_meant) as m (word) join search_words s on s.word = m.word and s.space_id = any (p_spaces)
        having sum(s.messages) >= 3
    ) then
        v_meant := v_meant || array(
            select v.word from search_vocabulary v where v.word % p_word order by similarity(v.word, p_word) desc, v.word limit 30);
    end if;
    return query
    select r.space_id, r.word, r.messages
    from (
        select s.*, row_number() over (partition by s.space_id order by s.word = p_word desc, s.messages desc, s.word) as place
        from (select distinct m.word from unnest(v_meant) as m (word)) m
        join search_words s on s.word = m.word and s.space_id = any (p_spaces)
    ) r
    where r.place <= v_words;
end $$;

-- Messages with these words that an account may read now: with all of them whole (p_whole), or with such as mean the same; newest first,
-- after (p_at, p_from, p_seq). As the log says them. `marked`: which words it was found by.
create function find_messages(
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
    v_scope := array(
        select distinct m.space_id
        from members m join streams s on s.space_id = m.space_id and s.kind in (3, 4) and m.role & s.read_roles <> 0
        where m.user_id = p_user and (p_space = 0 or m.space_id = p_space) and (p_stream = 0 or s.id = p_stream));
    for v_place in
        with meant as materialized (
            select w.space_id as space, t.term, w.word, w.messages
            from unnest(p_words) with ordinality as t (word, term)
            join search_words w on w.word = t.word and w.space_id = any (v_scope)
            where p_whole
            union all
            select a.space, t.term, a.word, a.messages
            from unnest(p_words) with ordinality as t (word, term)
            cross join lateral search_alike(t.word, v_scope, p_dictionaries) a
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
            from members m join streams s on s.space_id = m.space_id and s.kind in (3, 4) and m.role & s.read_roles <> 0
            where m.user_id = p_user and m.space_id = t.space and (p_stream = 0 or s.id = p_stream)
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
