-- Earlier texts are forgotten after a while, oldest first. They come in the order of time, which a block range index follows for next to
-- nothing: an edit pays no more for it than before.
create index message_versions_by_age on message_versions using brin (replaced_at);
