-- Conflicts of a community's actions and content, also those that are decided: for everybody who has a say.
create index sync_conflicts_by_stream on sync_conflicts (stream_id, id);
