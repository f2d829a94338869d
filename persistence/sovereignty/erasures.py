"""Carrying erasures out: from the request to the last row, over any number of crashes, and again on a restored backup.

    ask ─▶ condemned, committed ─▶ job ─▶ carry_out: ledger first, then step by step, each a transaction ─▶ done_at
    ledger, after a restore ─▶ again: whatever of it is there once more is condemned and carried out as if it had been asked for now

Invariant: what has a row in `erasures` without `done_at` is worked on by somebody or by the next job; its line is in the ledger before its
first row is deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

import asyncpg
import trio
from msgspec import Struct

from actors.jobs import Order, pack
from actors.sovereignty import Kind
from actors.storage import Fact, Herald
from persistence.bridge import Bridge
from persistence.jobs.enqueue import enqueue
from persistence.sovereignty.erasure import DONE, Condemned, Subject, condemn_community, erase_step_of_community
from persistence.sovereignty.ledger import Ledger
from persistence.sovereignty.person import condemn_person, erase_step

CARRY_OUT: Final = "erase.carry_out"
"""The kind of job."""
STEP_S: Final = 30.0
_NOTE: Final = "update erasures set step = $2, rows = rows + $3, done_at = case when $4 then now() end where id = $1"


class CarryOut(Struct, frozen=True):
    """The payload of that job: a row of `erasures`."""

    erasure: int


class Erasures:
    """`ask` and `again` condemn; `carry_out` is the job's. May raise `StorageError`, `LedgerUnusable`."""

    def __init__(self, bridge: Bridge, herald: Herald, ledger: Ledger | None) -> None:
        self._bridge = bridge
        self._herald = herald
        self._ledger = ledger

    async def ask(self, kind: Kind, id: int, by: int, born: datetime | None = None) -> Condemned | None:
        """Condemns, at once and finally, and orders the rest. None: there is no such thing."""
        condemned = await self._bridge.run(partial(_condemn, kind=kind, id=id, by=by, born=born), deadline_s=STEP_S)
        if condemned is not None and condemned.facts:
            self._herald.committed(condemned.facts)
        return condemned

    async def again(self) -> list[Subject]:
        """Condemns whatever the ledger names and the database still, or again, has. What it found."""
        lines = await trio.to_thread.run_sync(self._ledger.read) if self._ledger is not None else []
        found = []
        for line in lines:
            condemned = await self.ask(line.of.kind, line.subject, 0, line.born)
            if condemned is not None and not condemned.again:
                found.append(condemned.subject)
        return found

    async def carry_out(self, erasure: int, report: Callable[[str], None] = lambda step: None) -> int:
        """All steps that are left; how many rows. Safe to begin again wherever it was ended."""
        row = await self._bridge.run(partial(_read, erasure=erasure), deadline_s=STEP_S, readonly=True)
        if row is None:
            return 0
        subject = Subject(Kind(row["kind"]), row["subject"], row["born"])
        if self._ledger is not None:
            await trio.to_thread.run_sync(self._ledger.append, subject, row["asked_at"])
        total, step = 0, row["step"]
        while step != DONE:
            step, rows, facts = await self._bridge.run(partial(_step, erasure=erasure, subject=subject, step=step), deadline_s=STEP_S)
            if facts:
                self._herald.committed(facts)
            total += rows
            report(step)
        return total


async def _condemn(tx: asyncpg.Connection, kind: Kind, id: int, by: int, born: datetime | None) -> Condemned | None:
    condemn = condemn_community if kind is Kind.COMMUNITY else condemn_person
    condemned = await condemn(tx, id, by, born)
    if condemned is not None and not condemned.again:
        await _order(tx)
    return condemned


async def _order(tx: asyncpg.Connection) -> None:
    """Jobs for whatever is condemned and not done: also what a member who was the last one took along."""
    open_ = await tx.fetch("select id from erasures where done_at is null order by id")
    await enqueue(tx, *(Order(CARRY_OUT, pack(CarryOut(row["id"])), key=str(row["id"])) for row in open_))


async def _read(tx: asyncpg.Connection, erasure: int) -> asyncpg.Record | None:
    return await tx.fetchrow("select kind, subject, born, asked_at, step from erasures where id = $1 and done_at is null", erasure)


async def _step(tx: asyncpg.Connection, erasure: int, subject: Subject, step: str) -> tuple[str, int, list[Fact]]:
    """One step, and how far it is with it: in the same transaction, so that two who carry out the same do no harm."""
    held = await tx.fetchval("select step from erasures where id = $1 and done_at is null for update", erasure)
    if held is None:
        return DONE, 0, []
    if subject.kind is Kind.COMMUNITY:
        after, rows = await erase_step_of_community(tx, subject.id, held)
        facts = list[Fact]()
    else:
        after, rows, facts = await erase_step(tx, subject.id, held)
        await _order(tx)
    await tx.execute(
        "update erasures set step = $2, rows = rows + $3, done_at = case when $4 then now() end where id = $1",
        erasure,
        after,
        rows,
        after == DONE,
    )
    return after, rows, facts
