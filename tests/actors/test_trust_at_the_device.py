"""Doors where mutations enter: at the device, with the trust that came with the attachment or was told since."""

from __future__ import annotations

import msgspec

from actors.storage import CONTROL_STREAM, Attach, Fact, Refusal
from actors.trust_gates import Thresholds
from protocol.codec import encode
from protocol.codes import TABLE, Code, Retry
from protocol.events import TrustChanged, Trusted
from protocol.frames import Hello
from protocol.operations import Say
from tests.actors.stage import Line, Stage, attached

LINK = Say(5, "https://spam.example")


def tell(stage: Stage, user: int, thousandths: int) -> None:
    body = TrustChanged((Trusted(user, thousandths),))
    stage.exchange.controlled([Fact(CONTROL_STREAM, 1, 0, 0, encode(body), 0)])
    stage.run()


def attach(stage: Stage, trust: float) -> Line:
    line = Line(stage)
    line.say(Hello(1, stage.token(1, 11), 11))
    stage.answer(Attach, msgspec.structs.replace(attached(), trust=trust))
    return line


def test_what_asks_for_more_trust_enters_the_journal_as_its_own_refusal() -> None:
    stage = Stage()
    line = attach(stage, 0.2)
    line.mutate(1, LINK)
    line.mutate(2, Say(5, "hello"))
    first, second = (entry.operation for entry, _ in stage.journal.entries)
    assert isinstance(first, Refusal) and first.code is Code.TRUST and "0.25" in first.detail
    assert isinstance(second, Say)
    assert TABLE[Code.TRUST].retry is Retry.NO


def test_who_is_trusted_enough_writes_links() -> None:
    stage = Stage()
    line = attach(stage, Thresholds().links)
    line.mutate(1, LINK)
    assert isinstance(stage.journal.entries[0][0].operation, Say)


def test_trust_that_changes_is_heard_of_by_the_open_socket() -> None:
    stage = Stage()
    line = attach(stage, 0.2)
    tell(stage, 1, 500)
    line.mutate(1, LINK)
    tell(stage, 2, 0)
    line.mutate(2, LINK)
    tell(stage, 1, 100)
    line.mutate(3, LINK)
    assert [type(entry.operation) for entry, _ in stage.journal.entries] == [Say, Say, Refusal]


def test_what_is_told_while_a_socket_attaches_is_newer_than_what_the_attachment_read() -> None:
    stage = Stage()
    line = Line(stage)
    line.say(Hello(1, stage.token(1, 11), 11))
    tell(stage, 1, 100)
    stage.answer(Attach, msgspec.structs.replace(attached(), trust=0.9))
    line.mutate(1, LINK)
    assert isinstance(stage.journal.entries[0][0].operation, Refusal)


def test_a_later_attachment_reads_anew() -> None:
    stage = Stage()
    attach(stage, 0.2)
    tell(stage, 1, 100)
    again = Line(stage)
    again.say(Hello(1, stage.token(1, 11), 11))
    stage.answer(Attach, msgspec.structs.replace(attached(2), trust=0.9))
    again.mutate(1, LINK)
    assert isinstance(stage.journal.entries[0][0].operation, Say)
