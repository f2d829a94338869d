"""Doors: what asks for trust, what does not, and what somebody is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.device import make_entry
from actors.messages import Submit
from actors.storage import Refusal
from actors.trust import START
from actors.trust_gates import OPEN, Thresholds, has_link, refuse
from protocol.codec import encode
from protocol.codes import Code
from protocol.entities import Entity, write_fields
from protocol.operations import (
    AnyOperation,
    Change,
    CreateCommunity,
    Edit,
    Endorse,
    Join,
    Leave,
    MarkRead,
    OpenConversation,
    Post,
    React,
    Rename,
    Say,
)

LINKS = (
    "see https://spam.example",
    "HTTP://SPAM.EXAMPLE",
    "www.spam.example",
    "go to spam.example/win now",
    "ｈｔｔｐｓ：／／spam.example",
    "ht\u200btps://spam.example",
    "tg://join?x",
)
NO_LINKS = ("and/or", "at 10:30", "e.g. this", "node.js is fine", "1.5 km/h", "a // comment", "see you...", "ratio 3:4/5", "")
ORDINARY: tuple[AnyOperation, ...] = (
    Say(5, "Hello, I am new here"),
    Post(5, "thank you!", reply_to=3, mentions=(1, 2, 3, 4, 5)),
    Edit(5, 3, "Hello"),
    React(5, 3, "👍"),
    MarkRead(5, 3),
    Join(9),
    Leave(9),
    OpenConversation((4,)),
    CreateCommunity("Maths"),
    Rename("Ada"),
    Endorse(9, 4),
)


def refusal(operation: AnyOperation, trust: float, thresholds: Thresholds = Thresholds()) -> str:  # noqa: B008 (frozen)
    return refuse(operation, trust, thresholds)


@pytest.mark.parametrize("text", LINKS)
def test_what_somebody_could_follow_is_a_link(text: str) -> None:
    assert has_link(text)


@pytest.mark.parametrize("text", NO_LINKS)
def test_what_nobody_can_follow_is_none(text: str) -> None:
    assert not has_link(text)


@pytest.mark.parametrize("operation", ORDINARY)
def test_whoever_is_new_may_do_what_is_ordinary(operation: AnyOperation) -> None:
    assert refusal(operation, START) == ""


@pytest.mark.parametrize(
    "operation",
    [
        Say(5, LINKS[0]),
        Post(5, LINKS[0]),
        Edit(5, 3, LINKS[0]),
        Rename(LINKS[2]),
        CreateCommunity(LINKS[0]),
        Change(5, int(Entity.ACTION), 1, 0, write_fields({1: LINKS[0]})),
        Change(5, int(Entity.CONTENT), 1, 0, write_fields({2: LINKS[0]})),
    ],
)
def test_a_link_that_others_read_asks_for_trust_wherever_it_is_written(operation: AnyOperation) -> None:
    thresholds = Thresholds()
    detail = refusal(operation, START)
    assert detail.startswith("links: ") and "0.25" in detail and "0.20" in detail and "confirm your e-mail" in detail
    assert refusal(operation, thresholds.links) == ""


def test_what_is_ones_own_is_not_looked_at() -> None:
    assert refusal(Change(5, int(Entity.DRAFT), 1, 0, write_fields({3: LINKS[0]})), 0.0) == ""


def test_mentioning_many_asks_for_trust_and_the_same_person_often_is_one() -> None:
    many = Post(5, "all", mentions=(1, 2, 3, 4, 5, 6))
    assert refusal(many, START).startswith("mentions: ")
    assert refusal(Post(5, "all", mentions=(1, 1, 1, 1, 1, 1)), START) == ""
    assert refusal(many, Thresholds().mentions) == ""


def test_who_did_harm_founds_no_communities_for_a_while() -> None:
    assert refusal(CreateCommunity("Maths"), START / 2).startswith("communities: ")


def test_thresholds_of_nought_ask_nobody_for_anything() -> None:
    assert all(
        refuse(operation, 0.0, OPEN) == "" for operation in (*ORDINARY, Say(5, LINKS[0]), Post(5, "x", mentions=tuple(range(1, 21))))
    )


@given(st.sampled_from([Say(5, LINKS[0]), Post(5, "x", mentions=(1, 2, 3, 4, 5, 6)), CreateCommunity("M")]), st.floats(0, 1))
def test_a_detail_fits_and_says_what_to_do(operation: AnyOperation, trust: float) -> None:
    detail = refusal(operation, trust)
    assert len(detail) <= 400
    assert not detail or "It grows" in detail


def test_a_refused_mutation_keeps_its_number_and_digest() -> None:
    """So that the journal consumes it, and a retry after trust has grown is told what was told first."""
    submit = Submit(1, 7, encode(Say(5, LINKS[0])))
    refused = make_entry(1, 2, 3, submit, START, Thresholds())
    taken = make_entry(1, 2, 3, submit, 1.0, Thresholds())
    assert isinstance(refused.operation, Refusal) and refused.operation.code is Code.TRUST
    assert isinstance(taken.operation, Say)
    assert (refused.number, refused.digest) == (taken.number, taken.digest)


def test_what_was_written_into_a_record_is_kept_with_its_refusal() -> None:
    operation = encode(Change(5, int(Entity.ACTION), 1, 0, write_fields({1: LINKS[0]})))
    refused = make_entry(1, 2, 3, Submit(1, 7, operation), START, Thresholds()).operation
    assert isinstance(refused, Refusal) and refused.payload == operation


@given(st.text(max_size=4000))
def test_any_text_is_looked_at(text: str) -> None:
    has_link(text)
