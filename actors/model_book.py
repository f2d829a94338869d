"""The book of models: which versions there are, what each is made of, which are in use, and the rows that they live on and learn from.

    training ─ offer ─▶ candidate ─ shadow, canary ─▶ active ─▶ retired      one active a name; the one before it is what a rollback is to
    people's records ─ Page after Page ─▶ a model that must know them (`Feeds`), or that learns from them

Invariant: a version is its card, and a card names each of its files by hash: what was promoted is what is loaded, bit by bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Annotated, Final, Protocol

from msgspec import Meta, Struct

from actors.inference import Candidate, Harm

FILE_BYTES_MAX: Final = 64 * 1024 * 1024
"""One file of a version that is kept in the database."""
FILES_MAX: Final = 32
NAME: Final = r"^[a-z][a-z0-9_-]{0,39}$"
VERSION: Final = r"^[0-9a-z][0-9a-z._-]{0,39}$"
FILE_NAME: Final = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$"
"""In a version's folder, flat: a name with a slash, or with a dot before it, leads nowhere else."""
SHA256: Final = r"^[0-9a-f]{64}$"

Name = Annotated[str, Meta(pattern=NAME)]
Version = Annotated[str, Meta(pattern=VERSION)]


class CardFile(Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a version."""

    name: Annotated[str, Meta(pattern=FILE_NAME)]
    bytes: Annotated[int, Meta(ge=0)]
    sha256: Annotated[str, Meta(pattern=SHA256)]


class Training(Struct, frozen=True, forbid_unknown_fields=True):
    """One body of data that a version was trained on: where anybody finds it, and under which licence."""

    source: str
    licence: str
    rows: int = 0
    note: str = ""


class Card(Struct, frozen=True, forbid_unknown_fields=True):
    """What there is to know of one version. `card.json` in its folder."""

    name: Name
    version: Version
    kind: Name
    """Which code runs it: a name of `ml_actors.kinds.KINDS`."""
    runtime: str
    """"embedded" or "transformers"."""
    files: Annotated[tuple[CardFile, ...], Meta(max_length=FILES_MAX)]
    training: tuple[Training, ...]
    metrics: dict[str, float]
    """Held-out figures, by names that the card's reader finds in the model's own page of docs/."""
    made_at: str
    """A day, as in 2026-11-23."""
    intended: str
    limits: str
    """What it is not for, and where it is known to fail."""
    parent: str = ""
    """The version that it was made from or measured against; "": none."""
    deciding: str = ""
    """The metric by which a newer version is better; higher is better. "": it is never promoted by itself."""
    margin: float = 0.0
    """By how much, at least."""

    @property
    def title(self) -> str:
        """`moderation@3`: how a version is named in answers, metrics and logs."""
        return f"{self.name}@{self.version}"


class State(IntEnum):
    """What a version is used for. The numbers are the database's."""

    CANDIDATE = 0
    """Kept, and used for nothing."""
    SHADOW = 1
    """Asked beside the active one; what it says is compared, counted and dropped."""
    CANARY = 2
    """Answers a share of the keys."""
    ACTIVE = 3
    RETIRED = 4


class Entry(Struct, frozen=True):
    """A version in the book. `percent`: of the keys that a canary answers."""

    card: Card
    state: State
    percent: int = 0
    shipped: bool = False
    """It lies in the program's own folder; its files are not in the database."""
    changed_at: float = 0.0
    """Unix seconds; 0: as it was shipped."""


class UnknownVersion(Exception):
    """There is no such version, or it cannot be used for that. The text says what there is."""


class ModelBook(Protocol):
    """The registry's database. All may raise `StorageError`. `actor`: who does it, for the audit; 0 is whoever has the machine."""

    async def entries(self) -> list[Entry]:
        """All that are not retired, and the last retired ones of each name."""
        ...

    async def file(self, sha256: str) -> bytes | None:
        """A file's bytes, not verified."""
        ...


# Rows

Mark = tuple[int, ...]
"""Where a reader is. () is before everything; else what the page said, of whatever the query orders by."""
PAGE_ROWS_MAX: Final = 2000


class Page(Struct, frozen=True):
    """Some rows in the order of their marks. `more`: ask again at once."""

    rows: Sequence[bytes]
    mark: Mark
    more: bool


class Here(Struct, frozen=True, array_like=True, tag=1):
    """A mentor as they are now: new, or in the place of what was known."""

    candidate: Candidate


class Gone(Struct, frozen=True, array_like=True, tag=2):
    """Mentors no more."""

    user: int


FeedRow = Here | Gone
"""One row of what the matching model is fed, in msgpack. To feed one twice changes nothing."""


class Met(Struct, frozen=True, array_like=True):
    """What became of a mentor and a learner whom matching brought together: one row that its training reads, in msgpack.

    `good`: it was accepted, and both said that it went well. `group`: whatever the installation compares mentors by (their first language,
    their region); "": nothing. It is for learning fairly and for the audit, and no model that serves ever sees it.
    """

    factors: tuple[float, ...]
    """As they were when the mentor was shown, in the order of `actors.inference.FACTORS`."""
    good: bool
    score: float = 0.0
    group: str = ""


class Ruled(Struct, frozen=True, array_like=True):
    """What people decided of a text that was held, hidden or appealed: one row that moderation's training reads, in msgpack.

    `harm`: it stayed away; False: it was released. `kinds`: for what. Who wrote it and who decided are no part of it.
    """

    text: str
    harm: bool
    kinds: tuple[Harm, ...] = ()
    language: str = ""


class Drafted(Struct, frozen=True, array_like=True):
    """What a mentor did with a drafted question: one row that the questions' training reads, in msgpack. Who it was is no part of it.

    `text`: the section that it was made from, as it is now; places are in it. `taken`: accepted or edited; False: rejected.
    """

    text: str
    language: str
    form: int
    prompt: str
    answer: str
    options: tuple[str, ...]
    begin: int
    end: int
    taken: bool
    edited: bool = False


class Answered(Struct, frozen=True, array_like=True):
    """One graded answer of a learner: a row of tracing's training, in msgpack. A learner is a number that means nothing elsewhere."""

    learner: int
    skill: int
    """What it is about: the lesson's key."""
    right: bool
    at: int
    """Unix seconds."""


# Audits


class AuditLine(Struct, frozen=True):
    """One group in one comparison. `share`: how often what is compared happened to it; `expected`: how often it would have, if the model's
    score meant the same for everybody (-1: not asked)."""

    what: str
    group: str
    cases: int
    share: float
    expected: float = -1.0


class Audited(Struct, frozen=True):
    """A report. `ratio`: the lowest share of a group over the highest, among those that are large enough; 1: nothing to compare."""

    model: str
    rows: int
    lines: tuple[AuditLine, ...]
    ratio: float
    alarms: tuple[str, ...]
    """In plain words, for staff; none is good."""


class Feeds(Protocol):
    """What models must know beside their files. May raise `StorageError`."""

    async def page(self, model: str, after: Mark) -> Page:
        """What came or changed after the mark; from () on, everything. A row may come again.

        No row and the mark (), after another one: that mark is of a history that is no more. Whoever was fed until then forgets all.
        """
        ...
