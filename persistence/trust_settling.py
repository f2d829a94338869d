"""Working trust out: of those whom something moved, within seconds; of everybody, once a day.

    trust_unsettled ─claim─▶ load the part of the web that it needs ─▶ settle ─▶ levels, scores ─▶ TrustChanged to every gateway
    the day's pass: hold the others back ─▶ load all ─▶ work all out, in a thread ─▶ write what differs ─▶ the new day, and go on

Words and facts fade by whole steps of days, counted from the day of the last pass: so what is worked out between two passes is what a pass
would find, to the last digit. A pass on a day that was passed already therefore changes nothing; where it does, it says so.

Invariant: `trust_standings` and `accounts.trust` are what `settle_all` makes of the other tables for the clock's day, but for whom
`trust_unsettled` still names and whom they move.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Final

import asyncpg
import structlog
import trio
from msgspec import Struct

from actors.notices import Notice
from actors.storage import CONTROL_STREAM
from actors.trust import FACTS_KEPT_DAYS, FACTS_MAX, Fact, History, kept_share, score
from actors.trust_flow import Missing, Web, Word, settle, settle_all, unsettled_by
from actors.trust_gates import Thresholds
from actors.trust_words import opened
from persistence.append import append_events, event
from persistence.bridge import Bridge
from persistence.notices import notify
from persistence.trust import COUNTED, order_settling, read_facts, read_histories
from protocol.events import TRUSTED_MAX, TrustChanged, Trusted
from protocol.values import NoticeKind

log = structlog.get_logger("trust")

CLAIM_MAX: Final = 200
"""Changes in one transaction: those whom they move are some thousands at most."""
SETTLE_S: Final = 60.0
READ_S: Final = 300.0
WRITE_S: Final = 60.0
WRITE_MAX: Final = 2_000
"""People in one transaction of a pass: their accounts' rows are locked for some ten milliseconds."""
PASSING_S: Final = 900.0
"""After this a pass that nobody ended is over; its job begins it again."""


class Settled(Struct, frozen=True):
    """What a run did. `claimed`: changes; `moved`: people whose standing or facts moved; `told`: whose score did. `held`: a pass is under
    way, and nothing was done."""

    claimed: int = 0
    moved: int = 0
    told: int = 0
    held: bool = False


async def settle_some(tx: asyncpg.Connection, limit: int = CLAIM_MAX, thresholds: Thresholds | None = None) -> Settled:
    """Works out what the oldest changes move, in one transaction. `claimed` below `limit`: nothing is left.

    To whom a door of `thresholds` opens is told so; None: nobody is.
    """
    clock = await tx.fetchrow("select day, passing_until > now() as passing from trust_clock for update")
    assert clock is not None
    if clock["passing"]:
        return Settled(held=True)
    claimed = await tx.fetch(
        "delete from trust_unsettled where id in (select id from trust_unsettled order by id limit $1) returning endorser, endorsed", limit
    )
    if not claimed:
        return Settled()
    pairs = [(endorser, endorsed) for endorser, endorsed in claimed if endorsed]
    changed = {endorser for endorser, endorsed in claimed if not endorsed}
    web = Web(whole=False)
    await _load(tx, web, clock["day"], changed, ())
    moved: set[int] | None = None
    while moved is None:
        try:
            moved = settle(web, clock["day"], unsettled_by(web, pairs), changed)
        except Missing as missing:
            await _load(tx, web, clock["day"], missing.outs, missing.ins)
    await _write_levels(tx, web, moved)
    people = moved | changed
    scores = {user: score(history, clock["day"]) for user, history in (await read_histories(tx, people)).items()}
    told = await _tell(tx, scores=scores, thresholds=thresholds)
    return Settled(len(claimed), len(people), told)


async def settle_until_done(bridge: Bridge, thresholds: Thresholds | None = None) -> Settled:
    """Works out all that is unsettled, some at a time; what was done in sum. A pass that holds it back orders it again when it ends."""
    claimed = moved = told = 0
    while True:
        done = await bridge.run(partial(settle_some, thresholds=thresholds), deadline_s=SETTLE_S)
        claimed, moved, told = claimed + done.claimed, moved + done.moved, told + done.told
        if done.held or done.claimed < CLAIM_MAX:
            return Settled(claimed, moved, told, done.held)


