-- Notices: what a person is told of, and by which ways.
--
--   inbox event ──▶ notices           one row for each event that is a notice, written with the event
--   accounts ─┬───▶ notice_settings   previews, digest, what is not mailed any more
--             ├───▶ notice_rules      which kinds of notices come by which ways, everywhere, in a community, in a channel
--             ├───▶ push_subscriptions ◀── devices
--             ╰───▶ reminders
--   an address ──▶ mail_refusals      mail to it came back for good
--
-- What is read stands in two places: everything up to the inbox's read marker (read_markers), and single notices after it (read_at).

create table notices (
    user_id   bigint not null,                      -- owner; no foreign key, as in log: every delivery would lock the account's row
    seq       bigint not null,                      -- the event's number in the inbox: the notice's name
    kind      smallint not null,                    -- protocol.values.NoticeKind
    actor     bigint not null default 0,
    space_id  bigint not null default 0,
    stream_id bigint not null default 0,            -- where it can be seen; 0: nowhere
    at_seq    bigint not null default 0,
    subject   bigint not null default 0,
    words     text not null default '' check (length(words) <= 200),
    at        timestamptz not null default now(),
    read_at   timestamptz,
    due       boolean not null default true,        -- whether to push or mail it has not been decided yet
    digest    boolean not null default false,       -- waits for the next digest
    primary key (user_id, seq)
) with (fillfactor = 80);
create index notices_due on notices (user_id, seq) where due;
create index notices_digest on notices (user_id, seq) where digest;
create index notices_by_age on notices (at);
comment on table notices is 'owner: user_id; kept for 90 days, beyond which only the inbox event stands (persistence/notice_news.py)';

create table notice_settings (
    user_id    bigint primary key references accounts (id) on delete cascade,
    previews   boolean not null default false,      -- a push may carry the beginning of the message
    digest     smallint not null default 0 check (digest between 0 and 2),        -- 0 none, 1 daily, 2 weekly
    digest_at  smallint not null default 480 check (digest_at between 0 and 1439),-- minutes after midnight, in the person's zone
    digest_day smallint not null default 0 check (digest_day between 0 and 6),    -- of a weekly one; 0 is Monday
    digest_due timestamptz,                         -- when the next one is made; null: none is
    unmailed   smallint[] not null default '{}' check (cardinality(unmailed) <= 32) -- kinds unsubscribed in a mail; -1 all, -2 digests
);
create index notice_settings_due on notice_settings (digest_due) where digest_due is not null;
comment on table notice_settings is 'owner: the account, gone with it';

create table notice_rules (
    user_id   bigint not null references accounts (id) on delete cascade,
    space_id  bigint not null default 0,            -- 0 with stream_id 0: everywhere
    stream_id bigint not null default 0,            -- of that channel alone; then space_id is 0
    kind      smallint not null check (kind between -1 and 255),                  -- -1: every kind
    ways      smallint not null check (ways between 0 and 15),                    -- actors.notices.Way, as a sum; 0: off
    primary key (user_id, space_id, stream_id, kind)
);
comment on table notice_rules is 'owner: the account, gone with it; at most 200 each (actors.notices.RULES_MAX)';

create table push_subscriptions (
    id         bigint generated always as identity primary key,
    user_id    bigint not null references accounts (id) on delete cascade,
    device_id  bigint not null references devices (id) on delete cascade,
    service    smallint not null check (service between 1 and 3),                 -- actors.push.Service
    address    text not null check (length(address) between 1 and 2048),          -- an endpoint or a token: whoever knows it may not use it
    hash       bytea not null,                      -- sha256 of the address                             without our key, but it is not logged
    p256dh     bytea not null default '',           -- web push: the browser's public key
    auth       bytea not null default '',           -- web push: its authentication secret
    created_at timestamptz not null default now(),
    sent_at    timestamptz
);
create unique index push_subscriptions_by_address on push_subscriptions (service, hash);
create index push_subscriptions_by_user on push_subscriptions (user_id, id);
create index push_subscriptions_by_device on push_subscriptions (device_id);
comment on table push_subscriptions is 'owner: the account, gone with it or its device; at most 20 each; one that the service calls gone is deleted';

create table reminders (
    id         bigint generated always as identity primary key,
    user_id    bigint not null references accounts (id) on delete cascade,
    at         timestamptz not null,
    stream_id  bigint not null default 0,
    seq        bigint not null default 0,
    words      text not null default '' check (length(words) <= 200)
);
create index reminders_due on reminders (at, id);
create index reminders_by_user on reminders (user_id, at);
comment on table reminders is 'owner: the account, gone with it; at most 100 each; deleted when told';

create table mail_refusals (
    address citext primary key check (length(address) between 3 and 254),
    at      timestamptz not null default now(),
    status  text not null default '' check (length(status) <= 40)                 -- such as 5.1.1
);
create index mail_refusals_by_age on mail_refusals (at);
comment on table mail_refusals is 'owner: whoever reads the address; kept for 180 days, then it is tried again';

-- When and where it is quiet for a person, is in their records; the language of their account, and of their app, too.
create function own_records(p_users bigint[]) returns table (user_id bigint, entity smallint, cells bytea)
language sql stable
set plan_cache_mode = 'force_generic_plan' set enable_seqscan = 'off'
as $$
    select a.id, r.entity, r.cells
    from accounts a
    join streams s on s.space_id = a.personal_space and s.kind = 8
    cross join lateral (select r.entity, r.cells from records r where r.stream_id = s.id and r.entity in (3, 4) and r.key = 1) r
    where a.id = any (p_users)
$$;
