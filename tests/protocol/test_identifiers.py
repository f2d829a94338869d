"""Identifiers in messages: found by what their fields are declared to be, and replaced everywhere."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import identifiers
from protocol.entities import TABLE, Entity, Refers, Whole, read_fields, write_fields
from protocol.events import AnyBody, Changed, ChannelOpened, Joined, Posted, Reacted, RecordItem, SpaceEntered, StreamInfo
from protocol.identifiers import Names, rename, rename_fields
from protocol.operations import AnyOperation
from protocol.values import Role, SpaceKind, StreamKind

FAR = 1_000_000
AWAY = Names(user=lambda id: id + FAR, stream=lambda id: id + 2 * FAR, space=lambda id: id + 3 * FAR)
HOME = Names(user=lambda id: id - FAR, stream=lambda id: id - 2 * FAR, space=lambda id: id - 3 * FAR)

ids = st.integers(1, FAR - 1)
bodies = st.one_of(
    st.builds(Posted, st.text(min_size=1, max_size=9), st.integers(0, 99), st.lists(ids, max_size=4).map(tuple)),
    st.builds(Joined, ids, st.sampled_from(list(Role)), st.just("Ada")),
    st.builds(ChannelOpened, ids, st.just("general"), st.just(15), st.just(15)),
    st.builds(Reacted, ids, st.just("+")),
    st.builds(
        SpaceEntered,
        ids,
        st.just(SpaceKind.COMMUNITY),
        st.just("school"),
        st.just(Role.LEARNER),
        st.lists(st.builds(StreamInfo, ids, st.just(StreamKind.CHANNEL), st.just("x")), max_size=3).map(tuple),
    ),
    st.builds(
        Changed,
        st.lists(
            st.builds(
                RecordItem,
                st.just(int(Entity.ACTION)),
                ids,
                ids,
                st.builds(lambda who, due: write_fields({1: "clean the well", 3: due, 5: who}), st.integers(0, FAR - 1), ids),
            ),
            max_size=3,
        ).map(tuple),
    ),
)


@given(bodies)
def test_there_and_back_again_every_byte_is_as_it_was(body: Any) -> None:
    assert msgspec.msgpack.encode(rename(rename(body, AWAY), HOME)) == msgspec.msgpack.encode(body)


@given(bodies)
def test_what_is_called_the_same_is_not_changed(body: Any) -> None:
    same = Names(user=int, stream=int, space=int)
    assert msgspec.msgpack.encode(rename(body, same)) == msgspec.msgpack.encode(body)


def test_each_kind_of_identifier_gets_its_own_name_and_nothing_else_is_touched() -> None:
    streams = (StreamInfo(7, StreamKind.CHANNEL, "x"),)
    assert rename(SpaceEntered(7, SpaceKind.COMMUNITY, "s", Role.OWNER, streams), AWAY) == SpaceEntered(
        7 + 3 * FAR, SpaceKind.COMMUNITY, "s", Role.OWNER, (StreamInfo(7 + 2 * FAR, StreamKind.CHANNEL, "x"),)
    )
    assert rename(Posted("hello", 7, (7, 8)), AWAY) == Posted("hello", 7, (7 + FAR, 8 + FAR))
    assert rename(Reacted(7, "+"), AWAY) == Reacted(7, "+")


def test_nobody_stays_nobody() -> None:
    fields = write_fields({1: "clean the well", 5: 0})
    assert read_fields(rename_fields(Entity.ACTION, fields, AWAY)) == {1: "clean the well", 5: 0}


@pytest.mark.parametrize("kind", [*get_args(AnyBody), *get_args(AnyOperation)], ids=lambda kind: kind.__name__)
def test_a_number_is_an_identifier_that_is_renamed_or_says_by_its_name_what_else_it_is(kind: type) -> None:
    described = msgspec.inspect.type_info(kind)
    assert isinstance(described, msgspec.inspect.StructType)
    for field in described.fields:
        if field.name in ("user", "users", "by", "author", "mentions", "stream", "space", "person"):
            assert field.name in identifiers._ways(kind), f"{kind.__name__}.{field.name} is not renamed: say UserId, StreamId or SpaceId"


def test_a_field_of_a_record_that_may_hold_an_identifier_says_whether_it_does() -> None:
    wide = [
        (declaration.entity.name, field.name)
        for declaration in TABLE.values()
        for field in declaration.fields
        if isinstance(field.kind, Whole) and field.kind.maximum == 2**53 - 1 and field.refers is Refers.NOTHING
    ]
    # A grade's attempt is a record's version.
    # A bookmark's place and a draft's message are numbers in the stream beside them; a section's lesson is a key in its own stream.
    assert wide == [("BOOKMARK", "seq"), ("DRAFT", "reply_to"), ("CONTENT", "lesson"), ("GRADE", "attempt")]