async def _load(tx: asyncpg.Connection, web: Web, day: int, outs: Collection[int], ins: Collection[int]) -> None:
    """Loads whom these vouch for, who vouches for those, and what came of it for all of them."""
    asked = list({*outs, *ins})
    rows = await tx.fetch(
        "select endorser, endorsed, space_id, day, weight from trust_relationships where endorser = any($1)"
        " union select endorser, endorsed, space_id, day, weight from trust_relationships where endorsed = any($2)",
        list(outs),
        list(ins),
    )
    for row in rows:
        web.add(Word(*row))
    web.known_outs.update(outs)
    web.known_ins.update(ins)
    web.levels.update((user, tuple(levels)) for user, levels in await tx.fetch(_LEVELS, asked))
    web.seeds.update(row[0] for row in await tx.fetch("select user_id from trust_seeds where user_id = any($1)", asked))
    web.kept.update((user, kept_share(facts, day)) for user, facts in (await read_facts(tx, asked)).items())


class Counted(Struct, frozen=True):
    """What a pass found. `disagreed`: whose standing or score differed although the day had been passed and nothing was unsettled: 0."""

    people: int
    words: int
    moved: int
    told: int
    forgotten: int
    disagreed: int


class _Everything(Struct, frozen=True):
    """All that scores are made of, as one snapshot has it. `quiet`: nothing was unsettled, and the day is the clock's."""

    web: Web
    histories: dict[int, History]
    scores: dict[int, float]
    quiet: bool


class TrustPass:
    """The pass of a day. `bridge` is used for some transactions, none of which is open while it reckons. To whom a door of `thresholds`
    opens is told so."""

    def __init__(self, bridge: Bridge, thresholds: Thresholds | None = None) -> None:
        self._bridge = bridge
        self._thresholds = thresholds

    async def run(self, day: int) -> Counted:
        """Works everybody's trust out for `day` and writes what differs. May raise `StorageError`; run it again then."""
        bridge = self._bridge
        forgotten = await bridge.run(partial(_begin, day=day), deadline_s=WRITE_S)
        try:
            found = await bridge.run(partial(_read_all, day=day), deadline_s=READ_S, readonly=True, isolation="snapshot")
            standings, scores = await trio.to_thread.run_sync(_reckon, found, day)
            differing = {user: value for user, value in scores.items() if value != found.scores[user]}
            for users in _parts(sorted(standings)):
                await bridge.run(partial(_write_levels, web=found.web, moved=users), deadline_s=WRITE_S)
            for users in _parts(sorted(differing)):
                told = {user: differing[user] for user in users}
                await bridge.run(partial(_tell, scores=told, thresholds=self._thresholds), deadline_s=WRITE_S)
            await bridge.run(partial(_end, day=day), deadline_s=WRITE_S)
        except BaseException:
            with trio.move_on_after(WRITE_S, shield=True):
                await bridge.run(_abandon, deadline_s=WRITE_S)
            raise
        disagreed = len(standings | differing.keys()) if found.quiet else 0
        if disagreed:
            log.warning("trust_disagreed", people=disagreed)
        words = sum(len(spaces) for by_person in found.web.outs.values() for spaces in by_person.values())
        return Counted(len(scores), words, len(standings), len(differing), forgotten, disagreed)


def _reckon(found: _Everything, day: int) -> tuple[set[int], dict[int, float]]:
    """In a thread: whose standing moved, and everybody's score."""
    web = found.web
    moved = settle_all(web, day)
    scores: dict[int, float] = {}
    for user, history in found.histories.items():
        levels = web.levels.get(user)
        scores[user] = score(History(history.joined, history.verified, levels[-1] if levels else 0, history.facts), day)
    return moved, scores


async def _begin(tx: asyncpg.Connection, *, day: int) -> int:
    """Holds back whoever settles, and deletes what counts for nothing any more; how much that was."""
    await tx.execute("update trust_clock set passing_until = now() + make_interval(secs => $1)", PASSING_S)
    oldest = day - FACTS_KEPT_DAYS
    facts: str = await tx.execute("delete from trust_events where day < $1", oldest)
    words: str = await tx.execute("delete from trust_relationships where day < $1", oldest)
    return int(facts.rpartition(" ")[2]) + int(words.rpartition(" ")[2])


