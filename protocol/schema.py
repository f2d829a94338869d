"""The wire as a value: every struct, named value, enumeration and code, read off the types that the codec itself uses.

    protocol.frames, events, operations, values, codes ─describe─▶ Schema ─▶ docs/protocol.md, docs/protocol.json
                                                                        └──▶ tests/vectors/frames.json

Invariant: nothing here is written by hand twice. A field, a range or a sentence that is not in the types is not in the schema, so the
reference, the vectors and the types of other languages cannot drift from what the server does.
"""

from __future__ import annotations

import enum
import inspect
import re
import types
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Annotated, Any, ClassVar, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Raw, Struct

from protocol import codec, codes, entities, entity_page, events, frames, operations, permissions, values
from protocol.permissions import Needs

Side = Literal["client", "server"]


class IntShape(Struct, frozen=True, tag="int"):
    """A whole number in a range; the wire has no others."""

    minimum: int
    maximum: int


class StrShape(Struct, frozen=True, tag="str"):
    """UTF-8 text; lengths count code points (not bytes, not UTF-16 units)."""

    min_length: int
    max_length: int | None


class BoolShape(Struct, frozen=True, tag="bool"):
    """True or false."""


class BytesShape(Struct, frozen=True, tag="bytes"):
    """msgpack's `bin`; lengths count bytes."""

    min_length: int = 0
    max_length: int | None = None


class FieldsShape(Struct, frozen=True, tag="fields"):
    """A record's fields: a map from field number to value, which the table of entities describes; read in a second step."""


class NamedShape(Struct, frozen=True, tag="named"):
    """A value, enumeration or record that the schema describes under this name."""

    name: str


class ArrayShape(Struct, frozen=True, tag="array"):
    """Any number of the same, up to a bound."""

    of: Shape
    min_length: int
    max_length: int | None


class UnionShape(Struct, frozen=True, tag="union"):
    """One of the structs of a group, told apart by its tag."""

    group: Group


Shape = IntShape | StrShape | BoolShape | BytesShape | FieldsShape | NamedShape | ArrayShape | UnionShape
Group = Literal["command", "frame", "operation", "body", "record"]


class Value(Struct, frozen=True):
    """A named value: an integer, text or list with a meaning of its own."""

    name: str
    shape: Shape
    description: str


class EnumMember(Struct, frozen=True):
    """One of an enumeration's numbers."""

    name: str
    value: int


class Enumeration(Struct, frozen=True):
    """Numbers with names. `flags`: a field holds the sum of several. `open`: a number that is not listed is no error, but a newer one."""

    name: str
    flags: bool
    open: bool
    description: str
    members: tuple[EnumMember, ...]


class Field(Struct, frozen=True):
    """A place in a struct's array. `default` is what stands there when the array ends before it."""

    name: str
    shape: Shape
    required: bool
    default: Any
    description: str


class Form(Struct, frozen=True):
    """A struct: an array of its tag (records have none) and its fields in order.

    `strict`: an array longer than the fields is refused; otherwise what follows is from a newer peer, and passed over.
    `answers` are the frames that answer a command, as its description says. `needs`: what a command or operation needs; of others nothing.
    """

    name: str
    group: Group
    tag: int | None
    strict: bool
    summary: str
    description: str
    fields: tuple[Field, ...]
    answers: tuple[str, ...] = ()
    needs: Needs | None = None


class CodeRow(Struct, frozen=True):
    """A line of the table of codes."""

    name: str
    value: int
    ends_socket: bool
    then: str
    meaning: str


class Limit(Struct, frozen=True):
    """A bound that the protocol itself sets."""

    name: str
    value: int
    meaning: str


class Schema(Struct, frozen=True):
    """The whole wire."""

    version: int
    version_min: int
    limits: tuple[Limit, ...]
    values: tuple[Value, ...]
    enumerations: tuple[Enumeration, ...]
    records: tuple[Form, ...]
    commands: tuple[Form, ...]
    operations: tuple[Form, ...]
    frames: tuple[Form, ...]
    bodies: tuple[Form, ...]
    codes: tuple[CodeRow, ...]

    def forms(self) -> Iterator[Form]:
        """Every form, records first."""
        for group in (self.records, self.commands, self.operations, self.frames, self.bodies):
            yield from group

    def find_value(self, name: str) -> Value | None:
        return next((value for value in self.values if value.name == name), None)

    def find_enumeration(self, name: str) -> Enumeration | None:
        return next((enumeration for enumeration in self.enumerations if enumeration.name == name), None)

    def find_record(self, name: str) -> Form | None:
        return next((record for record in self.records if record.name == name), None)


INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1
"""What an integer without a range may be: the server never sends more than 64 bits, signed."""

