-- Who somebody is, beyond a name and a password: an address that they proved to read, the links by which they prove it, how long ago they
-- proved themselves.

-- email is only ever an address that this person proved to read, so what is sent there reaches them. One that is still to be proven stands
-- in its link. Two accounts cannot hold one address; but nobody learns from that, since only who reads the address gets so far.
alter table accounts
    add column email citext check (length(email) between 3 and 254),
    add column email_verified_at timestamptz,
    add column language text not null default '' check (length(language) <= 35),   -- BCP 47, such as pt-BR; '': not said
    add column password_changed_at timestamptz;
create unique index accounts_by_email on accounts (email) where email_verified_at is not null;
comment on column accounts.email is 'proven by its link at email_verified_at; null, or without that time: not to be written to';

-- When the person themselves last proved who they are in this session: by a password, a passkey, a second factor. Not moved by a refresh.
-- A session that an older version opens says 1970: such a person is asked again before anything dangerous.
alter table sessions add column proven_at timestamptz not null default 'epoch';
comment on column sessions.proven_at is 'moved by log-in and step-up alone';

-- Links in mails: to prove an address, to set another password. Whoever holds the secret may do that one thing, once; the secret is not here.
-- At most three of an account and purpose (persistence/identity/links.py), for hours; then housekeeping deletes them.
create table identity_links (
    hash       bytea primary key,                   -- sha256 of the secret: 256 random bits, so there is nothing to guess
    user_id    bigint not null references accounts (id) on delete cascade,
    purpose    smallint not null check (purpose in (1, 2)),       -- 1: prove the address, 2: set another password
    email      citext not null check (length(email) between 3 and 254),   -- where it was sent, and what it proves
    created_at timestamptz not null default now(),
    expires_at timestamptz not null
);
create index identity_links_by_user on identity_links (user_id, purpose, created_at);
create index identity_links_by_expiry on identity_links (expires_at);
comment on table identity_links is 'single-use links that were mailed; owner: the account, gone with it; kept until expires_at';
