-- What proves a person beside the password. Every table's owner is an account and goes with it; each is read by the account or by the hash
-- that a request brings. How many rows an account may have stands in actors.mfa.

-- One row for an account that has, or ever tried, a second factor: the lock under which its factors change, and what was guessed at it.
create table mfa_accounts (
    user_id       bigint primary key references accounts (id) on delete cascade,
    handle        bytea not null unique,              -- what authenticators know the account by: random, says nothing of the person
    failures      smallint not null default 0,        -- wrong codes in a row
    blocked_until timestamptz                         -- until then no code is looked at
) with (fillfactor = 80);

create table mfa_totp (
    user_id      bigint primary key references accounts (id) on delete cascade,
    sealed       bytea not null,                      -- the secret, sealed with a key that is not in the database
    sealed_by    text not null,                       -- which key that was: those of a key that goes are sealed anew
    created_at   timestamptz not null default now(),
    confirmed_at timestamptz,                         -- null: offered and not yet confirmed by a code; proves nothing, and lasts minutes
    last_step    bigint not null default 0,           -- the newest time step whose code was taken: it and older ones are never taken again
    last_used_at timestamptz
) with (fillfactor = 80);
create index mfa_totp_by_key on mfa_totp (sealed_by);

create table mfa_recovery_codes (
    user_id bigint not null references accounts (id) on delete cascade,
    hash    bytea not null,                           -- sha256 of 80 random bits, with the account
    used_at timestamptz,
    primary key (user_id, hash)
);

create table passkeys (
    id              bigint generated always as identity primary key,
    user_id         bigint not null references accounts (id) on delete cascade,
    credential_id   bytea not null unique check (length(credential_id) between 1 and 1023),
    public_key      bytea not null check (length(public_key) <= 2048),    -- COSE
    sign_count      bigint not null,
    transports      text[] not null default '{}',
    backup_eligible boolean not null,                 -- may be copied to the person's other devices; never changes
    backed_up       boolean not null,
    name            text not null,
    created_at      timestamptz not null default now(),
    last_used_at    timestamptz
);
create index passkeys_by_user on passkeys (user_id);

-- A question that was put and not yet answered. Kept for its five minutes; each new one takes some that are over along.
create table mfa_challenges (
    hash        bytea primary key,                    -- sha256 of the challenge; the challenge itself is never stored
    purpose     smallint not null check (purpose between 1 and 4),    -- actors.mfa.Purpose
    user_id     bigint references accounts (id) on delete cascade,    -- null: whoever's passkey answers
    session_id  bigint references sessions (id) on delete cascade,    -- whose step-up, or whose new passkey
    network     text not null,                        -- who was asked; nobody else may answer
    device_id   bigint not null default 0,            -- the device and its name that the log-in asked for
    device_name text not null default '',
    tries       smallint not null default 0,
    expires_at  timestamptz not null
);
create index mfa_challenges_by_user on mfa_challenges (user_id);
create index mfa_challenges_by_session on mfa_challenges (session_id);
create index mfa_challenges_by_expiry on mfa_challenges (expires_at);
