"""The book of models in Postgres: versions, their states, the files of those that were trained here.

    offer(tx, card, files) ─▶ candidate ─ change(tx, …, State.SHADOW | CANARY | ACTIVE | RETIRED) ─▶ every ML process, within its next look
    rollback(tx, name) ─▶ the one that was active before

All are given a transaction, so that a training's result and the end of its job are one. Each change is audited by who made it.

Invariant: exactly one version of a name is active once any was; a name's rows are locked in the order of the table's key before any is
changed, so that two promotions follow each other.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final

import asyncpg
import msgspec
import structlog

from actors.model_book import FILE_BYTES_MAX, PAGE_ROWS_MAX, Card, Entry, Mark, Page, State, UnknownVersion
from persistence.audit import Deed, record
from persistence.bridge import Bridge

log = structlog.get_logger("models")

READ_S: Final = 10.0
FILE_S: Final = 60.0
RETIRED_MAX: Final = 10
"""Of one name, that are kept to look at and to go back to."""

ReadPage = Callable[[asyncpg.Connection, Mark, int], Awaitable[Page]]


async def register_shipped(tx: asyncpg.Connection, cards: Sequence[Card], newest: Mapping[str, Card]) -> None:
    """Writes down what the program brings. Its newest version of a name is active where none is, or where the active one was shipped, too,
    and nobody chose it."""
    known = {(row["name"], row["version"]) for row in await tx.fetch("select name, version from models where shipped")}
    active = {row["name"]: row for row in await tx.fetch("select name, version, shipped, chosen from models where state = 3")}
    for card in cards:
        if (card.name, card.version) not in known:
            await tx.execute(
                "insert into models (name, version, card, state, shipped) values ($1, $2, $3::jsonb, 0, true) on conflict do nothing",
                card.name,
                card.version,
                _json(card),
            )
    for name, card in newest.items():
        now = active.get(name)
        if now is None or (
            now["shipped"] and not now["chosen"] and (name, now["version"]) != (name, card.version) and _is_new(card, known)
        ):
            await _change(tx, name, card.version, State.ACTIVE, percent=0, chosen=False)


def _is_new(card: Card, known: set[tuple[str, str]]) -> bool:
    """Whether no program brought it before: an older program that starts again must not take a newer one's place back."""
    return (card.name, card.version) not in known


async def offer(tx: asyncpg.Connection, card: Card, files: Mapping[str, bytes]) -> None:
    """Keeps a version that was trained here, as a candidate. Raises ValueError where the files are not those of the card, or the version is
    there already."""
    for file in card.files:
        content = files.get(file.name)
        if content is None or len(content) > FILE_BYTES_MAX or hashlib.sha256(content).hexdigest() != file.sha256:
            raise ValueError(f"{card.title}: {file.name} is not what its card says")
    if extra := files.keys() - {file.name for file in card.files}:
        raise ValueError(f"{card.title}: its card names no {', '.join(sorted(extra))}")
    for file in card.files:
        await tx.execute("insert into model_files (sha256, content) values ($1, $2) on conflict do nothing", file.sha256, files[file.name])
    made = await tx.fetchval(
        "insert into models (name, version, card, state, shipped) values ($1, $2, $3::jsonb, 0, false) on conflict do nothing returning 1",
        card.name,
        card.version,
        _json(card),
    )
    if made is None:
        raise ValueError(f"{card.title} is there already: a version is never another one")
    await record(tx, Deed(0, "model_offered", detail={"model": card.name, "version": card.version}))
    await _forget_old(tx, card.name)


async def change(
    tx: asyncpg.Connection, name: str, version: str, state: State, *, percent: int = 0, actor: int = 0, address: str | None = None
) -> State:
    """Puts a version into a state; the state before. Another one that was active, or canary, is retired. Raises `UnknownVersion`."""
    before = await _change(tx, name, version, state, percent=percent, chosen=state is State.ACTIVE)
    detail = {"model": name, "version": version, "state": state.name.lower(), "percent": percent, "before": before.name.lower()}
    await record(tx, Deed(actor, "model_changed", address=address, detail=detail))
    return before


async def rollback(tx: asyncpg.Connection, name: str, *, actor: int = 0, address: str | None = None) -> str:
    """Makes the version active that was so before the present one; its number. Raises `UnknownVersion` where there was none."""
    await _lock(tx, name)
    version: str | None = await tx.fetchval(
        "select version from models where name = $1 and state <> 3 and active_at is not null order by active_at desc limit 1", name
    )
    if version is None:
        raise UnknownVersion(f"no other version of {name} was active before")
    await change(tx, name, version, State.ACTIVE, actor=actor, address=address)
    return version


