"""What a person reads and says about their notices: the list, preferences, reminders.

Invariant: every statement names the person, so nobody sees, changes or learns of what is another's; every list has a bound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import asyncpg

from actors.notices import REMINDERS_MAX, Listed, Preferences, Reminder, Rule
from actors.quiet import Digest, next_digest
from actors.storage import Fact, Herald
from persistence.append import append_events, event
from persistence.bridge import Bridge
from persistence.notice_delivery import READ
from persistence.notice_news import refuse_address
from persistence.notice_reach import read_reachable
from protocol.events import NOTICES_READ_MAX, NoticesRead

CALL_S: Final = 5.0
LIST_MAX: Final = 100

_LIST: Final = f"""
select n.seq, n.kind, n.actor, n.space_id, n.stream_id, n.at_seq, n.subject, n.words, extract(epoch from n.at)::bigint, {READ}
from notices n join accounts a on a.id = n.user_id
where n.user_id = $1 and ($2 = 0 or n.seq < $2) order by n.seq desc limit $3"""
_MARK: Final = f"""
update notices n set read_at = now() from accounts a
where a.id = n.user_id and a.inbox is not null and n.user_id = $1 and n.seq = any($2) and not ({READ})
returning n.seq, a.inbox"""
_PREFER: Final = """
insert into notice_settings (user_id, previews, digest, digest_at, digest_day, digest_due, unmailed)
values ($1, $2, $3, $4, $5, to_timestamp($6), $7)
on conflict (user_id) do update set previews = excluded.previews, digest = excluded.digest, digest_at = excluded.digest_at,
    digest_day = excluded.digest_day, digest_due = excluded.digest_due, unmailed = excluded.unmailed"""
_UNSUBSCRIBE: Final = """
insert into notice_settings (user_id, unmailed) select a.id, array[$2::smallint] from accounts a where a.id = $1
    and not exists (select from erasures e where e.kind = 2 and e.subject = a.id and e.born = a.created_at)
