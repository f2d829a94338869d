-- The number is taken; its content follows.
select 1;
