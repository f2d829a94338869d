-- What somebody may do beyond their base role: roles that communities, or the platform, make for themselves, and who has which.
--
--   members.role ──────────────────────────▶ base permissions (protocol.permissions.BASE), by which streams are read and written
--   user_roles ─▶ roles.permissions ───────▶ added to them, in one space, or on the platform (space_id null)
--
-- A person's permissions are asked for by (user_id, space_id): one index, and the few roles that one has in one place. The hot path asks
-- nothing here. What is given to a member ends with the membership.

create table permissions (
    id   smallint primary key check (id between 0 and 52),       -- the bit in roles.permissions
    name text not null unique
);
comment on table permissions is 'The names of protocol.permissions.Permission, for people who read this database; a test compares them.';
insert into permissions (id, name) values
    (0, 'READ'), (1, 'POST'), (2, 'REACT'), (3, 'MODERATE'), (4, 'MANAGE_CHANNELS'), (5, 'INVITE'), (6, 'REMOVE_MEMBERS'),
    (7, 'MANAGE_ROLES'), (8, 'MANAGE_SPACE'), (9, 'WRITE_CONTENT'), (10, 'RESOLVE_CONFLICTS'), (11, 'SET_BACK_PROGRESS'), (12, 'VOUCH'),
    (13, 'MENTOR'), (14, 'READ_AUDIT'), (15, 'MANAGE_INTEGRATIONS'), (16, 'EXPORT_SPACE'), (17, 'ERASE_SPACE'),
    (32, 'CREATE_COMMUNITIES'), (33, 'CONVERSE'), (34, 'OPERATE'), (35, 'AUDIT_PLATFORM'), (36, 'REVIEW_PLATFORM'),
    (37, 'MANAGE_ACCOUNTS'), (38, 'MANAGE_PLATFORM_ROLES');

create table roles (
    id          bigint generated always as identity primary key,
    space_id    bigint references spaces (id) on delete cascade,  -- null: the platform's
    name        text not null check (length(name) between 1 and 80),
    permissions bigint not null check (permissions >= 0 and permissions < 1::bigint << 53),  -- the sum of 2^permissions.id
    created_by  bigint not null,
    created_at  timestamptz not null default now(),
    -- A community's role holds a community's permissions, the platform's the platform's.
    check (case when space_id is null then permissions & ((1::bigint << 32) - 1) = 0 else permissions < 1::bigint << 32 end)
);
comment on table roles is 'Custom roles, at most 100 a space; changed under the lock of the space''s row.';
create unique index roles_by_name on roles (space_id, lower(name)) nulls not distinct;

create table user_roles (
    user_id  bigint not null,
    role_id  bigint not null references roles (id) on delete cascade,
    space_id bigint,                                              -- the role's
    given_by bigint not null,                                     -- 0: the command line
    at       timestamptz not null default now(),
    primary key (role_id, user_id)
);
comment on table user_roles is 'Who has which custom role; at most 20 for a person in one place. Gone with the membership.';
create index user_roles_by_user on user_roles (user_id, space_id);

create function end_user_roles() returns trigger
language plpgsql as $$
begin
    delete from user_roles u where u.user_id = old.user_id and u.space_id = old.space_id;
    return null;
end $$;
create trigger members_roles after delete on members for each row execute function end_user_roles();

-- What the roles that somebody has in one place add up to; null as the space is the platform. By one's own roles, of which there are at
-- most twenty in a place, also where it was planned before there were any.
create function custom_permissions(p_user bigint, p_space bigint) returns bigint
language sql stable
set enable_seqscan = 'off' set enable_hashjoin = 'off' set enable_mergejoin = 'off'
as $$
    select coalesce(bit_or(r.permissions), 0) from user_roles u join roles r on r.id = u.role_id
    where u.user_id = p_user and u.space_id is not distinct from p_space
$$;

-- The platform's own roles. Whoever has the first gives the others.
insert into roles (space_id, name, permissions, created_by) values
    (null, 'administrator', 127::bigint << 32, 0),
    (null, 'operator', (1::bigint << 34), 0),
    (null, 'auditor', (1::bigint << 35), 0),
    (null, 'reviewer', (1::bigint << 36), 0),
    (null, 'account manager', (1::bigint << 37), 0);
