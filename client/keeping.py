"""Which streams of records this device keeps: the person's choice, the quota, and what is here, brought together.

    choose ─▶ note ─┐
    SyncStreams ────┼─ scope.plan ─▶ fetch (snapshot or follow), give up (forget), leave out
    sizes, pending ─┘

What a stream took is remembered when it is given up, so that it is not fetched again only to find no room.

Invariant: a stream that has changes without an outcome is never given up here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from client import scope
from client.replica import Replica
from client.scope import Plan, Standing
from client.store import Store
from client.sync_streams import SyncStreams
from protocol.operations import Held

NOTE: Final = "keeping"


class Choice(Struct, frozen=True, array_like=True):
    """What the person chose. `chosen` None: never; everything is kept. `sizes`: what given-up streams took, by stream."""

    chosen: tuple[Held, ...] | None = None
    quota_bytes: int = 0
    sizes: dict[int, int] = {}


class Keeping:
    """See the module. `held` says whether a stream's records are here."""

    def __init__(self, store: Store, streams: SyncStreams, replica: Replica, held: Callable[[int], bool]) -> None:
        self._store = store
        self._streams = streams
        self._replica = replica
        self._held = held
        noted = store.noted(NOTE)
        self._choice = msgspec.msgpack.decode(noted, type=Choice) if noted else Choice()

    @property
    def choice(self) -> Choice:
        return self._choice

    def choose(self, chosen: Sequence[Held], quota_bytes: int) -> None:
        """The person chose these, within so many bytes (0: as many as fit)."""
        self._note(Choice(tuple(chosen), quota_bytes, self._choice.sizes))

    def plan(self) -> Plan:
        """What is to be done now."""
        sizes = {size.stream: size.size_bytes for size in self._store.sizes()}
        pending = self._replica.pending_streams()
        standings = [
            Standing(
                one.stream,
                one.kind,
                self._held(one.stream),
                sizes.get(one.stream) or self._choice.sizes.get(one.stream, 0),
                one.stream in pending,
            )
            for one in self._streams.all()
        ]
        return scope.plan(self._choice.chosen, self._choice.quota_bytes, standings)

    def gave_up(self, stream: int) -> None:
        """A stream's records are about to be dropped."""
        took = next((size.size_bytes for size in self._store.sizes() if size.stream == stream), 0)
        if took:
            self._note(Choice(self._choice.chosen, self._choice.quota_bytes, {**self._choice.sizes, stream: took}))

    def _note(self, choice: Choice) -> None:
        self._choice = choice
        self._store.note(NOTE, msgspec.msgpack.encode(choice))
