"""Which streams of records there are for one account, as the last overview told: kept, so that it is known offline.

    Spaces ─learn─▶ stream ─▶ kind, space, community, role          (entity, community) ─find─▶ the stream its records are in
                              └─ what came and what went

Invariant: what `find` returns was readable for this account when the server was last asked.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from client.errors import ClientError
from client.store import Store
from protocol.entities import PRIORITIES, RECORD_KINDS, TABLE, Priority
from protocol.frames import Spaces
from protocol.values import Role, SpaceKind, StreamKind

NOTE: Final = "streams"


class NoStream(ClientError):
    """There is no such stream for this account, or the server has not told of it yet."""


class SyncStream(Struct, frozen=True, array_like=True):
    """A stream of records. `community` is the space it belongs to, also for what a member has of their own there; 0: it is the person's.

    `head` is its last event when the overview was made.
    """

    stream: int
    kind: StreamKind
    space: int
    community: int
    role: Role
    name: str
    head: int = 0


class SyncStreams:
    """The streams of records of one account. `told`: whether the server ever said."""

    def __init__(self, store: Store) -> None:
        self._store = store
        noted = store.noted(NOTE)
        streams = msgspec.msgpack.decode(noted, type=tuple[SyncStream, ...]) if noted else ()
        self.told = bool(noted)
        self._streams = {one.stream: one for one in streams}

    def __contains__(self, stream: int) -> bool:
        return stream in self._streams

    def all(self) -> list[SyncStream]:
        """All of them, most urgent first."""
        return sorted(self._streams.values(), key=lambda one: (PRIORITIES.get(one.kind, Priority.COMMUNITY), one.stream))

    def get(self, stream: int) -> SyncStream | None:
        return self._streams.get(stream)

    def find(self, entity: int, community: int = 0) -> int:
        """The stream that holds an entity's records: of a community, or the person's own. 0 as the community: the only one there is.

        Raises `NoStream`, saying what there is.
        """
        declaration = TABLE.get(entity)
        if declaration is None:
            raise NoStream(f"there is no entity {entity}")
        of_kind = [one for one in self.all() if one.kind is declaration.stream]
        found = [one for one in of_kind if one.community == community or declaration.stream is StreamKind.OWN]
        if not found and not community and len(of_kind) == 1:
            found = of_kind
        if not found:
            raise NoStream(self._why_none(declaration.entity.name.lower().replace("_", " "), community, of_kind))
        return found[0].stream

    def _why_none(self, what: str, community: int, of_kind: list[SyncStream]) -> str:
        """What is wrong, and what may be said instead."""
        if not self.told:
            return "this device has never been connected, and has nothing yet; connect it once"
        known = ", ".join(str(one.community) for one in of_kind)
        if not known:
            where = f"in community {community}, nor anywhere else" if community else "anywhere"
            return f"this account has no {what} {where}: it is in no community, or may not read that there"
        if not community:
            return f"say which community: this account has a {what} in several ({known})"
        return f"this account has no {what} in community {community}; it has some in {known}"

    def learn(self, spaces: Spaces) -> list[int]:
        """Takes an overview; returns the streams that are gone."""
        told: dict[int, SyncStream] = {}
        for space in spaces.spaces:
            match space.kind:
                case SpaceKind.ENROLMENT:
                    community = int(space.name) if space.name.isdecimal() else 0
                case SpaceKind.COMMUNITY:
                    community = space.space
                case _:
                    community = 0
            for state in space.streams:
                if state.kind in RECORD_KINDS:
                    told[state.stream] = SyncStream(state.stream, state.kind, space.space, community, space.role, state.name, state.head)
        gone = [stream for stream in self._streams if stream not in told]
        self._streams = told
        self._keep()
        return gone

    def leave(self, space: int) -> list[int]:
        """One is no longer in a space: returns its streams, which are gone, and those of what one had of one's own there."""
        gone = [one.stream for one in self._streams.values() if space in (one.space, one.community)]
        self.drop(gone)
        return gone

    def drop(self, streams: list[int]) -> None:
        """These are gone."""
        for stream in streams:
            self._streams.pop(stream, None)
        self._keep()

    def _keep(self) -> None:
        self.told = True
        self._store.note(NOTE, msgspec.msgpack.encode(tuple(self._streams.values())))
