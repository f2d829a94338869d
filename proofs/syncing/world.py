"""The scene: three people with two devices each, two communities, a server that may be set back to an earlier state.

    ann: owner · mentor         bob: mentor · owner         cid: learner · learner

Time stands still unless somebody lets it pass; nothing waits.

Invariant: the words on record here (`Ledger`) belong to the history that the database has now.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from proofs.simulation.database import Database
from proofs.simulation.rows import Tables
from proofs.simulation.world import START_WALL_S, Violation
from proofs.syncing.device import Device
from proofs.syncing.gateway import Gateway
from proofs.syncing.ledger import Ledger, WatchedRecords
from protocol.values import Role

DEVICES_MAX = 9
STEPS_MAX = 5_000
"""Frames in one go: a conversation that takes more than this does not come to an end."""
BACKUPS_MAX = 2


class Backup(Struct, frozen=True):
    """A state to go back to."""

    tables: Tables
    decisions: int
    replaced: frozenset[Any]


class World:
    """See the module."""

    def __init__(self) -> None:
        self.now = float(START_WALL_S)
        self.database = Database()
        self.gateway = Gateway(self.database, lambda: self.now)
        self.ledger = Ledger(self.gateway)
        database = self.database
        self.users = [database.create_user(name) for name in ("ann", "bob", "cid")]
        ann, bob, cid = self.users
        first, second = database.create_community("first", ann), database.create_community("second", bob)
        for community, user, role in ((first, bob, Role.MENTOR), (first, cid, Role.LEARNER), (second, ann, Role.MENTOR)):
            database.appoint(community.id, user, role)
        database.appoint(second.id, cid, Role.LEARNER)
        self.communities = [first.id, second.id]
        self.devices = [self._device(user) for user in self.users for _ in range(2)]
        self.backups: list[Backup] = []
        self.restores = 0
        self._watch()

    def _device(self, user: int) -> Device:
        row = self.database.create_device(user)
        return Device(user, row.id, row.session, self.gateway, lambda: self.now, self.fork)

    def fork(self, user: int) -> tuple[int, int]:
        """Another device of somebody's: its number and session."""
        row = self.database.create_device(user, id=1000 + len(self.gateway.forks))
        self.gateway.forks.append(row.id)
        return row.id, row.session

    def _watch(self) -> None:
        tables = self.database.tables
        tables.records = WatchedRecords(tables.records, self.ledger)

    # What happens to the whole

    def clone(self, device: Device) -> Device | None:
        """Somebody copies a store; None if there are devices enough."""
        if len(self.devices) >= DEVICES_MAX:
            return None
        copied = device.copy()
        self.devices.append(copied)
        saved = device.store.load()
        for kept in (*saved.mutations, *saved.settled):
            self.ledger.enter(kept.operation)
        return copied

    def back_up(self) -> None:
        if len(self.backups) < BACKUPS_MAX:
            self.backups.append(Backup(self.database.back_up(), len(self.gateway.history), frozenset(self.ledger.replaced)))

    def restore(self) -> None:
        """The database is lost, and what was backed up last takes its place."""
        if not self.backups:
            return
        backup = self.backups.pop()
        devices = dict(self.database.devices)
        self.restores += 1
        self.gateway.close_all()
        self.database.restore(backup.tables, self.database.tables.epoch + 1)
        for id, row in devices.items():
            if id not in self.database.devices:
                self.database.create_device(row.user, id, row.session)
        del self.gateway.history[backup.decisions :]
        self.ledger.replaced = set(backup.replaced)
        self._watch()

    def pass_horizon(self) -> None:
        """A long time goes by: deletions are forgotten, and no backup is that old."""
        self.now += 100 * 86_400
        self.backups.clear()
        self.database.pass_horizon(int(self.now))

    # Conversations

    def talk(self, devices: Sequence[Device], frames: int) -> None:
        """Moves so many frames of these devices, one after the other; what they sent is committed together when none has more to say."""
        left = min(frames, STEPS_MAX)
        while left > 0:
            moved = False
            for device in devices:
                if left > 0 and device.step():
                    moved = True
                    left -= 1
            if not moved:
                before = self.gateway.moves
                self.gateway.commit()
                if self.gateway.moves == before:
                    return
        if frames > STEPS_MAX:
            raise Violation(f"devices {[device.device for device in devices]} do not come to an end")

    def converse(self, device: Device) -> bool:
        """One device comes online until all is said. Whether it has nothing more to do."""
        for _ in range(4):
            if device.socket is None:
                device.connect()
            self.talk([device], STEPS_MAX + 1)
            if device.socket is not None:
                break
        return device.exchange.is_complete

    def heal(self) -> None:
        """Everybody comes online in turn, as often as it takes."""
        for device in self.devices:
            device.store.calls_left = 0
            device.wrong_s = device.lies_s = 0
            device.cut()
        complete: list[bool] = []
        for _ in range(12):
            before = self._state()
            complete = [self._visit(device) for device in self.devices]
            if all(complete) and self._state() == before:
                return
        waiting = {device.device: len(device.store.load().mutations) for device in self.devices}
        raise Violation(f"it does not become quiet: {complete}; mutations that wait, by device: {waiting}")

    def _visit(self, device: Device) -> bool:
        complete = self.converse(device)
        device.cut()
        return complete

    def _state(self) -> tuple[int, ...]:
        tables = self.database.tables
        return (*(len(stream.log) for stream in tables.streams.values()), len(self.gateway.history), len(tables.devices))