_MEMBERS: Final[dict[Group, tuple[type[Struct], ...]]] = {
    "command": get_args(frames.AnyCommand),
    "operation": get_args(operations.AnyOperation),
    "frame": get_args(frames.AnyFrame),
    "body": get_args(events.AnyBody),
}
_UNIONS: Final = {
    frozenset(get_args(events.AnyBody)): UnionShape("body"),
    frozenset(get_args(operations.AnyOperation)): UnionShape("operation"),
}
_RAW: Final[dict[str, Shape]] = {
    "Mutate.operation": UnionShape("operation"),
    "PageEvent.body": UnionShape("body"),
    "Run.changes": ArrayShape(NamedShape(frames.ChangeItem.__name__), 1, frames.CHUNK_CHANGES_MAX),
}
"""What stands in fields that the codec leaves undecoded for a second step. All others are a record's fields."""
_BEHIND: Final = (frames.ChangeItem,)
"""Records that only such fields hold."""

_LIMITS: Final = (
    Limit("MESSAGE_BYTES_MAX", codec.MESSAGE_BYTES_MAX, "bytes of a message from a client; `Welcome` may allow fewer"),
    Limit("BATCH_FRAMES_MAX", frames.BATCH_FRAMES_MAX, "frames in one message, in both directions"),
    Limit("CURSORS_MAX", frames.CURSORS_MAX, "cursors in a `Hello`; follow further streams afterwards"),
    Limit("PAGE_EVENTS_MAX", frames.PAGE_EVENTS_MAX, "events in a `Page`"),
    Limit("CHUNK_CHANGES_MAX", frames.CHUNK_CHANGES_MAX, "changes in a `Chunk`, in all its runs"),
    Limit("CHUNK_BYTES_GOAL", frames.CHUNK_BYTES_GOAL, "bytes at which a client closes a `Chunk`; a longer change goes alone"),
    Limit("SNAPSHOT_BYTES_MAX", frames.SNAPSHOT_BYTES_MAX, "bytes of a `RecordPage` that `Snapshot` may ask for"),
    Limit("INHERIT_MAX", frames.INHERIT_MAX, "mutations in an `Inherit`"),
    Limit("FIELDS_MAX", entities.FIELDS_MAX, "fields of a record in one map"),
    Limit("LIST_MAX", entities.LIST_MAX, "elements of a list in a field"),
)


@cache
def describe() -> Schema:
    """Reads the schema off the types. Always the same value, in the order of tags and names."""
    forms = {group: tuple(sorted((_form(kind, group) for kind in members), key=_tag)) for group, members in _MEMBERS.items()}
    records = tuple(_form(kind, "record") for kind in sorted(_records(), key=lambda kind: kind.__name__))
    return Schema(
        version=frames.VERSION,
        version_min=frames.VERSION_MIN,
        limits=_LIMITS,
        values=tuple(_named_values()),
        enumerations=tuple(_enumerations()),
        records=records,
        commands=forms["command"],
        operations=forms["operation"],
        frames=forms["frame"],
        bodies=forms["body"],
        codes=tuple(_code_rows()),
    )


def encode_schema() -> bytes:
    """The schema as JSON, with the table of entities, for generators of other languages' types."""
    whole = {**msgspec.to_builtins(describe()), "entities": entity_page.plain()}
    return msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n"


def _tag(form: Form) -> int:
    return form.tag or 0


def _code_rows() -> Iterator[CodeRow]:
    for row in codes.TABLE.values():
        then = row.retry or row.reconnect
        assert then is not None, row.code
        yield CodeRow(row.code.name, int(row.code), row.reconnect is not None, then.value, row.meaning)


def _aliases() -> dict[Any, str]:
    """The annotated types that have a name, such as `StreamId`, by the type they stand for."""
    found: dict[Any, str] = {}
    for module in (values, operations, events, frames):
        for name, hint in vars(module).items():
            if get_origin(hint) is Annotated and not name.startswith("_"):
                assert found.get(hint, name) == name, f"{name} and {found[hint]} have the same range and description"
                found[hint] = name
    return found


def _named_values() -> Iterator[Value]:
    for hint, name in sorted(_aliases().items(), key=lambda item: item[1]):
        inner, meta = _unwrap(hint)
        yield Value(name, _shape(inner, meta, name), meta.description or "")


OPEN: Final = (
    values.SpaceKind,
    values.StreamKind,
    values.ConflictState,
    values.KeptAs,
    values.NoticeKind,
    values.ReportAbout,
    values.ReportReason,
    values.ReportState,
    values.Harm,
    values.HeldForm,
    values.HeldState,
    values.MentorshipState,
)
"""The enumerations that a newer server may have grown; beside them only `Code`."""


_ENUMERATIONS: Final[tuple[type[enum.IntEnum] | type[enum.IntFlag], ...]] = (
    values.LinkQuality,
    values.Role,
    values.Roles,
    values.SpaceKind,
    values.StreamKind,
    values.ConflictState,
    values.NoticeKind,
    values.ReportAbout,
    values.ReportReason,
    values.ReportState,
    values.Harm,
    values.HeldForm,
    values.HeldState,
    values.MentorshipState,
    values.Choice,
    values.KeptAs,
    permissions.Permission,
)