on conflict (user_id) do update set unmailed =
    case when excluded.unmailed <@ notice_settings.unmailed or cardinality(notice_settings.unmailed) >= 32 then notice_settings.unmailed
         else notice_settings.unmailed || excluded.unmailed end"""
_REMIND: Final = """
insert into reminders (user_id, at, stream_id, seq, words)
select $1, to_timestamp($2), $3::bigint, $4, $5
where (select count(*) from reminders where user_id = $1 and record_key = 0) < $6 and ($3::bigint = 0 or exists (
    select from streams s join members m on m.space_id = s.space_id and m.user_id = $1
    where s.id = $3::bigint and m.role & s.read_roles <> 0
)) returning id"""


class PostgresNotices:
    """See `actors.notices.NoticeDesk` for what each method means."""

    def __init__(self, bridge: Bridge, herald: Herald, wall: Callable[[], float]) -> None:
        self._bridge = bridge
        self._herald = herald
        self._wall = wall

    async def list_notices(self, user: int, before: int, limit: int) -> tuple[Listed, ...]:
        async def work(tx: asyncpg.Connection) -> tuple[Listed, ...]:
            return tuple(Listed(*row) for row in await tx.fetch(_LIST, user, before, min(limit, LIST_MAX)))

        return await self._bridge.run(work, deadline_s=CALL_S, readonly=True)

    async def read(self, user: int, notices: Sequence[int]) -> None:
        async def work(tx: asyncpg.Connection) -> list[Fact]:
            rows = await tx.fetch(_MARK, user, list(notices)[:NOTICES_READ_MAX])
            if not rows:
                return []
            told = NoticesRead(tuple(sorted(row["seq"] for row in rows)))
            return await append_events(tx, [event(rows[0]["inbox"], user, told)])

        facts = await self._bridge.run(work, deadline_s=CALL_S)
        if facts:
            self._herald.committed(facts)

    async def preferences(self, user: int) -> Preferences:
        async def work(tx: asyncpg.Connection) -> Preferences:
            person = (await read_reachable(tx, [user])).get(user)
            if person is None:
                return Preferences()
            rules = tuple(sorted(person.rules, key=lambda rule: (rule.space, rule.stream, rule.kind)))
            unmailed = tuple(sorted(person.unmailed))
            return Preferences(rules, person.previews, person.digest, person.digest_at, person.digest_day, unmailed)

        return await self._bridge.run(work, deadline_s=CALL_S, readonly=True)

    async def prefer(self, user: int, preferences: Preferences) -> None:
        await self._bridge.run(partial(_prefer, user=user, preferences=preferences, now=self._wall()), deadline_s=CALL_S)

    async def unsubscribe_mail(self, user: int, kind: int) -> None:
        async def work(tx: asyncpg.Connection) -> None:
            await tx.execute(_UNSUBSCRIBE, user, kind)

        await self._bridge.run(work, deadline_s=CALL_S)

    async def remind(self, user: int, reminder: Reminder) -> int:
        async def work(tx: asyncpg.Connection) -> int:
            # Two at once would both find room for one.
            await tx.execute("select from accounts where id = $1 for update", user)
            id: int | None = await tx.fetchval(
                _REMIND, user, float(reminder.at), reminder.stream, reminder.seq, reminder.words, REMINDERS_MAX
            )
            return id or 0

        return await self._bridge.run(work, deadline_s=CALL_S)

    async def reminders(self, user: int) -> tuple[Reminder, ...]:
        async def work(tx: asyncpg.Connection) -> tuple[Reminder, ...]:
            rows = await tx.fetch(
                # Of both kinds the next: meetings have a bound of their own, and must not hide what somebody asked for.
                "select n.* from ("
                " (select id, extract(epoch from at)::bigint as at, stream_id, seq, words from reminders"
                "  where user_id = $1 and record_key = 0 order by at, id limit $2)"
                " union all"
                " (select id, extract(epoch from at)::bigint as at, stream_id, seq, words from reminders"
                "  where user_id = $1 and record_key > 0 order by at, id limit $2)"
                ") n order by n.at, n.id",
                user,
                REMINDERS_MAX,
            )
            return tuple(Reminder(*row) for row in rows)

        return await self._bridge.run(work, deadline_s=CALL_S, readonly=True)

    async def forget_reminder(self, user: int, id: int) -> bool:
        return await self._delete("delete from reminders where user_id = $1 and id = $2", user, id)

    async def refuse_address(self, address: str, status: str) -> None:
        async def work(tx: asyncpg.Connection) -> None:
            await refuse_address(tx, address, status)

        await self._bridge.run(work, deadline_s=CALL_S)

    async def _delete(self, statement: str, user: int, id: int) -> bool:
        async def work(tx: asyncpg.Connection) -> bool:
            done: str = await tx.execute(statement, user, id)
            return done.endswith(" 1")

        return await self._bridge.run(work, deadline_s=CALL_S)


async def _prefer(tx: asyncpg.Connection, user: int, preferences: Preferences, now: float) -> None:
    person = (await read_reachable(tx, [user])).get(user)
    if person is None:
        return
    due = next_digest(now, person.zone, Digest(preferences.digest), preferences.digest_at, preferences.digest_day)
    await tx.execute(
        _PREFER,
        user,
        preferences.previews,
        preferences.digest,
        preferences.digest_at,
        preferences.digest_day,
        due or None,
        list(preferences.unmailed),
    )
    rules: dict[tuple[int, int, int], Rule] = {
        (0 if rule.stream else rule.space, rule.stream, rule.kind): rule for rule in preferences.rules
    }
    await tx.execute("delete from notice_rules where user_id = $1", user)
    await tx.executemany(
        "insert into notice_rules (user_id, space_id, stream_id, kind, ways) values ($1, $2, $3, $4, $5)",
        [(user, *place, rule.ways) for place, rule in rules.items()],
    )