async def entries(tx: asyncpg.Connection, *, retired: bool = False) -> list[Entry]:
    """All versions but the retired; with them, the last `RETIRED_MAX` of each name. By name, the active one first.

    Without those whose card this program cannot read: while a newer release begins beside it, it goes on with what it knows.
    """
    rows = await tx.fetch(
        "select name, version, card::text as card, state, percent, shipped, extract(epoch from changed_at)::float8 as changed_at"
        " from models where state <> 4 or $1 order by name, state = 3 desc, changed_at desc",
        retired,
    )
    found: list[Entry] = []
    for row in rows:
        try:
            card, state = msgspec.json.decode(row["card"], type=Card), State(row["state"])
        except ValueError as error:  # what msgspec raises is one, too
            _say_unread(f"{row['name']}@{row['version']}", str(error))
            continue
        found.append(Entry(card, state, percent=row["percent"], shipped=row["shipped"], changed_at=row["changed_at"]))
    return found


@functools.lru_cache(maxsize=256)
def _say_unread(version: str, error: str) -> None:
    """Once each: the book is read every other second."""
    log.warning("model_card_unread", version=version, error=error)


async def file(tx: asyncpg.Connection, sha256: str) -> bytes | None:
    content: bytes | None = await tx.fetchval("select content from model_files where sha256 = $1", sha256)
    return content


async def _change(tx: asyncpg.Connection, name: str, version: str, state: State, *, percent: int, chosen: bool) -> State:
    versions = await _lock(tx, name)
    if version not in versions:
        raise UnknownVersion(f"there is no {name}@{version}; there are {', '.join(sorted(versions)) or 'none'}")
    before = versions[version]
    if before is State.ACTIVE and state is not State.ACTIVE:
        raise UnknownVersion(f"{name}@{version} is active: promote another one, or roll back, and it is retired")
    if state in (State.ACTIVE, State.CANARY):
        # One of each: the one before steps down first, or the index would refuse the new one.
        await tx.execute(
            "update models set state = 4, percent = 0, changed_at = now() where name = $1 and version <> $2 and state = $3",
            name,
            version,
            int(state),
        )
    await tx.execute(
        "update models set state = $3::smallint, percent = $4, chosen = $5, changed_at = now(),"
        " active_at = case when $3::smallint = 3 then clock_timestamp() else active_at end where name = $1 and version = $2",
        name,
        version,
        int(state),
        percent if state is State.CANARY else 0,
        chosen,
    )
    return before


async def _lock(tx: asyncpg.Connection, name: str) -> dict[str, State]:
    rows = await tx.fetch("select version, state from models where name = $1 order by version for update", name)
    return {row["version"]: State(row["state"]) for row in rows}


async def _forget_old(tx: asyncpg.Connection, name: str) -> None:
    """Lets go of the oldest retired versions and of the files that no card names any more."""
    await tx.execute(
        "delete from models where name = $1 and not shipped and state in (0, 4) and version in (select version from models"
        " where name = $1 and not shipped and state in (0, 4) order by coalesce(active_at, made_at) desc offset $2)",
        name,
        RETIRED_MAX,
    )
    await tx.execute(
        "delete from model_files f where not exists (select 1 from models m, jsonb_array_elements(m.card->'files') c"
        " where not m.shipped and c->>'sha256' = f.sha256)"
    )


def _json(card: Card) -> str:
    return msgspec.json.encode(card).decode()


class PostgresModels:
    """`actors.model_book.ModelBook`."""

    def __init__(self, bridge: Bridge, *, shipped: Sequence[Card] = ()) -> None:
        """`shipped`: what this program brings; written down when the book is first read."""
        self._bridge = bridge
        self.shipped = shipped
        self._registered = False

    async def entries(self) -> list[Entry]:
        if not self._registered:
            newest: dict[str, Card] = {}
            for card in self.shipped:
                newest[card.name] = card  # they come in order: the last of a name is the newest
            await self._bridge.run(partial(register_shipped, cards=self.shipped, newest=newest), deadline_s=READ_S)
            self._registered = True
        return await self._bridge.run(entries, deadline_s=READ_S, readonly=True)

    async def file(self, sha256: str) -> bytes | None:
        return await self._bridge.run(partial(file, sha256=sha256), deadline_s=FILE_S, readonly=True)


class PostgresFeeds:
    """`actors.model_book.Feeds`, by the queries that each model's tables have."""

    def __init__(
        self, bridge: Bridge, pages: Mapping[str, ReadPage], *, before: Mapping[str, Callable[[], Awaitable[None]]] | None = None
    ) -> None:
        """`before`: by model, what is done before each reading."""
        self._bridge = bridge
        self._pages = pages
        self._before = before or {}

    async def page(self, model: str, after: Mark) -> Page:
        read = self._pages.get(model)
        if read is None:
            return Page((), after, more=False)
        if (prepare := self._before.get(model)) is not None:
            await prepare()

        async def work(tx: asyncpg.Connection) -> Page:
            return await read(tx, after, PAGE_ROWS_MAX)

        return await self._bridge.run(work, deadline_s=READ_S, readonly=True)
