"""What people entered, and what became of it: kept beside the system, by looking at what it writes.

    entered(change) ─▶ words that stand nowhere else       record replaced ─▶ did its writer know? ─▶ replaced knowingly
                       ╰────────────── at the end: each is found somewhere, or was replaced knowingly ──────────────╯

Whether a writer knew is judged here by versions and numbers alone, not by asking the rules of merging.

Invariant: progress in a record never falls within a generation, at any write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from proofs.simulation.rows import Place, Tables
from proofs.simulation.world import Violation
from proofs.syncing.device import standing
from proofs.syncing.gateway import Gateway
from protocol.codec import BadFrame, decode_operation
from protocol.entities import TABLE, Entity, Fields, Value, read_fields
from protocol.merge import GONE, NOTHING, Record
from protocol.operations import Change

Word = tuple[Place, int, Value]
"""A value that somebody entered: where, in which field."""


class WatchedRecords(dict[Place, Record]):
    """The records of a database, each write of which is looked at."""

    def __init__(self, records: Mapping[Place, Record], ledger: Ledger) -> None:
        super().__init__(records)
        self._ledger = ledger

    def __setitem__(self, place: Place, after: Record) -> None:
        self._ledger.look_at(place, self.get(place, NOTHING), after)
        super().__setitem__(place, after)

    def __deepcopy__(self, memo: object) -> dict[Place, Record]:
        return dict(self)  # records are values


class Ledger:
    """See the module."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.entered: dict[Word, bytes] = {}
        """Each with the operation that brought it."""
        self.replaced: set[Word] = set()
        self.stores: dict[bytes, int] = {}
        """In how many stores an entered operation is: copies ask for it again."""

    def enter(self, operation: bytes) -> None:
        """Somebody asks for this, in one store."""
        name = identify(operation)
        if name:
            self.stores[name] = self.stores.get(name, 0) + 1
        for word in words_of(operation):
            self.entered[word] = name

    def look_at(self, place: Place, before: Record, after: Record) -> None:
        """A record is written."""
        if place[1] == Entity.PROGRESS:
            was, now = standing(before.fields), standing(after.fields)
            if now < was:
                raise Violation(f"progress in {place} falls from {was} to {now}")
        stamps = {cell.stamp for cell in after.cells.values() if cell.version == after.version}
        change = self._writer(stamps.pop().number, after) if len(stamps) == 1 else None
        deleted = after.is_gone and not before.is_gone
        for number, cell in before.cells.items():
            if number == GONE or before.is_gone or (after.cells[number].value == cell.value and not deleted):
                continue
            if change is not None and self._knew(change, before, number, after):
                self.replaced |= set(words_in(place, {number: cell.value}))

    def _writer(self, number: int, after: Record) -> Change | None:
        stamp = next(cell.stamp for cell in after.cells.values() if cell.version == after.version)
        operation = self._gateway.sent.get((stamp.device, number))
        return operation if isinstance(operation, Change) else None

    def _knew(self, change: Change, before: Record, number: int, after: Record) -> bool:
        cell = before.cells[number]
        stamp = next(cell.stamp for cell in after.cells.values() if cell.version == after.version)
        own = cell.stamp.device == stamp.device and cell.stamp.number < stamp.number
        return own or cell.version <= change.base <= before.version


def identify(operation: bytes) -> bytes:
    """A name for what a mutation says, which does not change when it is frozen again; empty for what has no words of its own."""
    words = sorted(str(word) for word in words_of(operation))
    return " ".join(words).encode()


def words_of(operation: bytes) -> list[Word]:
    """What of a change's fields stands nowhere else."""
    try:
        change = decode_operation(operation)
    except BadFrame:
        return []
    if not isinstance(change, Change):
        return []
    return list(words_in((change.stream, change.entity, change.key), read_fields(change.fields)))


def words_in(place: Place, fields: Fields) -> Iterator[Word]:
    """The values among these that are words of somebody's."""
    declaration = TABLE.get(place[1])
    for number, value in fields.items():
        field = declaration.field(number) if declaration is not None else None
        if field is not None and not field.housekeeping and isinstance(value, str) and value.startswith("w"):
            yield place, number, value


def found_in(tables: Tables) -> set[Word]:
    """All that can be found on the server."""
    found: set[Word] = set()
    for place, record in tables.records.items():
        if not record.is_gone:
            found.update(words_in(place, record.fields))
    for place, versions in tables.versions.items():
        for version in versions:
            found.update(words_in(place, version.fields))
    for row in tables.conflicts.values():
        for side in (row.mine, row.theirs):
            found.update(words_in(row.place, {n: v for n, v in side.items() if n != GONE}))
    for kept in tables.unapplied.values():
        found.update(words_of(kept.operation))
    return found
