"""What a client of an old schema and one of the present schema say to each other through the server, as bytes.

    Script(schema) ─▶ step: who sends which message ─▶ recorded, replayed

The bytes are written here with a msgpack library and with tags and fields as they were in that schema; nothing of the present codec, of
the table of entities or of the casts has a part in it. So what was written stays what an old client sends, whatever becomes of them.

Invariant: a script is a pure function of its schema and of the house's numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgpack

from tests.recordings.house import START_WALL_S, House

PRESENT = 5
OLD, NEW = "old", "present"
"""The two clients. They are two devices of one person."""
T = START_WALL_S
HELLO, BYE, MUTATE, FOLLOW, OVERVIEW, HISTORY, CHUNK, SNAPSHOT, CONFLICTS, UNAPPLIED, VERSIONS = 1, 3, 6, 7, 9, 10, 15, 16, 17, 18, 19
CHANGE, RESOLVE, REOPEN = 18, 20, 21
MINE, MERGED = 1, 3
ANSWER, PROFILE, PREFERENCES, ACTION, CONTENT, SUBJECT = 2, 3, 4, 7, 8, 9


class Step(NamedTuple):
    """`who` sends one message of these frames."""

    about: str
    who: str
    frames: list[list[Any]]

    @property
    def message(self) -> bytes:
        frames = [msgpack.packb(frame) for frame in self.frames]
        if len(frames) == 1:
            return bytes(frames[0])
        return bytes((0x90 | len(frames),)) + b"".join(frames)


def languages(schema: int, *tags: str) -> dict[int, Any]:
    """Up to schema 2 they were one text."""
    return {2: ", ".join(tags)} if schema <= 2 else {3: list(tags)}


def quiet_hours(schema: int, begin: int, end: int) -> dict[int, Any]:
    """Up to schema 3 they were one text, empty for none."""
    if schema <= 3:
        return {3: "" if begin == end else f"{begin:02}-{end:02}"}
    return {4: begin * 60, 5: end * 60}


def script(house: House, schema: int) -> Iterator[Step]:
    """The conversation with a client of `schema`, of which the present one is not."""
    yield from _arrive(house, schema)
    yield from _write(house, schema)
    yield from _disagree(house, schema)
    yield from _look(house, schema)


def _arrive(house: House, schema: int) -> Iterator[Step]:
    hello: list[Any] = [HELLO, 1, house.token(house.devices[0]), house.devices[0], [], 0, 0, 0, 0, "old", schema]
    yield Step("an old client says hello", OLD, [hello, [OVERVIEW, 1]])
    present = [HELLO, 1, house.token(house.devices[1]), house.devices[1], [], 0, 0, 0, 0, "present", PRESENT]
    yield Step("a present one says hello", NEW, [present])
    streams = (house.inbox, house.own, house.answers, house.board, house.library)
    for who in (OLD, NEW):
        yield Step("it follows what there is", who, [[FOLLOW, 10 + at, stream, 0] for at, stream in enumerate(streams)])


def _write(house: House, schema: int) -> Iterator[Step]:
    answers = [house.answers, ANSWER, [[70, 0, {2: [3], 3: "because"}]]]
    profile = [house.own, PROFILE, [[1, 1, {1: "I teach", **languages(schema, "sw", "en")}]]]
    quiet = [house.own, PREFERENCES, [[1, 1, {**quiet_hours(schema, 22, 7), 6: True}]]]
    yield Step("the old one writes in its own fields", OLD, [[CHUNK, 1, T, [answers, profile, quiet]]])
    changes = [
        [house.answers, ANSWER, [[70, 10, {2: [5, 7]}, 1]]],
        [house.own, PROFILE, [[1, 1, {3: ["fr", "sw"]}, 1]]],
        [house.own, PREFERENCES, [[1, 1, {4: 1350}, 1]]],
        [house.board, ACTION, [[900, 1, {1: "Plant trees", 4: False}]]],
        [house.library, CONTENT, [[901, 1, {1: "Water", 2: "first"}]]],
        [house.library, SUBJECT, [[902, 1, {1: "Nature"}]]],
    ]
    yield Step("the present one writes in its own fields, and what the old one may not know", NEW, [[CHUNK, 1, T, changes]])
    none = [CHANGE, house.own, PREFERENCES, 1, T + 20, quiet_hours(schema, 0, 0), 2]
    yield Step("the old one knows that, and has no quiet hours", OLD, [[MUTATE, 4, none]])


def _disagree(house: House, schema: int) -> Iterator[Step]:
    late = [CHANGE, house.own, PROFILE, 1, T + 30, languages(schema, "pt"), 1]
    early = [CHANGE, house.own, PROFILE, 1, T + 5, languages(schema, "ak"), 1]
    yield Step("the old one did not know the languages, and is later", OLD, [[MUTATE, 5, late]])
    yield Step("the present one knew an older version, and is earlier", NEW, [[MUTATE, 7, [*early[:5], {3: ["ak"]}, 2]]])
    yield Step("the old one did not know the text", OLD, [[MUTATE, 6, [CHANGE, house.library, CONTENT, 901, T + 40, {2: "second"}]]])
    bad: list[Any] = [[1, 0, {3: "late"} if schema <= 3 else {4: 1440}]]
    yield Step(
        "what means nothing is refused, what follows is not",
        OLD,
        [[CHUNK, 7, T, [[house.own, PREFERENCES, [*bad, [1, 50, {1: True}, 3]]]]]],
    )
    both = [RESOLVE, 1, MERGED, 3, T + 60, languages(schema, "pt", "fr")]
    yield Step("the old one makes one of both sides", OLD, [[MUTATE, 9, [REOPEN, 1]], [MUTATE, 10, both]])
    yield Step("the present one decides for what was not written", NEW, [[MUTATE, 8, [RESOLVE, 3, MINE, 1, T + 70]]])


def _look(house: House, schema: int) -> Iterator[Step]:
    for who in (OLD, NEW):
        yield Step("it asks for conflicts", who, [[CONFLICTS, 20, 0, False]])
        yield Step("it asks for what was kept", who, [[VERSIONS, 21, house.own, PROFILE, 1], [VERSIONS, 22, house.answers, ANSWER, 70]])
        yield Step("it asks for what was refused", who, [[UNAPPLIED, 23]])
        streams = (house.own, house.answers, house.board, house.library)
        yield Step("it takes snapshots", who, [[SNAPSHOT, 30 + at, stream] for at, stream in enumerate(streams)])
        yield Step("it reads what happened", who, [[HISTORY, 40, house.own, 0, 1], [HISTORY, 41, house.board, 9]])
    yield Step("it goes, and all of what happened comes again to one that comes back", OLD, [[BYE]])
    yield from _return(house, schema)


def _return(house: House, schema: int) -> Iterator[Step]:
    cursors = [[house.own, 0], [house.answers, 0], [house.board, 0]]
    hello: list[Any] = [HELLO, 1, house.token(house.devices[0]), house.devices[0], cursors, 0, 0, 0, 0, "old", schema]
    yield Step("it comes back with nothing", OLD, [hello])
    again = [CHANGE, house.own, PREFERENCES, 1, T + 20, quiet_hours(schema, 0, 0), 2]
    yield Step("what it sends again has the outcome that it had", OLD, [[MUTATE, 4, again]])
