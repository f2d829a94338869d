"""Many at once decide about the same records: no deadlock, no text that anybody wrote is lost, and what readers fold is what stands."""

from __future__ import annotations

import random
import re

import asyncpg
import pytest
import trio

from persistence.append import AUTHORITY_MOVED, append_events
from persistence.bridge import Bridge
from persistence.operations.slow import carry_out
from protocol.codec import decode_body
from protocol.codes import Code
from protocol.entities import Entity, Fields, write_fields
from protocol.events import Changed
from protocol.operations import AnyOperation, Claim, Join, Release, Remove, Reopen, Resolve, SetBack
from protocol.values import Choice, ConflictState, Role, StreamKind
from tests.persistence.identity import overlap
from tests.persistence.sync import T0, another_device, change, encoded, fold, set_role, stream_of
from tests.persistence.world import Person, World, world

TEXT = 2
KEYS = (1, 2)
ROUNDS = 14


async def stored(w: World) -> set[str]:
    """Every text that is anywhere: in records, tombstones, kept values, conflicts, or unapplied."""
    rows = await w.rows(
        "select fields from entity_versions union all select mine from sync_conflicts union all select theirs from sync_conflicts"
        " union all select cells from records union all select cells from tombstones union all select operation from sync_queue"
    )
    return {text.decode() for row in rows for text in re.findall(rb"text-[0-9]{9}", row[0])}


class Writing:
    """One device that does things at random, one after the other, and remembers the texts that it wrote."""

    def __init__(self, w: World, person: Person, library: int, dice: random.Random) -> None:
        self.w, self.person, self.library, self.dice = w, person, library, dice
        self.texts: list[str] = []
        self.codes: set[Code] = set()

    def text(self) -> Fields:
        self.texts.append(f"text-{self.dice.randrange(10**9):09}")
        return {TEXT: self.texts[-1]}

    async def version(self, key: int) -> int:
        """One that somebody may have seen: the present one, or one before."""
        rows = await self.w.rows("select version from records where stream_id = $1 and key = $2", self.library, key)
        return max(0, (rows[0]["version"] if rows else 0) - self.dice.choice((0, 0, 1, 2)))

    async def conflict(self, *states: ConflictState) -> tuple[int, int]:
        rows = await self.w.rows("select id, key from sync_conflicts where state = any($1) order by random() limit 1", states)
        return (rows[0]["id"], rows[0]["key"]) if rows else (0, KEYS[0])

    async def operation(self) -> AnyOperation:
        dice = self.dice
        match dice.choice("wwwwdcrrro"):
            case "w":
                key = dice.choice(KEYS)
                return change(self.library, Entity.CONTENT, key, self.text(), base=await self.version(key), at=T0 + dice.randrange(99))
            case "d":
                key = dice.choice(KEYS)
                return change(self.library, Entity.CONTENT, key, base=await self.version(key), at=T0 + dice.randrange(99))
            case "c":
                id, _ = await self.conflict(ConflictState.PENDING, ConflictState.CLAIMED)
                return Claim(max(id, 1), dice.random() < 0.7)
            case "o":
                id, _ = await self.conflict(ConflictState.RESOLVED)
                return Reopen(max(id, 1))
            case _:
                id, key = await self.conflict(ConflictState.PENDING, ConflictState.CLAIMED)
                choice = dice.choice(list(Choice))
                merged = self.text() if choice is Choice.MERGED else {}
                return Resolve(max(id, 1), choice, await self.version(key), T0 + dice.randrange(99), write_fields(merged))

    async def run(self) -> None:
        for _ in range(ROUNDS):
            operation = await self.operation()
            decided = await self.w.ask(self.person, operation)
            self.codes.add(decided.code)
            written = isinstance(operation, Resolve) and operation.choice is Choice.MERGED
            if written and (decided.code is not Code.OK or decided.value % 8 == 4):
                self.texts.pop()  # refused, or shown again: whoever asked still has it


@pytest.mark.parametrize("seed", range(12))
async def test_nothing_that_anybody_wrote_is_lost_however_many_decide_at_once(bridge: Bridge, seed: int) -> None:
    dice = random.Random(seed)
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, _ = await w.community(ann, ben)
        await set_role(w, space, ben, Role.MENTOR)
        library = await stream_of(w, space, StreamKind.LIBRARY)
        devices = [ann, ben, await another_device(w, ann), await another_device(w, ben)]
        writing = [Writing(w, device, library, random.Random(dice.random())) for device in devices]
        async with trio.open_nursery() as nursery:
            for one in writing:
                nursery.start_soon(one.run)
        codes = set[Code]().union(*(one.codes for one in writing))
        assert codes <= {Code.OK, Code.CONFLICT, Code.NOT_FOUND, Code.INVALID}, codes
        assert w.journal.stats.conflicts == 0, "the order of locks is to keep deadlocks away"
        assert w.journal.stats.poisoned == 0
        missing = {text for one in writing for text in one.texts} - await stored(w)
        assert not missing
        held: dict[tuple[int, int], tuple[int, Fields]] = {}
        for row in await w.rows("select body from log where stream_id = $1 order by seq", library):
            body = decode_body(row["body"])
            assert isinstance(body, Changed)
            fold(body.records, held)
        for key in KEYS:
            rows = await w.rows("select cells from records where stream_id = $1 and key = $2", library, key)
            told = held.get((Entity.CONTENT, key), (0, {}))[1]
            assert bool(told) is bool(rows)
            assert not rows or str(told[TEXT]).encode() in rows[0]["cells"]


