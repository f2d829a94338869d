"""Legal and illegal values of every field, made from the table of entities; and changes made of them."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import strategies as st

from protocol.entities import TABLE, Declaration, Field, FieldKind, Fields, Rule, Several, Value, Whole, Words, YesNo
from protocol.merge import GENERATION

LATEST = [one for one in TABLE.values() if one.rule in (Rule.LATEST, Rule.ATTEMPTS)]
FIRST = [one for one in TABLE.values() if one.rule in (Rule.SERVER, Rule.MANUAL)]
PROGRESS = next(one for one in TABLE.values() if one.rule is Rule.ADVANCE)


def present(declaration: Declaration) -> list[Field]:
    """The fields of the present schema."""
    return [field for field in declaration.fields if not field.until]


def legal(kind: FieldKind) -> list[Value]:
    """The bounds of a field, and something between."""
    match kind:
        case Whole(minimum, maximum):
            return [minimum, (minimum + maximum) // 2, maximum]
        case Words(max_length):
            return ["", "😀é"[:max_length], "漢" * max_length]
        case YesNo():
            return [False, True]
        case Several(of, max_length):
            elements: list[int | str] = [value for value in legal(of) if isinstance(value, int | str)]
            return [(), tuple(elements[:max_length]), (elements[-1],) * max_length]


def illegal(kind: FieldKind) -> Iterator[Value]:
    """Just beyond each bound, and of every other kind."""
    match kind:
        case Whole(minimum, maximum):
            yield from (minimum - 1, maximum + 1, True, "1", (1,))
        case Words(max_length):
            yield from ("x" * (max_length + 1), "a\0b", 1, True, ("x",))
        case YesNo():
            yield from (0, 1, "true", (1,))
        case Several(of, max_length):
            good = legal(of)[0]
            assert isinstance(good, int | str)
            yield from ((good,) * (max_length + 1), "x", 1, True)
            for value in illegal(of):
                if isinstance(value, int | str):
                    yield (value,)


def values_of(kind: FieldKind) -> st.SearchStrategy[Value]:
    """Few and short ones, so that different writers often write the same."""
    match kind:
        case Whole(minimum, maximum):
            return st.sampled_from([minimum, min(minimum + 1, maximum), maximum])
        case Words():
            return st.sampled_from(["", "a", "é"])
        case YesNo():
            return st.booleans()
        case Several(of):
            return st.sampled_from([(), ("a", "b"), ("b",)] if isinstance(of, Words) else [(), (1, 2), (2,)])


@st.composite
def fields_of(draw: st.DrawFn, declaration: Declaration) -> Fields:
    """At least one field, each within its bounds. Of progress none that only staff write."""
    known = [field for field in present(declaration) if (declaration.rule, field.number) != (Rule.ADVANCE, GENERATION)]
    chosen = draw(st.lists(st.sampled_from(known), min_size=1, max_size=len(known), unique_by=lambda field: field.number))
    return {field.number: draw(values_of(field.kind)) for field in chosen}
