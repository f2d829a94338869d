"""The rules of merging, against a simpler account of them: what the latest said, what the writer knew, and what must not vanish."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.entities import TABLE, BadFields, Declaration, Entity, Fields, Rule, Value
from protocol.merge import (
    GENERATION,
    GONE,
    NOTHING,
    PERCENT,
    Cell,
    Outcome,
    Record,
    Stamp,
    Verdict,
    Written,
    merge,
    outcome_value,
    pack_record,
    prepare,
    read_outcome,
    set_back,
    unpack_record,
    write_over,
)
from tests.protocol.samples import FIRST, LATEST, PROGRESS, fields_of, legal, present

PROFILE = TABLE[Entity.PROFILE]
DRAFT = TABLE[Entity.DRAFT]
BOOKMARK = TABLE[Entity.BOOKMARK]
ACTION = TABLE[Entity.ACTION]
CONTENT = TABLE[Entity.CONTENT]
ANSWER = TABLE[Entity.ANSWER]
PREFERENCES = TABLE[Entity.PREFERENCES]


class Sent(NamedTuple):
    """A change as somebody sent it."""

    change: Written
    stamp: Stamp


def housekeeping(declaration: Declaration) -> set[int]:
    return {field.number for field in declaration.fields if field.housekeeping}


def plain(declaration: Declaration, fields: Fields) -> Fields:
    return {number: value for number, value in fields.items() if number not in housekeeping(declaration)}


def fold(declaration: Declaration, record: Record, changes: Sequence[Sent]) -> Record:
    for sent in changes:
        record = merge(declaration, record, sent.change, sent.stamp).record
    return record


@st.composite
def written(draw: st.DrawFn, declaration: Declaration, base: int) -> Written:
    if declaration.deletable and draw(st.integers(0, 3)) == 0:
        return Written(base, {}, True)
    return Written(base, draw(fields_of(declaration)))


# Changes that did not know of each other


class Concurrent(NamedTuple):
    """Changes of different devices, all from the same version and later than it, in two orders of arrival."""

    declaration: Declaration
    start: Record
    one_way: list[Sent]
    other_way: list[Sent]


@st.composite
def concurrent(draw: st.DrawFn, declarations: list[Declaration]) -> Concurrent:
    declaration = draw(st.sampled_from(declarations))
    start = NOTHING
    if declaration.deletable or draw(st.booleans()):
        start = merge(declaration, NOTHING, Written(0, draw(fields_of(declaration))), Stamp(0, 1, 1)).record
    count = draw(st.integers(1, 5))
    changes = [Sent(draw(written(declaration, start.version)), Stamp(draw(st.integers(0, 9)), device, 1)) for device in range(2, 2 + count)]
    return Concurrent(declaration, start, draw(st.permutations(changes)), draw(st.permutations(changes)))


def latest(start: Record, changes: Sequence[Sent], declaration: Declaration) -> tuple[bool, Fields]:
    """Who said last, field by field, and whether the last who said anything deleted it. What stood before needs no clock to be replaced."""
    fields = dict(start.fields)
    gone = False
    for sent in sorted(changes, key=lambda sent: sent.stamp):
        for number, value in sent.change.fields.items():
            if number not in housekeeping(declaration):
                fields[number] = value
        if sent.change.gone or plain(declaration, sent.change.fields):
            gone = sent.change.gone
    return gone, fields


@settings(max_examples=400)
@given(concurrent(LATEST))
def test_what_did_not_know_of_each_other_leads_to_the_latest_whatever_the_order(case: Concurrent) -> None:
    gone, fields = latest(case.start, case.one_way, case.declaration)
    one = fold(case.declaration, case.start, case.one_way)
    other = fold(case.declaration, case.start, case.other_way)
    assert one.is_gone == other.is_gone == gone
    assert one.fields == other.fields
    assert plain(case.declaration, one.fields) == plain(case.declaration, fields)


@settings(max_examples=200)
@given(concurrent(LATEST), st.data())
def test_after_them_one_who_knows_all_is_written_whatever_the_clocks_say(case: Concurrent, data: st.DataObject) -> None:
    record = fold(case.declaration, case.start, case.one_way)
    change = Written(record.version, data.draw(fields_of(case.declaration)))
    verdict = merge(case.declaration, record, change, Stamp(0, 99, 1))
    assert not verdict.conflict and not verdict.theirs and not verdict.mine
    assert verdict.outcome in (Outcome.APPLIED, Outcome.DUPLICATE, Outcome.SUPERSEDED)
    if plain(case.declaration, change.fields):
        assert {number: verdict.record.fields[number] for number in change.fields} == change.fields
        assert not verdict.record.is_gone


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 9)), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_progress_is_the_highest_whatever_the_order(reached: list[tuple[int, int]], random: object) -> None:
    changes = [Sent(Written(0, {PERCENT: percent}), Stamp(at, device, 1)) for device, (percent, at) in enumerate(reached, 2)]
    shuffled = list(changes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert fold(PROGRESS, NOTHING, changes).fields == fold(PROGRESS, NOTHING, shuffled).fields == {PERCENT: max(p for p, _ in reached)}


# Any history


class Step(NamedTuple):
    """A step of a history: what was there, what came, what became of it."""

    before: Record
    sent: Sent
    verdict: Verdict


@st.composite
def histories(draw: st.DrawFn, declarations: list[Declaration]) -> tuple[Declaration, list[Step]]:
    """Up to three devices write, knowing whatever they know, with whatever clocks."""
    declaration = draw(st.sampled_from(declarations))
    record = NOTHING
    steps: list[Step] = []
    for number in range(1, draw(st.integers(1, 8)) + 1):
        base = draw(st.integers(0, record.version + 1))
        sent = Sent(draw(written(declaration, base)), Stamp(draw(st.integers(0, 9)), draw(st.integers(1, 3)), number))
        verdict = merge(declaration, record, sent.change, sent.stamp)
        steps.append(Step(record, sent, verdict))
        record = verdict.record
    return declaration, steps


class Told(NamedTuple):
    """What this account remembers of a value: where it stands, since when, and whose it is."""

    value: Value
    version: int
    device: int


def known(step: Step, told: Told) -> bool:
    """Whether the writer had seen it: a base of another history saw nothing of this one."""
    seen = step.sent.change.base if step.sent.change.base <= step.before.version else 0
    return told.version <= seen or told.device == step.sent.stamp.device


@settings(max_examples=600)
@given(histories([*LATEST, *FIRST]))
def test_no_value_vanishes(case: tuple[Declaration, list[Step]]) -> None:
    declaration, steps = case
    stands: dict[int, Told] = {}
    for step in steps:
        change, verdict, after = step.sent.change, step.verdict, step.verdict.record
        kept_whole = verdict.attempt or declaration.rule in (Rule.SERVER, Rule.MANUAL)
        for number, value in plain(declaration, change.fields).items():
            if after.is_gone or after.fields.get(number) != value:
                assert verdict.attempt or verdict.mine.get(number) == value, (number, verdict)
        for number, told in list(stands.items()):
            lost = after.fields.get(number) != told.value or (after.is_gone and not step.before.is_gone)
            if lost and not known(step, told):
                assert kept_whole or verdict.theirs.get(number) == told.value, (number, verdict)
        for number, cell in after.cells.items():
            if number not in housekeeping(declaration) and (number not in stands or cell.version == after.version > step.before.version):
                if number != GONE:
                    stands[number] = Told(cell.value, cell.version, step.sent.stamp.device)


@settings(max_examples=400)
@given(histories(list(TABLE.values())))
def test_a_verdict_writes_and_counts_or_does_neither(case: tuple[Declaration, list[Step]]) -> None:
    for step in case[1]:
        before, verdict = step.before, step.verdict
        if verdict.told is None:
            assert verdict.record is before
        else:
            assert verdict.record.version == before.version + 1
            assert max(cell.version for cell in verdict.record.cells.values()) == verdict.record.version
            assert verdict.told == ({} if verdict.record.is_gone else {n: verdict.record.fields[n] for n in verdict.told})
        if verdict.outcome in (Outcome.DUPLICATE, Outcome.REVIEW):
            assert verdict.told is None
        if verdict.outcome in (Outcome.APPLIED, Outcome.MERGED):
            assert verdict.told is not None
        if verdict.outcome is Outcome.APPLIED:
            assert not verdict.conflict and not verdict.theirs and not verdict.mine


@settings(max_examples=400)
@given(histories(list(TABLE.values())))
def test_readers_who_apply_what_they_are_told_have_the_record(case: tuple[Declaration, list[Step]]) -> None:
    held: Fields = {}
    for step in case[1]:
        verdict = step.verdict
        if verdict.told is not None:
            held = {} if verdict.record.is_gone else {**held, **verdict.told}
        assert held == ({} if verdict.record.is_gone else verdict.record.fields)


@settings(max_examples=400)
@given(histories(FIRST))
def test_what_was_there_first_stays_where_the_writer_did_not_know_it(case: tuple[Declaration, list[Step]]) -> None:
    declaration, steps = case
    for step in steps:
        verdict = step.verdict
        if verdict.conflict:
            assert verdict.outcome is (Outcome.REVIEW if declaration.rule is Rule.MANUAL else Outcome.SUPERSEDED)
            assert plain(declaration, verdict.record.fields) == plain(declaration, step.before.fields)
            assert verdict.record.is_gone == step.before.is_gone
            assert verdict.mine == step.sent.change.fields


@settings(max_examples=200)
@given(st.sampled_from([*LATEST, *FIRST]), st.data())
def test_a_devices_own_later_change_never_conflicts_with_its_earlier_ones(declaration: Declaration, data: st.DataObject) -> None:
    record, expected = NOTHING, {}
    for number in range(1, data.draw(st.integers(2, 6)) + 1):
        fields = data.draw(fields_of(declaration))
        verdict = merge(declaration, record, Written(0, fields), Stamp(data.draw(st.integers(0, 9)), 7, number))
        record, expected = verdict.record, {**expected, **fields}
        assert not verdict.conflict and not verdict.theirs and not verdict.mine
        assert record.fields == expected


def test_a_device_that_replaced_a_value_of_a_clock_ahead_does_not_lose_its_next_one_to_it() -> None:
    ahead = merge(PROFILE, NOTHING, Written(0, {1: "ahead"}), Stamp(100, 1, 1)).record
    knowing = merge(PROFILE, ahead, Written(1, {1: "knowing"}), Stamp(50, 2, 1)).record
    again = merge(PROFILE, knowing, Written(1, {1: "again"}), Stamp(51, 2, 2))
    assert (again.outcome, again.record.fields, again.conflict) == (Outcome.APPLIED, {1: "again"}, False)


@settings(max_examples=200)
@given(st.sampled_from([one for one in TABLE.values() if any(field.housekeeping for field in one.fields)]), st.data())
def test_housekeeping_never_conflicts_nor_makes_others_conflict(declaration: Declaration, data: st.DataObject) -> None:
    start = merge(declaration, NOTHING, Written(0, data.draw(fields_of(declaration))), Stamp(5, 1, 1)).record
    change = Sent(data.draw(written(declaration, start.version)), Stamp(data.draw(st.integers(0, 9)), 2, 1))
    alone = merge(declaration, start, change.change, change.stamp)
    [only] = [field for field in declaration.fields if field.housekeeping]
    tidying = Sent(
        Written(data.draw(st.integers(0, 1)), {only.number: data.draw(st.integers(0, 9))}), Stamp(data.draw(st.integers(0, 9)), 3, 1)
    )
    tidied = merge(declaration, start, tidying.change, tidying.stamp)
    assert not tidied.conflict and not tidied.mine and not tidied.theirs
    beside = merge(declaration, tidied.record, change.change, change.stamp)
    assert (beside.conflict, beside.mine, beside.theirs) == (alone.conflict, alone.mine, alone.theirs)
    later = merge(declaration, alone.record, tidying.change, tidying.stamp)
    assert not later.conflict and not later.mine and not later.theirs
    assert later.record.is_gone == alone.record.is_gone
    assert plain(declaration, later.record.fields) == plain(declaration, alone.record.fields)


# Progress


@settings(max_examples=300)
@given(st.data())
def test_progress_never_falls_within_a_generation_and_is_the_highest_that_was_reached_in_it(data: st.DataObject) -> None:
    record, highest, generation = NOTHING, 0, 0
    for number in range(1, data.draw(st.integers(1, 10)) + 1):
        stamp = Stamp(data.draw(st.integers(0, 9)), data.draw(st.integers(1, 3)), number)
        percent = data.draw(st.integers(0, 100))
        if data.draw(st.integers(0, 4)) == 0:
            verdict = set_back(record, percent, stamp)
            before = {n: record.fields[n] for n in (PERCENT, GENERATION) if n in record.fields}
            assert verdict.theirs == before
            generation, highest = generation + 1, percent
        else:
            of = data.draw(st.integers(0, generation + 1))
            change = Written(data.draw(st.integers(0, record.version)), {PERCENT: percent, GENERATION: of})
            if of > generation:
                with pytest.raises(BadFields, match="only staff begin a new one"):
                    merge(PROGRESS, record, change, stamp)
                continue
            verdict = merge(PROGRESS, record, change, stamp)
            if of == generation:
                highest = max(highest, percent)
            else:
                assert (verdict.outcome, verdict.mine) == (Outcome.SUPERSEDED, change.fields)
            assert not verdict.conflict
        record = verdict.record
        assert record.fields.get(GENERATION, 0) == generation
        assert record.fields.get(PERCENT, 0) == highest


def test_progress_without_a_generation_is_of_the_one_that_its_writer_knew() -> None:
    record = set_back(merge(PROGRESS, NOTHING, Written(0, {PERCENT: 100}), Stamp(1, 1, 1)).record, 10, Stamp(2, 9, 1)).record
    assert merge(PROGRESS, record, Written(1, {PERCENT: 100}), Stamp(3, 1, 2)).outcome is Outcome.SUPERSEDED
    assert merge(PROGRESS, record, Written(2, {PERCENT: 20}), Stamp(3, 1, 2)).record.fields[PERCENT] == 20


@pytest.mark.parametrize(
    ("percent", "outcome"), [(50, Outcome.DUPLICATE), (40, Outcome.SUPERSEDED), (60, Outcome.APPLIED)], ids=["equal", "lower", "higher"]
)
def test_what_became_of_progress(percent: int, outcome: Outcome) -> None:
    record = merge(PROGRESS, NOTHING, Written(0, {PERCENT: 50}), Stamp(1, 1, 1)).record
    assert merge(PROGRESS, record, Written(1, {PERCENT: percent}), Stamp(9, 2, 1)).outcome is outcome


def test_overtaking_progress_that_one_did_not_know_is_a_merge() -> None:
    record = merge(PROGRESS, NOTHING, Written(0, {PERCENT: 50}), Stamp(1, 1, 1)).record
    assert merge(PROGRESS, record, Written(0, {PERCENT: 60}), Stamp(1, 2, 1)).outcome is Outcome.MERGED


# Deleting, and writing again


def draft(fields: Fields, at: int = 1) -> Record:
    return merge(DRAFT, NOTHING, Written(0, fields), Stamp(at, 1, 1)).record


def test_a_deletion_of_what_one_knew_is_applied() -> None:
    verdict = merge(DRAFT, draft({3: "x"}), Written(1, {}, True), Stamp(0, 2, 1))
    assert (verdict.outcome, verdict.told, verdict.conflict) == (Outcome.APPLIED, {}, False)
    assert verdict.record.is_gone


@pytest.mark.parametrize("delete_first", [True, False])
@pytest.mark.parametrize("deleted_at", [20, 30])
def test_a_deletion_and_an_edit_that_did_not_know_of_each_other_end_as_the_later_one_wills(delete_first: bool, deleted_at: int) -> None:
    edit = Sent(Written(1, {3: "edited"}), Stamp(25, 2, 1))
    deletion = Sent(Written(1, {}, True), Stamp(deleted_at, 3, 1))
    order = (deletion, edit) if delete_first else (edit, deletion)
    first = merge(DRAFT, draft({3: "x"}), *order[0])
    second = merge(DRAFT, first.record, *order[1])
    assert second.record.is_gone == (deleted_at == 30)
    if not second.record.is_gone:
        assert second.record.fields == {3: "edited"}
    if second.record.is_gone or not delete_first:
        assert second.conflict
    if second.record.is_gone:
        assert "edited" in (second.mine.get(3), second.theirs.get(3))


def test_one_who_knew_of_the_deletion_writes_it_again_and_all_of_it_is_told() -> None:
    gone = merge(DRAFT, draft({1: 7, 3: "x"}), Written(1, {}, True), Stamp(5, 1, 2)).record
    verdict = merge(DRAFT, gone, Written(2, {3: "again"}), Stamp(0, 2, 1))
    assert (verdict.outcome, verdict.told, verdict.record.is_gone) == (Outcome.APPLIED, {1: 7, 3: "again"}, False)


@pytest.mark.parametrize("declaration", [one for one in TABLE.values() if one.deletable], ids=lambda one: one.entity.name)
def test_deleting_what_never_was_or_is_gone_changes_nothing(declaration: Declaration) -> None:
    assert merge(declaration, NOTHING, Written(3, {}, True), Stamp(1, 1, 1)) == Verdict(Outcome.DUPLICATE, NOTHING)
    field = next(field for field in present(declaration) if not field.housekeeping)
    record = merge(declaration, NOTHING, Written(0, {field.number: legal(field.kind)[-1]}), Stamp(1, 1, 1)).record
    gone = merge(declaration, record, Written(1, {}, True), Stamp(2, 1, 2)).record
    assert merge(declaration, gone, Written(0, {}, True), Stamp(1, 2, 1)) == Verdict(Outcome.DUPLICATE, gone)


# What else may not happen, and what must


def test_a_base_beyond_the_record_knew_nothing_of_it() -> None:
    record = merge(PROFILE, NOTHING, Written(0, {1: "theirs"}), Stamp(9, 1, 1)).record
    verdict = merge(PROFILE, record, Written(7, {1: "mine"}), Stamp(5, 2, 1))
    assert (verdict.outcome, verdict.mine, verdict.record) == (Outcome.SUPERSEDED, {1: "mine"}, record)
    assert merge(CONTENT, NOTHING, Written(7, {2: "mine"}), Stamp(5, 2, 1)).outcome is Outcome.APPLIED


def test_fields_are_merged_one_by_one() -> None:
    record = merge(PROFILE, NOTHING, Written(0, {1: "old", 4: "UTC"}), Stamp(1, 1, 1)).record
    theirs = merge(PROFILE, record, Written(1, {1: "theirs", 4: "Africa/Accra"}), Stamp(20, 2, 1)).record
    between = merge(PROFILE, theirs, Written(1, {4: "Africa/Nairobi"}), Stamp(40, 2, 2)).record
    verdict = merge(PROFILE, between, Written(1, {1: "mine", 4: "Asia/Tokyo", 5: ("maths",)}), Stamp(30, 3, 1))
    assert verdict.outcome is Outcome.MERGED
    assert (verdict.theirs, verdict.mine, verdict.conflict) == ({1: "theirs"}, {4: "Asia/Tokyo"}, True)
    assert verdict.record.fields == {1: "mine", 4: "Africa/Nairobi", 5: ("maths",)}


def test_what_is_written_beside_what_one_did_not_know_is_merged_without_a_conflict() -> None:
    for declaration, one, other in ((PROFILE, {1: "a"}, {4: "UTC"}), (CONTENT, {1: "a"}, {2: "b"}), (ACTION, {1: "a"}, {4: True})):
        start = merge(declaration, NOTHING, Written(0, one), Stamp(1, 1, 1)).record
        verdict = merge(declaration, start, Written(0, other), Stamp(1, 2, 1))
        assert (verdict.outcome, verdict.conflict, verdict.record.fields) == (Outcome.MERGED, False, {**one, **other})


def test_every_attempt_is_kept_whatever_becomes_of_it() -> None:
    first = merge(ANSWER, NOTHING, Written(0, {2: (1,)}), Stamp(20, 1, 1))
    earlier = merge(ANSWER, first.record, Written(0, {2: (2,)}), Stamp(10, 2, 1))
    same = merge(ANSWER, first.record, Written(0, {2: (1,)}), Stamp(10, 2, 1))
    later = merge(ANSWER, first.record, Written(0, {2: (3,)}), Stamp(30, 2, 1))
    assert all(verdict.attempt and not verdict.conflict for verdict in (first, earlier, same, later))
    assert [v.outcome for v in (first, earlier, same, later)] == [Outcome.APPLIED, Outcome.SUPERSEDED, Outcome.DUPLICATE, Outcome.MERGED]
    assert [v.record.fields for v in (earlier, later)] == [{2: (1,)}, {2: (3,)}]


def test_quiet_hours_are_told_together() -> None:
    record = merge(PREFERENCES, NOTHING, Written(0, {4: 60, 5: 120}), Stamp(1, 1, 1)).record
    assert merge(PREFERENCES, record, Written(1, {5: 180}), Stamp(2, 1, 2)).told == {4: 60, 5: 180}


@pytest.mark.parametrize("declaration", list(TABLE.values()), ids=lambda one: one.entity.name)
def test_a_change_says_something_that_may_be_said(declaration: Declaration) -> None:
    fields: Fields = {present(declaration)[0].number: legal(present(declaration)[0].kind)[0]}
    with pytest.raises(BadFields, match="at least one field"):
        prepare(declaration, 1, 0, {}, False)
    if declaration.deletable:
        assert prepare(declaration, 1, 0, {}, True) == Written(0, {}, True)
        with pytest.raises(BadFields, match="carries no fields"):
            prepare(declaration, 1, 0, fields, True)
    else:
        with pytest.raises(BadFields, match="cannot be deleted"):
            prepare(declaration, 1, 0, {}, True)
    if declaration.single:
        with pytest.raises(BadFields, match="one record, with key 1"):
            prepare(declaration, 2, 0, fields, False)
    else:
        assert prepare(declaration, 2, 0, fields, False).fields == fields


# What a person decided


@settings(max_examples=200)
@given(histories([*LATEST, *FIRST]), st.data())
def test_what_a_person_decided_is_written_and_what_it_replaced_is_given_back(
    case: tuple[Declaration, list[Step]], data: st.DataObject
) -> None:
    declaration, steps = case
    record = steps[-1].verdict.record
    change = data.draw(written(declaration, 0))
    verdict = write_over(declaration, record, change, Stamp(0, 9, 1))
    after = verdict.record
    if change.gone:
        assert after.is_gone or not record.version
        assert verdict.theirs == ({} if record.is_gone else plain(declaration, record.fields))
    else:
        assert not after.is_gone and {number: after.fields[number] for number in change.fields} == change.fields
        replaced = {n: record.fields[n] for n, v in change.fields.items() if n in record.fields and record.fields[n] != v}
        assert verdict.theirs == plain(declaration, replaced)
    assert (verdict.told is None) == (after is record) == (verdict.outcome is Outcome.DUPLICATE)


def test_not_even_a_decision_lets_progress_fall() -> None:
    record = merge(PROGRESS, NOTHING, Written(0, {PERCENT: 50}), Stamp(1, 1, 1)).record
    assert write_over(PROGRESS, record, Written(0, {PERCENT: 40}), Stamp(9, 2, 1)).record is record


# As it is stored


@settings(max_examples=200)
@given(histories(list(TABLE.values())))
def test_a_record_comes_back_as_it_was_stored(case: tuple[Declaration, list[Step]]) -> None:
    declaration, steps = case
    record = steps[-1].verdict.record
    assert unpack_record(pack_record(record), declaration.entity) == record


@pytest.mark.parametrize(
    ("entity", "old", "new"),
    [
        (Entity.ANSWER, {1: 3, 3: "because"}, {2: (3,), 3: "because"}),
        (Entity.PROFILE, {2: "sw, en"}, {3: ("sw", "en")}),
        (Entity.PREFERENCES, {3: "22-07", 1: True}, {4: 1320, 5: 420, 1: True}),
    ],
)
def test_a_record_of_an_older_schema_is_read_as_the_present_one_with_its_versions_and_stamps(
    entity: Entity, old: Fields, new: Fields
) -> None:
    stored = Record(5, {number: Cell(value, 1 + number, Stamp(10 + number, 7, number)) for number, value in old.items()})
    read = unpack_record(pack_record(stored), entity)
    assert (read.version, read.fields) == (5, new)
    [replaced] = [number for number in old if number not in new]
    for number in new:
        was = stored.cells[number if number in old else replaced]
        assert (read.cells[number].version, read.cells[number].stamp) == (was.version, was.stamp)
    assert unpack_record(pack_record(read), entity) == read


@given(st.sampled_from(Outcome), st.integers(0, 2**53 - 1))
def test_an_outcomes_value_is_read_as_it_was_written(outcome: Outcome, n: int) -> None:
    assert read_outcome(outcome_value(outcome, n)) == (outcome, n)


def test_an_outcome_of_a_newer_server_is_read_as_one_to_look_at() -> None:
    assert [read_outcome(8 * 5 + kind) for kind in (5, 6, 7)] == [(Outcome.REVIEW, 5)] * 3