async def test_two_who_decide_at_the_same_moment_do_not_write_over_each_other_unseen(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, _ = await w.community(ann, ben)
        await set_role(w, space, ben, Role.MENTOR)
        library = await stream_of(w, space, StreamKind.LIBRARY)
        for key in range(1, 9):
            await w.ok(ann, change(library, Entity.CONTENT, key, {TEXT: "first"}))
            await w.ok(ann, change(library, Entity.CONTENT, key, {TEXT: "hers"}, base=1))
            conflict = await w.ok(ben, change(library, Entity.CONTENT, key, {TEXT: "his"}, base=1)) // 8
            answers: list[Code] = []

            async def decide(person: Person, choice: Choice, conflict: int = conflict, answers: list[Code] = answers) -> None:
                answers.append((await w.ask(person, Resolve(conflict, choice, 2, T0))).code)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(decide, ann, Choice.THEIRS)
                nursery.start_soon(decide, ben, Choice.MINE)
            assert sorted(answers) == [Code.OK, Code.CONFLICT], "the second is told that it is decided"


@pytest.mark.parametrize("seed", range(3))
async def test_an_item_that_several_release_at_once_is_applied_once(bridge: Bridge, seed: int) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, _ = await w.community(ann, ben)
        board = await stream_of(w, space, StreamKind.BOARD)
        await w.ok(ann, Remove(space, ben.user))
        for key in range(1, 5):
            await w.ask(ben, change(board, Entity.ACTION, key, {1: "late"}))
        await w.ok(ben, Join(space))
        tablet = await another_device(w, ben)
        answers: list[Code] = []

        async def release(person: Person) -> None:
            items = await w.column("select id from sync_queue order by id")
            random.Random(seed + person.device).shuffle(items)
            for item in items:
                answers.append((await w.ask(person, Release(item))).code)

        async with trio.open_nursery() as nursery:
            for person in (ann, ben, tablet):
                nursery.start_soon(release, person)
        assert sorted(answers) == [Code.OK] * 4 + [Code.NOT_FOUND] * 8
        assert await w.value("select head from streams where id = $1", board) == 4
        assert w.journal.stats.conflicts == 0


@pytest.mark.parametrize("step", ["claim", "resolve", "reopen", "release", "set back"])
async def test_what_was_decided_before_a_removal_does_not_take_effect_after_it(bridge: Bridge, database: str, step: str) -> None:
    """The removal is committed while the operation, which has seen nothing of it, waits for the stream."""
    async with world(bridge) as w:
        ann, ben, cid = [await w.person(name) for name in ("ann", "ben", "cid")]
        space, own, _ = await w.community(ann, ben, cid)
        await set_role(w, space, ben, Role.MENTOR)
        library = await stream_of(w, space, StreamKind.LIBRARY)
        await w.ok(ann, change(library, Entity.CONTENT, 1, {TEXT: "first"}))
        await w.ok(ann, change(library, Entity.CONTENT, 1, {TEXT: "hers"}, base=1))
        conflict = await w.ok(ben, change(library, Entity.CONTENT, 1, {TEXT: "his"}, base=1)) // 8
        if step == "reopen":
            await w.ok(ben, Resolve(conflict, Choice.THEIRS, 2, T0))
        await w.ask(ben, change(library, Entity.CONTENT, 2, {TEXT: "x" * 4001}))
        await w.rows("update sync_queue set operation = $1", encoded(change(library, Entity.CONTENT, 2, {TEXT: "again"})))
        [item] = await w.column("select id from sync_queue")
        operations: dict[str, AnyOperation] = {
            "claim": Claim(conflict),
            "resolve": Resolve(conflict, Choice.MINE, 2, T0),
            "reopen": Reopen(conflict),
            "release": Release(item),
            "set back": SetBack(space, cid.user, 3, 0),
        }
        entry = ben.entry(operations[step])
        before = [tuple(row) for row in await w.rows("select id, head from streams order by id")]

        async def remove(tx: asyncpg.Connection) -> None:
            await tx.execute("delete from members where space_id = $1 and user_id = $2", space, ben.user)
            await append_events(tx, (), bump=(library, own))

        async def operate(tx: asyncpg.Connection) -> str | None:
            savepoint = tx.transaction()
            await savepoint.start()
            try:
                await carry_out(tx, entry)
            except asyncpg.PostgresError as error:
                await savepoint.rollback()
                return str(error.sqlstate)
            await savepoint.commit()
            return None

        _, refused = await trio.to_thread.run_sync(overlap, database, remove, operate)
        assert refused == AUTHORITY_MOVED, "to be decided again"
        assert (await w.ask(ben, operations[step], entry.number)).code is Code.NOT_FOUND
        assert [tuple(row) for row in await w.rows("select id, head from streams order by id")] == before
