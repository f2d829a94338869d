"""Records in the words of a command line: entities by name, `field=value` in, values out.

    "interests=chess, bread" ─parse_fields─▶ {5: ("chess", "bread")} ─show_fields─▶ interests: chess, bread

Invariant: what is shown of a value can be typed again and gives the same value, but for text that begins with @ or has a comma in a list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from client.errors import ClientError
from protocol.entities import TABLE, Declaration, Field, FieldKind, Fields, Several, Value, Whole, Words, YesNo

YES = ("yes", "true", "on")
NO = ("no", "false", "off")


class Mistake(ClientError):
    """A command that cannot be done as it was typed; the text says what to type."""


def entity_named(name: str) -> Declaration:
    """An entity by its name or number. Raises `Mistake`."""
    for number, declaration in TABLE.items():
        if name.lower() in (declaration.entity.name.lower(), str(number)):
            return declaration
    raise Mistake(f"There is no kind of record “{name}”. There are: {', '.join(one.entity.name.lower() for one in TABLE.values())}.")


def entity_name(entity: int) -> str:
    """What to call an entity, also one that this client does not know."""
    declaration = TABLE.get(entity)
    return declaration.entity.name.lower() if declaration is not None else f"entity {entity}"


def field_named(declaration: Declaration, name: str) -> Field:
    """A field by its name or number. Raises `Mistake`."""
    fields = [field for field in declaration.fields if not field.until]
    for field in fields:
        if name.lower() in (field.name, str(field.number)):
            return field
    known = ", ".join(field.name for field in fields)
    raise Mistake(f"{declaration.entity.name.capitalize()} has no field “{name}”. It has: {known}.")


def parse_fields(declaration: Declaration, typed: Sequence[str]) -> Fields:
    """Fields typed as `name=value`; `name=@FILE` takes what is in the file. Raises `Mistake`; bounds are checked by whoever takes them."""
    fields: Fields = {}
    for one in typed:
        name, equals, text = one.partition("=")
        if not equals:
            raise Mistake(f"“{one}” is no field: type name=value, or name=@FILE for what is in a file.")
        field = field_named(declaration, name.strip())
        if text.startswith("@"):
            text = read_text(text[1:])
        fields[field.number] = parse_value(field.name, field.kind, text)
    return fields


def read_text(path: str) -> str:
    """What is in a text file, without the end of its last line: editors put one there whoever wrote the text. Raises `Mistake`."""
    try:
        return Path(path).read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Mistake(f"The file {path} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}.") from None


def write_text(path: str, text: str) -> None:
    """Writes a text file that `read_text` reads the same. Raises `Mistake`."""
    try:
        Path(path).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise Mistake(f"The file {path} cannot be written: {error.strerror}.") from None


def parse_value(name: str, kind: FieldKind, text: str) -> Value:
    """One value. Raises `Mistake`."""
    match kind:
        case Words():
            return text
        case YesNo():
            if text.lower() not in YES + NO:
                raise Mistake(f"{name} is yes or no, not “{text}”.")
            return text.lower() in YES
        case Whole():
            return _whole(name, text)
        case Several(of):
            parts = [part.strip() for part in text.split(",") if part.strip()]
            return tuple(_whole(name, part) for part in parts) if isinstance(of, Whole) else tuple(parts)


def _whole(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Mistake(f"{name} is a whole number, not “{text}”.") from None


def show_value(value: Value | None) -> str:
    """A value on one line or, for long text, on several."""
    match value:
        case None:
            return "—"
        case bool():
            return "yes" if value else "no"
        case tuple():
            return ", ".join(map(str, value))
        case _:
            return str(value)


def show_fields(entity: int, fields: Mapping[int, Value]) -> list[str]:
    """`name: value`, a line a field, further lines of a text indented."""
    declaration = TABLE.get(entity)
    lines = []
    for number, value in sorted(fields.items()):
        field = declaration.field(number) if declaration is not None else None
        lines.append(f"{field.name if field is not None else f'field {number}'}: {indented(show_value(value))}")
    return lines


def indented(text: str) -> str:
    """A text whose further lines stand two to the right."""
    return text.rstrip("\n").replace("\n", "\n  ")
