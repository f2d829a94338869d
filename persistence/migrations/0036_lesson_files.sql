-- Files of lessons: an upload that stands in a community's library goes with no message, and stays until it is taken out there.

alter table uploads add column shelved boolean not null default false;
comment on column uploads.shelved is 'it stands in the library of its community (stream_id); its records name it';
