"""The words in which entities are declared: what a record is, what a field holds, and by which rule two changes meet.

    Entity, Rule ─╮
    Field, kinds ─┴▶ Declaration ─▶ entities.TABLE          learning.LEARNING ─▶ its second half

Invariant: nothing here knows any entity but by its number.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Final

from msgspec import Struct

from protocol.permissions import Permission
from protocol.values import Roles, StreamKind

Value = int | str | bool | tuple[int | str, ...]
Fields = dict[int, Value]

COVER: Final = "▒▒▒"
"""What stands for words that were hidden, until they come back or somebody writes others."""


class Entity(IntEnum):
    """What a record is. A reader passes over an entity that it does not know."""

    PROGRESS = 1
    ANSWER = 2
    PROFILE = 3
    PREFERENCES = 4
    BOOKMARK = 5
    DRAFT = 6
    ACTION = 7
    CONTENT = 8
    SUBJECT = 9
    COURSE = 10
    LESSON = 11
    PATH = 12
    QUESTION = 13
    DRAFT_QUESTION = 14
    ANSWER_KEY = 15
    ENROLMENT = 16
    CARD = 17
    NEXT = 18
    INSIGHT = 19
    GRADE = 20
    MENTORING = 21
    LEARNING = 22
    GOAL = 23
    MEETING = 24


class Rule(Enum):
    """What becomes of two changes that did not know of each other. The reasons stand in docs/sync.md."""

    ADVANCE = "advance"
    """The higher value stays, within a generation; staff may begin a new generation lower."""
    LATEST = "latest"
    """The later one wins, field by field, by bounded time."""
    ATTEMPTS = "attempts"
    """Every change is kept as an attempt; the later one is the current one, by bounded time."""
    SERVER = "server"
    """What was there first stays; who lost is told why."""
    MANUAL = "manual"
    """A person decides; until then the server's value stays, and the other waits beside it."""


class Whole(Struct, frozen=True, tag="whole"):
    """A whole number in a range."""

    minimum: int
    maximum: int


class Words(Struct, frozen=True, tag="words"):
    """Text; lengths count code points."""

    max_length: int


class YesNo(Struct, frozen=True, tag="yes-no"):
    """True or false."""


class Several(Struct, frozen=True, tag="several"):
    """A list."""

    of: Whole | Words
    max_length: int


FieldKind = Whole | Words | YesNo | Several


class Refers(Enum):
    """What a whole number, or each of a list, names that is not the record's own: it is another one in another installation."""

    NOTHING = "nothing"
    USER = "user"
    STREAM = "stream"
    SPACE = "space"
    KEY = "key"
    """Another record of the same community, by its key: this one stays as it is wherever the community goes."""


class Field(Struct, frozen=True):
    """One field. `since` and `until` are the first and last schema that use it (0: the present one).

    `housekeeping`: silently the latest, never a conflict, never kept when it loses. `refers`: what its value names. `compared`: words that
    something goes by, such as accepted answers or a language's tag; they are never covered.
    """

    number: int
    name: str
    kind: FieldKind
    about: str
    housekeeping: bool = False
    since: int = 1
    until: int = 0
    refers: Refers = Refers.NOTHING
    compared: bool = False


class Declaration(Struct, frozen=True):
    """One entity. `writers`: the roles, in the space of its stream, that may change it (none: the server alone). `key`: what its keys
    are."""

    entity: Entity
    about: str
    stream: StreamKind
    rule: Rule
    key: str
    fields: tuple[Field, ...]
    writers: Roles = Roles.OWNER
    deletable: bool = False
    single: bool = False
    """There is one a stream, with key 1."""
    since: int = 1
    permission: Permission | None = None
    """Which lets somebody write it whose base role does not, if a custom role gives it to them."""

    def field(self, number: int) -> Field | None:
        return next((field for field in self.fields if field.number == number), None)