async def _read_all(tx: asyncpg.Connection, *, day: int) -> _Everything:
    web = Web()
    async for row in tx.cursor("select endorser, endorsed, space_id, day, weight from trust_relationships", prefetch=10_000):
        web.add(Word(*row))
    web.seeds.update(row[0] for row in await tx.fetch("select user_id from trust_seeds"))
    web.levels = {user: tuple(levels) for user, levels in await tx.fetch("select user_id, levels from trust_standings")}
    facts: dict[int, list[Fact]] = {}
    async for user, kind, on, weight, space in tx.cursor(_ALL_FACTS, COUNTED, FACTS_MAX, prefetch=10_000):
        facts.setdefault(user, []).append(Fact(kind, on, weight, space))
    web.kept = {user: kept_share(found, day) for user, found in facts.items()}
    histories: dict[int, History] = {}
    scores: dict[int, float] = {}
    async for user, joined, verified, trust in tx.cursor(_ALL_ACCOUNTS, prefetch=10_000):
        histories[user] = History(joined, verified, 0, tuple(facts.get(user, ())))
        scores[user] = trust
    clock = await tx.fetchrow("select day, not exists (select from trust_unsettled) as quiet from trust_clock")
    assert clock is not None
    return _Everything(web, histories, scores, clock["quiet"] and clock["day"] == day)


async def _end(tx: asyncpg.Connection, *, day: int) -> None:
    await tx.execute("update trust_clock set day = $1, passing_until = 'epoch'", day)
    await order_settling(tx)


async def _abandon(tx: asyncpg.Connection) -> None:
    await tx.execute("update trust_clock set passing_until = 'epoch'")
    await order_settling(tx)


async def _write_levels(tx: asyncpg.Connection, web: Web, moved: Collection[int]) -> None:
    stand = {user: levels for user in sorted(moved) if (levels := web.levels.get(user)) is not None}
    gone = [user for user in moved if user not in stand]
    if gone:
        await tx.execute("delete from trust_standings where user_id = any($1)", gone)
    if stand:
        await tx.executemany(
            "insert into trust_standings (user_id, levels) values ($1, $2) on conflict (user_id) do update set levels = excluded.levels",
            [(user, list(levels)) for user, levels in stand.items()],
        )


async def _tell(tx: asyncpg.Connection, *, scores: Mapping[int, float], thresholds: Thresholds | None) -> int:
    """Writes these people's scores where they differ and tells every gateway; how many. The transaction's last calls."""
    rows = await tx.fetch(
        "with locked as materialized ("
        " select a.id, a.trust as before, q.trust from unnest($1::bigint[], $2::float8[]) as q (id, trust) join accounts a on a.id = q.id"
        " where a.trust <> q.trust order by a.id for no key update of a)"
        " update accounts a set trust = l.trust from locked l where a.id = l.id returning a.id, l.before, a.trust",
        list(scores),
        list(scores.values()),
    )
    if thresholds is not None:
        news = ((user, opened(before, trust, thresholds)) for user, before, trust in rows)
        await notify(tx, *(Notice(user, NoticeKind.TRUST, words=words) for user, words in news if words))
    told = [Trusted(user, round(trust * 1000)) for user, _, trust in rows]
    if told:
        bodies = [TrustChanged(tuple(told[at : at + TRUSTED_MAX])) for at in range(0, len(told), TRUSTED_MAX)]
        await append_events(tx, [event(CONTROL_STREAM, 0, body) for body in bodies])
    return len(told)


def _parts(users: Sequence[int]) -> list[Sequence[int]]:
    return [users[at : at + WRITE_MAX] for at in range(0, len(users), WRITE_MAX)]


_LEVELS: Final = "select user_id, levels from trust_standings where user_id = any($1)"
_ALL_FACTS: Final = (
    "select user_id, kind, day, weight, space_id from (select e.*, row_number() over (partition by user_id order by id desc) as n"
    " from trust_events e where kind = any($1)) f where n <= $2"
)
_ALL_ACCOUNTS: Final = (
    "select id, floor(extract(epoch from created_at) / 86400)::integer, email_verified_at is not null, trust from accounts where kind = 0"
)
