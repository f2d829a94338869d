-- Reports: a person may be reported to each community that both are in, and to the platform; these are different things, decided by
-- different people, and what was written for one of them is not for the others to read. What the version before writes fits this, too.
create unique index reports_open_here on reports (reporter, about, subject, stream_id, seq, space_id) where state = 1;
drop index reports_open;
