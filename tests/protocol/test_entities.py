"""The table of entities: every field of every entity at its bounds, every cast there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.entities import (
    CASTS,
    FIELDS_MAX,
    LIST_MAX,
    PRIORITIES,
    RECORD_KINDS,
    SCHEMA,
    SCHEMA_MIN,
    TABLE,
    BadFields,
    Cast,
    Declaration,
    Entity,
    Field,
    Fields,
    Several,
    Value,
    bring_up,
    check,
    downcast,
    read_fields,
    upcast,
    with_siblings,
    write_fields,
)
from protocol.merge import NOTHING, Rule, Stamp, merge, prepare
from protocol.values import Roles, StreamKind
from tests.protocol.samples import fields_of, illegal, legal, present, values_of

EVERY = [(declaration, field) for declaration in TABLE.values() for field in present(declaration)]
REPLACED = [(declaration, field) for declaration in TABLE.values() for field in declaration.fields if field.until]


def name_of(value: object) -> str:
    match value:
        case Declaration(entity=entity):
            return entity.name.lower()
        case Field(name=name):
            return name
        case Cast(entity=entity, since=since):
            return f"{entity.name.lower()}-{since}"
    return ""


every_field = pytest.mark.parametrize(("declaration", "field"), EVERY, ids=name_of)
every_cast = pytest.mark.parametrize("cast", CASTS, ids=name_of)


# Every entity, every field, every bound


@every_field
def test_a_field_at_its_bounds_is_written_and_read_back(declaration: Declaration, field: Field) -> None:
    for value in legal(field.kind):
        written = prepare(declaration, 1, 0, read_fields(write_fields({field.number: value})), False)
        assert written.fields == {field.number: value}
        if (declaration.rule, field.name) != (Rule.ADVANCE, "generation"):
            assert merge(declaration, NOTHING, written, Stamp(1, 1, 1)).record.fields == {field.number: value}


@every_field
def test_a_field_beyond_its_bounds_is_refused_by_name(declaration: Declaration, field: Field) -> None:
    for value in illegal(field.kind):
        with pytest.raises(BadFields, match=rf"field {field.number} \({field.name}\): "):
            prepare(declaration, 1, 0, {field.number: value}, False)


@pytest.mark.parametrize("declaration", list(TABLE.values()), ids=name_of)
@pytest.mark.parametrize("number", [-1, 0, 99, 2**63])
def test_a_field_that_nobody_knows_is_refused_and_the_known_ones_are_named(declaration: Declaration, number: int) -> None:
    with pytest.raises(BadFields, match=f"has no field {number}; it has {present(declaration)[0].number} {present(declaration)[0].name}"):
        prepare(declaration, 1, 0, {number: 1}, False)


@given(st.sampled_from(list(TABLE.values())), st.data())
def test_equal_fields_have_equal_bytes(declaration: Declaration, data: st.DataObject) -> None:
    fields = data.draw(fields_of(declaration))
    assert write_fields(dict(reversed(fields.items()))) == write_fields(fields)
    assert read_fields(write_fields(fields)) == fields


# The table itself


@pytest.mark.parametrize("declaration", list(TABLE.values()), ids=name_of)
def test_a_declaration_can_be_kept(declaration: Declaration) -> None:
    numbers = [field.number for field in declaration.fields]
    assert numbers == list(range(1, len(numbers) + 1)), "numbers are given in order, and never again"
    assert len(numbers) <= FIELDS_MAX
    assert all(field.kind.max_length <= LIST_MAX for field in declaration.fields if isinstance(field.kind, Several))
    assert declaration.stream in RECORD_KINDS
    if declaration.stream is not StreamKind.MENTORSHIP:
        assert declaration.writers & Roles.OWNER or (not declaration.writers and declaration.rule is Rule.SERVER)
    assert all(1 <= field.since <= SCHEMA and (not field.until or field.since <= field.until < SCHEMA) for field in declaration.fields)
    assert not declaration.single or declaration.key == "always 1"


def test_every_entity_has_its_line_and_every_kind_of_stream_that_devices_keep_its_priority() -> None:
    assert set(TABLE) == set(Entity)
    assert set(PRIORITIES) == set(StreamKind) - {StreamKind.OTHER, StreamKind.DOCUMENT, StreamKind.REVIEW, StreamKind.CONTROL}
    assert {declaration.stream for declaration in TABLE.values()} == RECORD_KINDS


@every_cast
def test_a_cast_takes_away_just_the_fields_that_end_and_gives_just_those_that_begin(cast: Cast) -> None:
    declaration = TABLE[cast.entity]
    assert {field.number for field in declaration.fields if field.until == cast.since - 1} == set(cast.old)
    assert {field.number for field in declaration.fields if field.since == cast.since} == set(cast.new)
    assert declaration.since < cast.since


def test_every_field_that_ended_has_its_cast_and_casts_stand_in_order() -> None:
    assert {(d.entity, f.number) for d, f in REPLACED} == {(cast.entity, number) for cast in CASTS for number in cast.old}
    assert [cast.since for cast in CASTS] == sorted(cast.since for cast in CASTS)


# Old schemas


def old_values(declaration: Declaration, field: Field) -> st.SearchStrategy[Value]:
    if (declaration.entity, field.name) == (Entity.PREFERENCES, "quiet_text"):
        hours = st.integers(0, 23)
        return st.one_of(st.just(""), st.tuples(hours, hours).filter(lambda h: h[0] != h[1]).map(lambda h: f"{h[0]:02}-{h[1]:02}"))
    if (declaration.entity, field.name) == (Entity.PROFILE, "languages_text"):
        return st.lists(st.sampled_from(["sw", "en", "pt-BR"]), max_size=3).map(", ".join)
    return values_of(field.kind)


@st.composite
def old_fields(draw: st.DrawFn, declaration: Declaration, schema: int) -> Fields:
    """What a client of an older schema may write."""
    known = [field for field in declaration.fields if field.since <= schema and (not field.until or schema <= field.until)]
    chosen = draw(st.lists(st.sampled_from(known), min_size=1, unique_by=lambda field: field.number))
    return {field.number: draw(old_values(declaration, field)) for field in chosen}


@given(st.sampled_from(list(TABLE.values())), st.integers(1, SCHEMA), st.data())
def test_what_an_old_client_writes_it_reads_again_and_a_present_one_reads_it_in_its_own_fields(
    declaration: Declaration, schema: int, data: st.DataObject
) -> None:
    if declaration.since > schema:
        assert downcast(declaration.entity, {1: "x"}, schema) is None
        return
    fields = data.draw(old_fields(declaration, schema))
    brought = bring_up(declaration, fields)
    check(declaration, brought)
    assert upcast(declaration.entity, brought) == brought
    assert downcast(declaration.entity, brought, schema) == fields


@given(st.sampled_from(list(TABLE.values())), st.integers(SCHEMA_MIN, SCHEMA), st.data())
def test_an_old_client_is_told_only_fields_that_its_schema_has(declaration: Declaration, schema: int, data: st.DataObject) -> None:
    told = downcast(declaration.entity, data.draw(fields_of(declaration)), schema)
    if told is not None:
        for number in told:
            field = declaration.field(number)
            assert field is not None and field.since <= schema and (not field.until or schema <= field.until)


@pytest.mark.parametrize(
    ("entity", "schema", "old", "new"),
    [
        (Entity.ANSWER, 1, {1: 3}, {2: (3,)}),
        (Entity.PROFILE, 2, {2: "sw, en"}, {3: ("sw", "en")}),
        (Entity.PREFERENCES, 3, {3: "22-07"}, {4: 1320, 5: 420}),
        (Entity.PREFERENCES, 3, {3: ""}, {4: 0, 5: 0}),
    ],
)
def test_each_side_of_a_cast_reads_the_other(entity: Entity, schema: int, old: Fields, new: Fields) -> None:
    assert upcast(entity, old) == new
    assert downcast(entity, new, schema) == old
    assert downcast(entity, new, schema + 1) == new


def test_of_several_choices_an_old_client_sees_the_first_and_of_half_hours_the_hour() -> None:
    assert downcast(Entity.ANSWER, {2: (5, 7)}, 1) == {1: 5}
    assert downcast(Entity.PREFERENCES, {4: 1350, 5: 450}, 3) == {3: "22-07"}


def test_what_is_present_already_wins_over_what_an_older_field_would_become() -> None:
    assert upcast(Entity.ANSWER, {1: 3, 2: (4,)}) == {2: (4,)}


@pytest.mark.parametrize(
    ("entity", "fields"),
    [
        (Entity.ANSWER, {1: 100}),
        (Entity.ANSWER, {1: "3"}),
        (Entity.PROFILE, {2: "x" * 201}),
        (Entity.PROFILE, {2: 1}),
        (Entity.PROFILE, {2: ", ".join(["sw"] * 11)}),
        (Entity.PROFILE, {2: "a little of everything that people say here"}),
        (Entity.PREFERENCES, {3: "late"}),
        (Entity.PREFERENCES, {3: "22-07 "}),
        (Entity.PREFERENCES, {3: "-"}),
        (Entity.PREFERENCES, {3: "late", 1: True}),
    ],
)
def test_an_older_field_that_means_nothing_now_is_refused_and_does_not_vanish(entity: Entity, fields: Fields) -> None:
    with pytest.raises(BadFields, match=r"field \d"):
        prepare(TABLE[entity], 1, 0, fields, False)


def test_a_field_that_an_old_client_has_in_one_is_told_whole() -> None:
    assert with_siblings(Entity.PREFERENCES, {4: 60}, {4: 60, 5: 120, 1: True}) == {4: 60, 5: 120}
    assert with_siblings(Entity.PREFERENCES, {1: True}, {4: 60, 5: 120, 1: True}) == {1: True}