def _enumerations() -> Iterator[Enumeration]:
    for kind in _ENUMERATIONS:
        flags = issubclass(kind, enum.IntFlag)
        members = tuple(EnumMember(member.name or "", int(member)) for member in kind.__members__.values())
        yield Enumeration(kind.__name__, flags, kind in OPEN, _paragraphs(kind), members)


def _records() -> Iterable[type[Struct]]:
    """The structs without a tag that others hold."""
    waiting: list[Any] = [*(kind for members in _MEMBERS.values() for kind in members), *_BEHIND]
    seen: set[type[Struct]] = set()
    while waiting:
        hint = waiting.pop()
        if get_origin(hint) is not None or isinstance(hint, types.UnionType):
            waiting.extend(get_args(hint))
        elif isinstance(hint, type) and issubclass(hint, Struct) and hint not in seen:
            seen.add(hint)
            waiting.extend(one for one in get_type_hints(hint, include_extras=True).values() if get_origin(one) is not ClassVar)
    return [kind for kind in seen if kind.__struct_config__.tag is None]


def _form(kind: type[Struct], group: Group) -> Form:
    hints = get_type_hints(kind, include_extras=True)
    config = kind.__struct_config__
    description = _paragraphs(kind)
    fields = tuple(_field(kind, field, hints[field.name]) for field in msgspec.structs.fields(kind))
    tag = config.tag if isinstance(config.tag, int) else None
    summary = description.partition("\n")[0].strip()
    answers = tuple(_answers(description)) if group == "command" else ()
    needs: Needs | None = kind.__dict__.get("needs") if group in ("command", "operation") else None
    return Form(kind.__name__, group, tag, config.forbid_unknown_fields, summary, description, fields, answers, needs)


def _answers(description: str) -> Iterator[str]:
    """The frames named after the words "Answered by" (or "Asks for a"): so they stay one with the sentence that people read."""
    known = {kind.__name__ for kind in _MEMBERS["frame"]}
    found = re.search(r"(?:Answered by|Asks for a) (.*)", description)
    after = found.group(1) if found else ""
    for name in dict.fromkeys(re.findall(r"`(\w+)`", after)):
        if name in known:
            yield name


def _field(kind: type[Struct], field: msgspec.structs.FieldInfo, hint: Any) -> Field:
    required = field.required
    shape = _RAW.get(f"{kind.__name__}.{field.name}")
    if shape is None and hint is Raw:
        assert required or field.default == entities.NO_FIELDS, kind
        return Field(field.name, FieldsShape(), required, None if required else {}, "")
    default = None if required else msgspec.to_builtins(field.default)
    if shape is not None:
        return Field(field.name, shape, required, default, "")
    inner, meta = _unwrap(hint)
    named = _aliases().get(hint)
    if named is not None:
        return Field(field.name, NamedShape(named), required, default, "")
    return Field(field.name, _shape(inner, meta, f"{kind.__name__}.{field.name}"), required, default, meta.description or "")


def _unwrap(hint: Any) -> tuple[Any, Meta]:
    if get_origin(hint) is Annotated:
        inner, *rest = get_args(hint)
        metas = [meta for meta in rest if isinstance(meta, Meta)]
        assert len(metas) == 1, hint
        return inner, metas[0]
    return hint, Meta()


def _shape(inner: Any, meta: Meta, where: str) -> Shape:
    if inner is bool:
        return BoolShape()
    if inner is int:
        low, high = meta.ge, meta.le
        return IntShape(INT_MIN if low is None else int(low), INT_MAX if high is None else int(high))
    if inner is bytes:
        return BytesShape(meta.min_length or 0, meta.max_length)
    if inner is str:
        return StrShape(meta.min_length or 0, meta.max_length)
    if inner is codes.Code:
        return NamedShape("Code")
    if isinstance(inner, types.UnionType) or get_origin(inner) is Union:
        return _UNIONS[frozenset(get_args(inner))]
    if get_origin(inner) is tuple:
        of, rest = get_args(inner)
        assert rest is Ellipsis, where
        named = _aliases().get(of)
        element, element_meta = _unwrap(of)
        shape = NamedShape(named) if named else _shape(element, element_meta, where)
        return ArrayShape(shape, meta.min_length or 0, meta.max_length)
    if isinstance(inner, type) and issubclass(inner, Struct | enum.Enum):
        return NamedShape(inner.__name__)
    raise AssertionError(f"{where}: {inner!r} has no place on the wire")


def _paragraphs(kind: type) -> str:
    """A docstring with its lines joined, paragraphs kept."""
    text = inspect.cleandoc(kind.__doc__ or "")
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))
