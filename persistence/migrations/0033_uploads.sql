-- Uploads: files on their way, what they turned out to be, and the pictures made of them.
--
--   uploads ─ pieces, in the object store ─▶ one object, called by its SHA-256 ─▶ renditions of a picture
--      ╰─ goes with one message (stream_id, seq); 0: it is held, and has no number yet
--
-- Bytes are in the object store, never here. An object stays while an upload refers to it; what a deleted upload leaves in the store is
-- written down by a trigger, so that whoever deletes rows (an erasure among them) reaches the bytes, too.

create table uploads (
    id          bigint generated always as identity primary key,
    user_id     bigint not null,
    space_id    bigint not null default 0,          -- where it was attached; 0: nowhere
    stream_id   bigint not null default 0,
    seq         bigint not null default 0,
    state       smallint not null default 1,        -- actors.uploads.State
    name        text not null check (length(name) <= 120),
    bytes       bigint not null check (bytes > 0),
    done        bigint not null default 0 check (done between 0 and bytes),
    announced   bytea,                              -- the SHA-256 that its sender told
    sha256      bytea,
    media_type  text not null default '',
    width       integer not null default 0,
    height      integer not null default 0,
    placeholder bytea not null default '\x',
    why         text not null default '',           -- it was refused
    created_at  timestamptz not null default now(),
    expires_at  timestamptz not null                -- unless it is attached by then
);
comment on table uploads is 'owner: the person, and the community where it is attached; goes when its time is over, or with its message';
create index uploads_by_user on uploads (user_id, id);
create index uploads_by_space on uploads (space_id) include (bytes) where space_id > 0;
create index uploads_by_message on uploads (stream_id, seq) where stream_id > 0;
create index uploads_by_object on uploads (sha256) where sha256 is not null;
create index uploads_by_time on uploads (expires_at) where stream_id = 0;

create table upload_pieces (
    upload_id bigint not null references uploads on delete cascade,
    at        bigint not null,
    bytes     integer not null check (bytes > 0),
    name      text not null,
    primary key (upload_id, at)
);
comment on table upload_pieces is 'minutes to days old; goes with its upload, or when that is whole';

-- What is in the store under its hash. State 1: kept; 2: going, and nobody may refer to it any more.
create table objects (
    sha256      bytea primary key check (length(sha256) = 32),
    state       smallint not null default 1,
    bytes       bigint not null,
    created_at  timestamptz not null default now()
);
comment on table objects is 'of nobody by itself: goes with the last upload that refers to it';

create table renditions (
    sha256 bytea not null references objects on delete cascade,
    name   text not null,                           -- 320.webp
    width  integer not null,
    height integer not null,
    bytes  bigint not null,
    primary key (sha256, name)
);
comment on table renditions is 'goes with the object';

create table upload_leavings (
    upload_id bigint primary key,
    sha256    bytea,
    at        timestamptz not null default now()
);
comment on table upload_leavings is 'numbers and hashes, minutes old: what a deleted upload may have left in the store';

create function note_upload_leavings() returns trigger language plpgsql as $$
begin
    insert into upload_leavings (upload_id, sha256) select g.id, g.sha256 from gone g on conflict do nothing;
    if found then
        perform enqueue_job('uploads.collect', '\x80'::bytea, p_key => 'leavings');
    end if;
    return null;
end $$;
create trigger uploads_leave after delete on uploads referencing old table as gone
    for each statement execute function note_upload_leavings();
