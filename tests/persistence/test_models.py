"""The book of models: one active version a name, each change audited, files that are what their card says."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import asyncpg
import pytest
import trio

from actors.model_book import Card, CardFile, State, UnknownVersion
from persistence.bridge import Bridge, BridgeOptions
from persistence.models import PostgresModels, change, entries, offer, register_shipped, rollback

T = TypeVar("T")
Ask = Callable[[Callable[[asyncpg.Connection], Awaitable[T]]], Awaitable[T]]


def card(version: str, name: str = "moderation", content: bytes | None = None) -> Card:
    files = () if content is None else (CardFile("weights.npz", len(content), hashlib.sha256(content).hexdigest()),)
    return Card(name, version, name, "embedded", files, (), {"auc": 0.9}, "2026-11-23", "tests", "all else", deciding="auc")


class Book:
    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge

    async def do(self, work: Callable[..., Awaitable[Any]], *arguments: object, **named: object) -> Any:
        async def in_transaction(tx: asyncpg.Connection) -> Any:
            return await work(tx, *arguments, **named)

        return await self.bridge.run(in_transaction, deadline_s=10.0)

    async def states(self) -> dict[str, str]:
        return {entry.card.title: entry.state.name for entry in await self.do(entries, retired=True)}

    async def offered(self, version: str, content: bytes = b"weights") -> None:
        await self.do(offer, card(version, content=content), {"weights.npz": content})


@asynccontextmanager
async def opened(dsn: str) -> AsyncIterator[Book]:
    bridge = Bridge(BridgeOptions(dsn))
    async with trio.open_nursery() as nursery:
        await nursery.start(bridge.serve)
        yield Book(bridge)
        nursery.cancel_scope.cancel()


async def test_one_version_is_active_whatever_is_promoted_and_a_rollback_is_to_the_one_before(database: str) -> None:
    async with opened(database) as book:
        for version in ("1", "2", "3"):
            await book.offered(version, version.encode())
            assert await book.do(change, "moderation", version, State.ACTIVE) is State.CANDIDATE
        assert await book.states() == {"moderation@1": "RETIRED", "moderation@2": "RETIRED", "moderation@3": "ACTIVE"}
        assert await book.do(rollback, "moderation") == "2"
        assert await book.do(rollback, "moderation") == "3", "and back again"
        audited = await book.do(_audit)
        assert audited[:2] == ["model_offered", "model_changed"] and len(audited) == 8


async def _audit(tx: asyncpg.Connection) -> list[str]:
    return [row[0] for row in await tx.fetch("select action from audit_log where action like 'model_%' order by id")]


async def test_what_is_not_there_or_is_in_use_is_not_changed(database: str) -> None:
    async with opened(database) as book:
        await book.offered("1")
        with pytest.raises(UnknownVersion, match=r"there is no moderation@9; there are 1"):
            await book.do(change, "moderation", "9", State.ACTIVE)
        await book.do(change, "moderation", "1", State.ACTIVE)
        with pytest.raises(UnknownVersion, match="promote another one"):
            await book.do(change, "moderation", "1", State.RETIRED)
        with pytest.raises(UnknownVersion, match="no other version"):
            await book.do(rollback, "moderation")
        assert await book.states() == {"moderation@1": "ACTIVE"}


async def test_one_canary_at_a_time_and_as_many_shadows_as_one_likes(database: str) -> None:
    async with opened(database) as book:
        for version in ("1", "2", "3", "4"):
            await book.offered(version, version.encode())
        await book.do(change, "moderation", "1", State.ACTIVE)
        await book.do(change, "moderation", "2", State.CANARY, percent=10)
        await book.do(change, "moderation", "3", State.CANARY, percent=25)
        await book.do(change, "moderation", "4", State.SHADOW)
        assert await book.states() == {
            "moderation@1": "ACTIVE",
            "moderation@2": "RETIRED",
            "moderation@3": "CANARY",
            "moderation@4": "SHADOW",
        }
        (canary,) = [entry for entry in await book.do(entries) if entry.state is State.CANARY]
        assert canary.percent == 25


async def test_files_that_are_not_what_the_card_says_are_not_kept_and_a_version_is_never_another_one(database: str) -> None:
    async with opened(database) as book:
        wrong = card("1", content=b"weights")
        for files in ({"weights.npz": b"else"}, {}, {"weights.npz": b"weights", "more": b""}):
            with pytest.raises(ValueError, match=r"moderation@1: "):
                await book.do(offer, wrong, files)
        await book.offered("1")
        with pytest.raises(ValueError, match="there already"):
            await book.offered("1", b"other")
        models = PostgresModels(book.bridge)
        assert await models.file(wrong.files[0].sha256) == b"weights"
        assert await models.file(hashlib.sha256(b"other").hexdigest()) is None, "what was undone left nothing"


async def test_the_oldest_that_nobody_uses_go_with_their_files(database: str) -> None:
    async with opened(database) as book:
        for number in range(14):
            await book.offered(str(number), f"content {number}".encode())
            await book.do(change, "moderation", str(number), State.ACTIVE)
        kept = await book.states()
        assert "moderation@13" in kept and "moderation@12" in kept and "moderation@0" not in kept and len(kept) <= 13
        models = PostgresModels(book.bridge)
        assert await models.file(hashlib.sha256(b"content 0").hexdigest()) is None
        assert await models.file(hashlib.sha256(b"content 12").hexdigest()) == b"content 12"


async def test_a_newer_program_brings_its_version_into_use_unless_somebody_chose_another(database: str) -> None:
    async with opened(database) as book:
        one, two, three = card("1"), card("2"), card("3")
        ship = partial(book.do, register_shipped)
        await ship([one], {"moderation": one})
        await ship([one], {"moderation": one})
        assert await book.states() == {"moderation@1": "ACTIVE"}
        await ship([two], {"moderation": two})
        assert (await book.states())["moderation@2"] == "ACTIVE"
        await ship([one], {"moderation": one})
        assert (await book.states())["moderation@2"] == "ACTIVE", "an older program that starts again takes nothing back"
        await book.offered("20261123.0100")
        await book.do(change, "moderation", "20261123.0100", State.ACTIVE)
        await ship([three], {"moderation": three})
        assert await book.states() == {
            "moderation@1": "RETIRED",
            "moderation@2": "RETIRED",
            "moderation@3": "CANDIDATE",
            "moderation@20261123.0100": "ACTIVE",
        }


async def test_a_card_of_a_newer_release_is_passed_over_and_the_rest_of_the_book_stays_readable(database: str) -> None:
    async with opened(database) as book:
        for version in ("1", "2"):
            await book.offered(version, version.encode())
        await book.do(change, "moderation", "1", State.ACTIVE)

        async def write_newer(tx: asyncpg.Connection) -> None:
            await tx.execute("update models set card = card || '{\"of_tomorrow\": 1}' where version = '2'")

        await book.do(write_newer)
        assert await book.states() == {"moderation@1": "ACTIVE"}
