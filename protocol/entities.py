"""What devices keep and change offline: every entity with its fields and its rule, in one table.

    TABLE ─▶ check (server, client)   ─▶ docs/entities.md   ─▶ types of other languages   ─▶ tests of every rule and bound
          ─▶ merge (protocol/merge.py)

A record is named by its stream, its entity and its key; it holds some of the entity's fields. On the wire fields are a map from field
number to value, and **a field's number never changes its meaning**: what means something else gets a new number, and a cast says how one
becomes the other. So a stored change needs no version of its own: it says what it is by the numbers it uses.

Invariant: `upcast` of what any schema wrote gives fields of the present one, and again the same; whoever reads applies it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw, Struct

from protocol.declaring import COVER as COVER
from protocol.declaring import Declaration as Declaration
from protocol.declaring import Entity as Entity
from protocol.declaring import Field as Field
from protocol.declaring import FieldKind as FieldKind
from protocol.declaring import Fields as Fields
from protocol.declaring import Refers as Refers
from protocol.declaring import Rule as Rule
from protocol.declaring import Several as Several
from protocol.declaring import Value as Value
from protocol.declaring import Whole as Whole
from protocol.declaring import Words as Words
from protocol.declaring import YesNo as YesNo
from protocol.learning import LEARNING
from protocol.learning import STYLES as STYLES
from protocol.permissions import Permission
from protocol.values import ID_MAX, Roles, StreamKind

SCHEMA: Final = 5
"""The present schema. A client says in `Hello` which one it was built for; one that does not say so counts as of the oldest that is
understood."""
SCHEMA_MIN: Final = 2
"""The oldest that is still understood: three before the present one."""
NO_FIELDS: Final = Raw(b"\x80")
FIELDS_MAX: Final = 32
LIST_MAX: Final = 32
"""What a map of fields and a list in it may hold before anybody looks at what it says: it bounds what reading them costs."""


class Priority(IntEnum):
    """In which order devices bring their streams up to date, and give them up last."""

    INBOX = 0
    PROGRESS = 1
    ANSWERS = 2
    PROFILE = 3
    COMMUNITY = 4
    CONTENT = 5
    ATTACHMENTS = 6


PRIORITIES: Final[Mapping[StreamKind, Priority]] = {
    StreamKind.INBOX: Priority.INBOX,
    StreamKind.PROGRESS: Priority.PROGRESS,
    StreamKind.ANSWERS: Priority.ANSWERS,
    StreamKind.OWN: Priority.PROFILE,
    StreamKind.COMMUNITY: Priority.COMMUNITY,
    StreamKind.CHANNEL: Priority.COMMUNITY,
    StreamKind.CONVERSATION: Priority.COMMUNITY,
    StreamKind.BOARD: Priority.COMMUNITY,
    StreamKind.MENTORSHIP: Priority.COMMUNITY,
    StreamKind.LIBRARY: Priority.CONTENT,
    StreamKind.STUDIO: Priority.CONTENT,
}
SHARED_KINDS: Final = frozenset({StreamKind.BOARD, StreamKind.LIBRARY, StreamKind.STUDIO, StreamKind.MENTORSHIP})
"""The kinds of streams whose records several people write, and decide about."""
RECORD_KINDS: Final = SHARED_KINDS | {StreamKind.PROGRESS, StreamKind.ANSWERS, StreamKind.OWN}
"""The kinds of streams that hold records, and nothing else."""


_ID = Whole(0, ID_MAX)
_SECONDS = Whole(0, 2**40)
_ORDER = Whole(0, 2**31 - 1)

TABLE: Final[Mapping[int, Declaration]] = {
    int(declaration.entity): declaration
    for declaration in (
        Declaration(
            Entity.PROGRESS,
            "How far a learner has come in a lesson. It only ever advances; staff may begin a new generation.",
            StreamKind.PROGRESS,
            Rule.ADVANCE,
            "the lesson",
            (
                Field(1, "percent", Whole(0, 100), "how much of the lesson is done"),
                Field(2, "generation", Whole(0, 2**31 - 1), "which count this belongs to: raised when staff set it back"),
                Field(3, "place", _ORDER, "where in the lesson the learner is", housekeeping=True),
            ),
        ),
        Declaration(
            Entity.ANSWER,
            "A learner's answer to a checkpoint question. Every attempt is kept.",
            StreamKind.ANSWERS,
            Rule.ATTEMPTS,
            "the question",
            (
                Field(1, "choice", Whole(0, 99), "the choice", until=1),
                Field(2, "choices", Several(Whole(0, 99), 20), "the choices", since=2),
                Field(3, "text", Words(2000), "what was written"),
                Field(4, "seconds", Whole(0, 2**20), "how long it took", housekeeping=True),
                Field(5, "rating", Whole(0, 4), "how well it was known: 1 wrong, 2 hard, 3 good, 4 easy; 0: no review", since=5),
            ),
        ),
        Declaration(
            Entity.PROFILE,
            "What a person says about themselves.",
            StreamKind.OWN,
            Rule.LATEST,
            "always 1",
            (
                Field(1, "about", Words(500), "in their own words"),
                Field(2, "languages_text", Words(200), "languages, separated by commas", until=2, compared=True),
                Field(3, "languages", Several(Words(35), 10), "language tags, best first", since=3, compared=True),
                Field(4, "time_zone", Words(64), "an IANA time zone", compared=True),
                Field(5, "interests", Several(Words(40), 20), "what they like to learn"),
            ),
            single=True,
        ),
        Declaration(
            Entity.PREFERENCES,
            "How a person likes the app to be.",
            StreamKind.OWN,
            Rule.LATEST,
            "always 1",
            (
                Field(1, "text_only", YesNo(), "no images, ever"),
                Field(2, "language", Words(35), "the language of the app", compared=True),
                Field(3, "quiet_text", Words(5), 'quiet hours, such as "22-07"; "": none', until=3, compared=True),
                Field(4, "quiet_from", Whole(0, 1439), "quiet hours begin, in minutes after midnight", since=4),
                Field(5, "quiet_to", Whole(0, 1439), "quiet hours end, in minutes after midnight; when they begin: none", since=4),
                Field(6, "data_saver", YesNo(), "as few bytes as possible"),
                Field(7, "last_tip", _ORDER, "the last hint that was shown", housekeeping=True),
            ),
            single=True,
        ),
        Declaration(
            Entity.BOOKMARK,
            "A place that a person wants to find again.",
            StreamKind.OWN,
            Rule.LATEST,
            "chosen at random by the device",
            (
                Field(1, "stream", _ID, "the stream it is in", refers=Refers.STREAM),
                Field(2, "seq", _ID, "the message, or the record's key"),
                Field(3, "note", Words(500), "why"),
                Field(4, "order", _ORDER, "its place in the list", housekeeping=True),
            ),
            deletable=True,
        ),
        Declaration(
            Entity.DRAFT,
            "Something that a person is still writing.",
            StreamKind.OWN,
            Rule.LATEST,
            "chosen at random by the device",
            (
                Field(1, "stream", _ID, "where it is to go", refers=Refers.STREAM),
                Field(2, "reply_to", _ID, "the message it answers, or 0"),
                Field(3, "text", Words(4000), "so far"),
            ),
            deletable=True,
        ),
        Declaration(
            Entity.ACTION,
            "Something that a community has decided to do.",
            StreamKind.BOARD,
            Rule.SERVER,
            "chosen at random by the device",
            (
                Field(1, "title", Words(120), "what"),
                Field(2, "detail", Words(1000), "how"),
                Field(3, "due", _SECONDS, "Unix time in seconds, or 0"),
                Field(4, "done", YesNo(), "whether it is done"),
                Field(5, "assignee", _ID, "who does it, or 0", refers=Refers.USER),
            ),
            writers=Roles.ALL,
            deletable=True,
            since=3,
        ),
        Declaration(
            Entity.CONTENT,
            "A section of a lesson or page that several people write.",
            StreamKind.LIBRARY,
            Rule.MANUAL,
            "chosen at random by the device",
            (
                Field(1, "title", Words(120), "its heading"),
                Field(2, "text", Words(4000), "what it says"),
                Field(3, "lesson", _ID, "what it is a section of, or 0"),
                Field(4, "order", _ORDER, "its place there", housekeeping=True),
                Field(5, "files", Several(Whole(1, ID_MAX), 8), "its pictures and files: uploads that are in the library", since=5),
            ),
            writers=Roles.OWNER | Roles.MODERATOR | Roles.MENTOR,
            deletable=True,
            permission=Permission.WRITE_CONTENT,
        ),
        *LEARNING,
    )
}


class BadFields(Exception):
    """Fields that the table does not allow. The text names the field and what is allowed."""


_Several = Annotated[tuple[int | str, ...], Meta(max_length=LIST_MAX)]
_READER: Final[msgspec.msgpack.Decoder[Fields]] = msgspec.msgpack.Decoder(
    Annotated[dict[int, int | str | bool | _Several], Meta(max_length=FIELDS_MAX)]
)
_WRITER: Final = msgspec.msgpack.Encoder()


def read_fields(raw: bytes | Raw) -> Fields:
    """Fields as they were sent, of whatever schema; unchecked. Raises `BadFields` for what is no map of fields."""
    try:
        return _READER.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BadFields(f"fields: a map from field number to value: {error}") from None


def write_fields(fields: Mapping[int, Value]) -> Raw:
    """The bytes of fields: ascending numbers, so that equal fields have equal bytes."""
    return Raw(_WRITER.encode(dict(sorted(fields.items()))))


def check(declaration: Declaration, fields: Mapping[int, Value]) -> None:
    """Raises `BadFields` unless these are fields of the present schema, each within its bounds."""
    for number, value in fields.items():
        field = declaration.field(number)
        if field is None or field.until:
            known = ", ".join(f"{one.number} {one.name}" for one in declaration.fields if not one.until)
            raise BadFields(f"{declaration.entity.name.lower()} has no field {number}; it has {known}")
        wrong = _wrong(field.kind, value)
        if wrong:
            raise BadFields(f"field {number} ({field.name}): {wrong}")


def _wrong(kind: FieldKind, value: Value) -> str:
    match kind:
        case Whole(minimum, maximum):
            if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
                return f"a whole number from {minimum} to {maximum}"
        case Words(max_length):
            if not isinstance(value, str) or len(value) > max_length:
                return f"text of at most {max_length} characters"
            if "\0" in value:
                return "text without U+0000"
        case YesNo():
            if not isinstance(value, bool):
                return "true or false"
        case Several(of, max_length):
            if not isinstance(value, tuple) or len(value) > max_length:
                return f"a list of at most {max_length}"
            for element in value:
                wrong = _wrong(of, element)
                if wrong:
                    return f"a list, each of it {wrong}"
    return ""


class Cast(Struct, frozen=True):
    """How fields of an older schema become those of `since`, and back. `old` and `new` are the numbers it takes away and gives."""

    entity: Entity
    since: int
    old: tuple[int, ...]
    new: tuple[int, ...]
    up: Callable[[Mapping[int, Value]], Fields]
    down: Callable[[Mapping[int, Value]], Fields]


def _choices_of(fields: Mapping[int, Value]) -> Fields:
    choice = fields[1]
    return {2: (choice,)} if isinstance(choice, int) else {}


def _choice_of(fields: Mapping[int, Value]) -> Fields:
    choices = fields[2]
    return {1: choices[0]} if isinstance(choices, tuple) and choices else {}


def _languages_of(fields: Mapping[int, Value]) -> Fields:
    text = fields[2]
    # Not cut to the bounds of today: whoever writes too many is refused, and what they wrote is kept.
    return {3: tuple(part for part in (one.strip() for one in str(text).split(",")) if part)[:LIST_MAX]}


def _languages_text_of(fields: Mapping[int, Value]) -> Fields:
    languages = fields[3]
    return {2: ", ".join(map(str, languages))[:200]} if isinstance(languages, tuple) else {}


def _quiet_hours_of(fields: Mapping[int, Value]) -> Fields:
    if fields[3] == "":
        return {4: 0, 5: 0}
    begin, _, end = str(fields[3]).partition("-")
    if not (begin.isdecimal() and end.isdecimal()):
        return {}
    return {4: int(begin) % 24 * 60, 5: int(end) % 24 * 60}


def _quiet_text_of(fields: Mapping[int, Value]) -> Fields:
    begin, end = fields.get(4), fields.get(5)
    if not isinstance(begin, int) or not isinstance(end, int):
        return {}
    return {3: "" if begin == end else f"{begin // 60:02}-{end // 60:02}"}


CASTS: Final[tuple[Cast, ...]] = (
    Cast(Entity.ANSWER, 2, (1,), (2,), _choices_of, _choice_of),
    Cast(Entity.PROFILE, 3, (2,), (3,), _languages_of, _languages_text_of),
    Cast(Entity.PREFERENCES, 4, (3,), (4, 5), _quiet_hours_of, _quiet_text_of),
)
"""In the order of the schemas that brought them."""
MADE_TOGETHER: Final = frozenset(cast.entity for cast in CASTS if len(cast.new) > 1)
"""Entities with fields that an older schema has in one."""
_REPLACED: Final = {
    declaration.entity: frozenset(field.number for field in declaration.fields if field.until) for declaration in TABLE.values()
}


def upcast(entity: int, fields: Fields) -> Fields:
    """Fields of any schema as the present one has them. What is present already wins over what an older field would become."""
    for cast in CASTS:
        if cast.entity == entity and any(number in fields for number in cast.old):
            made = cast.up(fields)
            fields = {**made, **{number: value for number, value in fields.items() if number not in cast.old}}
    return fields


def bring_up(declaration: Declaration, fields: Fields) -> Fields:
    """`upcast` of what somebody sent. Raises `BadFields` where an older field is out of its bounds, or means nothing in the present schema:
    it would vanish."""
    old = [number for number in fields if number in _REPLACED[declaration.entity]]
    if not old:
        return fields
    for number in old:
        field = declaration.field(number)
        assert field is not None, number
        wrong = _wrong(field.kind, fields[number])
        if wrong:
            raise BadFields(f"field {number} ({field.name}): {wrong}")
    brought = upcast(declaration.entity, fields)
    for cast in CASTS:
        if cast.entity == declaration.entity and any(number in old for number in cast.old) and not all(n in brought for n in cast.new):
            names = ", ".join(f"{field.number} ({field.name})" for field in declaration.fields if field.number in cast.new)
            raise BadFields(f"field {cast.old[0]}: cannot be read as {names}, which schema {cast.since} has for it")
    return brought


def downcast(entity: int, fields: Fields, schema: int) -> Fields | None:
    """Present fields as a client of an older `schema` knows them; None if it does not know the entity."""
    declaration = TABLE.get(entity)
    if declaration is None or declaration.since > schema:
        return None
    for cast in reversed(CASTS):
        if cast.entity == entity and cast.since > schema and any(number in fields for number in cast.new):
            made = cast.down(fields)
            fields = {**{number: value for number, value in fields.items() if number not in cast.new}, **made}
    if any(field.since > schema for field in declaration.fields):
        known = {field.number for field in declaration.fields if field.since <= schema}
        fields = {number: value for number, value in fields.items() if number in known}
    return fields


def with_siblings(entity: int, written: Fields, present: Mapping[int, Value]) -> Fields:
    """What is told of a change: with a field that a cast makes together with others, those others too, or an older client could not
    be told."""
    for cast in CASTS:
        if cast.entity == entity and len(cast.new) > 1 and any(number in written for number in cast.new):
            written = {**{number: present[number] for number in cast.new if number in present}, **written}
    return written
