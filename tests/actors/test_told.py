"""What readers are told of a batch leads them to what was written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.told import BODY_BYTES_GOAL, ITEMS_MAX, Told, Where
from protocol import codec
from protocol.entities import Fields, read_fields

fields = st.dictionaries(st.integers(1, 4), st.one_of(st.integers(0, 9), st.text(max_size=600)), min_size=1, max_size=3)
writes = st.lists(st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.none() | fields), max_size=80)


@given(writes)
def test_a_reader_who_passes_over_older_versions_ends_with_what_was_written(
    written: list[tuple[int, int, int, Fields | None]],
) -> None:
    told = Told()
    expected: dict[Where, tuple[int, Fields]] = {}
    for stream, author, key, new in written:
        where = (stream, 7, key)
        version, present = expected.get(where, (0, {}))
        after = {} if new is None else {**present, **new}
        # What rises again is told whole.
        told.add(where, author, version + 1, after if new is not None and not present else new or {}, new is None)
        expected[where] = (version + 1, after)
    read: dict[Where, tuple[int, Fields]] = {}
    for event in told.events:
        assert 0 < len(event.body.records) <= ITEMS_MAX
        if len(event.items) > 1:
            assert len(codec.encode(event.body)) <= BODY_BYTES_GOAL + 8
        for item in event.body.records:
            where = (event.stream, item.entity, item.key)
            version, present = read.get(where, (0, {}))
            assert item.version > version, "in order"
            read[where] = (item.version, {} if item.gone else {**present, **read_fields(item.fields)})
    assert read == expected


def test_an_author_is_told_of_in_one_event_whoever_writes_in_between() -> None:
    told = Told()
    for n in range(100):
        told.add((1, 7, n + 1), 5 + n % 2, 1, {4: True}, False)
    assert [(event.author, len(event.items)) for event in told.events] == [(5, 50), (6, 50)]


def test_a_record_written_again_and_again_is_told_once() -> None:
    told = Told()
    for n in range(100):
        told.add((1, 7, 1), 5, n + 1, {n % 2: n}, False)
    [event] = told.events
    [item] = event.body.records
    assert (item.version, read_fields(item.fields)) == (100, {0: 98, 1: 99})


def test_what_does_not_fit_goes_on_in_the_next_event_and_no_others() -> None:
    told = Told()
    for n in range(1_000):
        told.add((1, 7, n % 300 + 1), 5, n // 300 + 1, {1: n}, False)
    assert 2 <= len(told.events) <= 5
    for event in told.events[:-1]:
        assert len(event.items) == ITEMS_MAX or len(codec.encode(event.body)) > BODY_BYTES_GOAL - 64
