-- Which session asked for one that was opened without a password: what ends the one as stolen ends the other.
alter table sessions add column opened_by bigint;
