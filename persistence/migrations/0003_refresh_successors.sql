-- A refresh token's successor is derived from the token itself and this salt, so that a client whose answer was lost is given the same
-- successor again, although neither token is stored. The salt is erased as soon as the successor has been used.
alter table refresh_tokens add column successor_salt bytea;

-- Live sessions are counted at each log-in, and dead ones are swept by age.
create index sessions_by_expiry on sessions (expires_at);
