-- Learning: courses, lessons and answers are records and need no tables. What is new are places for them.
--
--   community ─▶ a studio: drafts and answer keys, for those who write (kind 13, read by owner, moderator, mentor)
--   space kind 5, a mentorship: a mentor, a learner, their conversation and their goals (stream kind 14)

alter table spaces drop constraint spaces_kind_check;
alter table spaces add constraint spaces_kind_check check (kind between 0 and 5) not valid;

create or replace function complete_spaces() returns void
language sql as $$
    insert into streams (space_id, kind, read_roles, write_roles, placement)
        select s.id, k.kind, k.read_roles, 0, s.id
        from spaces s join (values (3, 8, 1), (1, 11, 15), (1, 12, 15), (1, 13, 7)) as k (of_kind, kind, read_roles) on k.of_kind = s.kind
        where not exists (select from streams t where t.space_id = s.id and t.kind = k.kind)
        order by s.id, k.kind;
    select enrol(m.space_id, m.user_id) from members m join spaces s on s.id = m.space_id and s.kind = 1
    where not exists (
        select from spaces e join members n on n.space_id = e.id
        where e.pair_key = 'enrolment:' || m.space_id || ':' || m.user_id and n.user_id = m.user_id)
    order by m.space_id, m.user_id;
$$;
select complete_spaces();
