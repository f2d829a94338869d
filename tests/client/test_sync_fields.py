"""Values as they are typed and shown: what is shown can be typed again."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.sync_fields import Mistake, entity_named, field_named, parse_fields, parse_value, read_text, show_fields, show_value, write_text
from protocol.entities import TABLE, Several, Value, Whole, Words, YesNo

FIELDS = [(declaration, field) for declaration in TABLE.values() for field in declaration.fields if not field.until]


def values(kind: object) -> st.SearchStrategy[Value]:
    match kind:
        case Whole(minimum, maximum):
            return st.integers(minimum, maximum)
        case YesNo():
            return st.booleans()
        case Several(of, _):
            if isinstance(of, Whole):
                return st.lists(st.integers(0, 99), max_size=4).map(lambda numbers: tuple(numbers))
            words = st.text("abc de", min_size=1).map(str.strip).filter(bool)
            return st.lists(words, max_size=4).map(lambda several: tuple(several))
        case _:
            return st.text(max_size=20).filter(lambda text: not text.startswith("@"))


@given(st.data())
def test_what_is_shown_of_a_field_can_be_typed_and_is_the_same(data: st.DataObject) -> None:
    declaration, field = data.draw(st.sampled_from(FIELDS))
    value = data.draw(values(field.kind))
    assert parse_fields(declaration, [f"{field.name}={show_value(value)}"]) == {field.number: value}


@pytest.mark.parametrize("text", ["", "bread", "bread\n", "flour\nwater"])
def test_a_text_that_was_written_to_a_file_is_read_the_same(text: str, tmp_path: Path) -> None:
    write_text(str(tmp_path / "text.txt"), text)
    assert (tmp_path / "text.txt").read_text().endswith("\n")
    assert read_text(str(tmp_path / "text.txt")) == text


def test_entities_and_fields_are_named_by_name_or_number_and_old_fields_not_at_all() -> None:
    for number, known in TABLE.items():
        assert entity_named(known.entity.name) is entity_named(str(number)) is known
        for field in known.fields:
            if field.until:
                with pytest.raises(Mistake, match="has no field"):
                    field_named(known, field.name)
            else:
                assert field_named(known, str(field.number)) is field_named(known, field.name.upper()) is field


def test_a_file_is_taken_with_its_lines_and_an_unreadable_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("one\n=two\n", encoding="utf-8")
    (tmp_path / "noise").write_bytes(b"\xff\xfe\x00")
    assert parse_fields(entity_named("content"), [f"text=@{tmp_path / 'text'}"]) == {2: "one\n=two"}
    with pytest.raises(Mistake, match="it is no text"):
        parse_fields(entity_named("content"), [f"text=@{tmp_path / 'noise'}"])


def test_a_field_from_the_future_is_shown_by_its_number() -> None:
    assert show_fields(3, {1: "two\nlines", 99: True}) == ["about: two\n  lines", "field 99: yes"]
    assert show_fields(200, {1: 7}) == ["field 1: 7"]
    assert parse_value("x", Words(10), "") == ""
