"""Claims about what an account may ask for: what has a quota, what becomes of one too many, and that everything else has none."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from actors.device import digest_of
from actors.limits import OPERATIONS, REQUESTS, UNLIMITED, Quota, Quotas, judge, wait_ms_of, words_of
from actors.pace import Rate
from actors.session import SessionLimits
from actors.storage import Decided, Entry, FindPerson, Refusal
from protocol.codec import encode
from protocol.codes import TABLE, Code, Retry
from protocol.frames import Failed, History, Refused, Search
from protocol.operations import AnyOperation, CreateCommunity, MarkRead, React, Say
from supervisors.cast import CastLimits
from tests.actors.stage import Stage

REACT = React(30, 5, "👍")


class Closed:
    """Has nothing more of some quotas for some time."""

    def __init__(self, *quotas: Quota, wait_s: float = 90.0) -> None:
        self.quotas, self.wait_s = quotas, wait_s
        self.asked: list[tuple[Quota, int, str]] = []

    def take(self, quota: Quota, user: int, address: str = "") -> float:
        self.asked.append((quota, user, address))
        return self.wait_s if quota in self.quotas else 0.0


def entry(operation: AnyOperation) -> Entry:
    return Entry(1, 11, 1, 7, digest_of(encode(operation)), operation)


def test_every_quota_has_a_rate_and_something_that_it_is_of() -> None:
    rates = Quotas()
    assert {field.name for field in msgspec.structs.fields(Quotas)} == {quota.value for quota in Quota}
    assert [rates.of(quota) for quota in Quota] == list(msgspec.structs.astuple(rates))
    assert {*REQUESTS.values(), *OPERATIONS.values()} == set(Quota)
    assert set(OPERATIONS) <= set(get_args(AnyOperation))


@pytest.mark.parametrize("operation", [Say(30, "x"), MarkRead(30, 4)])
def test_saying_and_reading_have_no_quota(operation: AnyOperation) -> None:
    asked = Closed(*Quota)
    assert judge(entry(operation), asked, 1000.0) == entry(operation)
    assert asked.asked == []


def test_one_too_many_becomes_its_refusal_under_the_same_number_and_digest() -> None:
    refused = judge(entry(REACT), Closed(Quota.REACTIONS), 1000.0)
    assert isinstance(refused.operation, Refusal)
    assert (refused.number, refused.digest) == (7, entry(REACT).digest)
    assert (refused.operation.code, refused.operation.until_ms) == (Code.SLOWED, 1_090_001)
    assert "91 s" in refused.operation.detail
    assert TABLE[Code.SLOWED].retry is Retry.NO, "its number is consumed, or a queue would wait for it"
    assert judge(entry(REACT), UNLIMITED, 1000.0) == entry(REACT)


def test_how_long_to_wait_shrinks_as_time_goes_by() -> None:
    slowed = Decided(7, Code.SLOWED, 1_090_000)
    assert wait_ms_of(slowed, 1000.0) == 90_000
    assert wait_ms_of(slowed, 1080.0) == 10_000
    assert wait_ms_of(slowed, 2000.0) == 1
    assert wait_ms_of(Decided(7, Code.OK, 1_090_000), 1000.0) == 0
    assert words_of(slowed, 90_000) == "one message in a while here; wait 91 s"
    assert words_of(Decided(7, Code.SLOWED, 1, "too many"), 1) == "too many"


def test_a_long_wait_is_told_in_minutes() -> None:
    refused = judge(entry(CreateCommunity("x")), Closed(Quota.COMMUNITIES, wait_s=3600.0), 0.0)
    assert isinstance(refused.operation, Refusal)
    assert refused.operation.detail.endswith("wait 61 minutes")


def test_a_request_beyond_its_quota_is_told_how_long_to_wait_and_nobody_is_asked() -> None:
    stage = Stage()
    stage.near.limits = closed = Closed(Quota.SEARCH, wait_s=2.5)
    line = stage.connect()
    line.hear()
    line.say(Search(3, "ben"))
    (failed,) = line.hear()
    assert isinstance(failed, Failed)
    assert (failed.id, failed.code, failed.wait_ms) == (3, Code.RATE, 2501)
    assert closed.asked == [(Quota.SEARCH, 1, "192.0.2.1")], "its address is counted, too"
    assert not stage.asked(FindPerson)


def test_a_mutation_beyond_its_quota_goes_to_the_journal_as_its_refusal_and_what_is_behind_it_goes_on() -> None:
    stage = Stage()
    stage.near.limits = Closed(Quota.REACTIONS)
    line = stage.connect()
    line.hear()
    line.mutate(1, REACT)
    line.mutate(2, Say(30, "x"))
    (first, _), (second, _) = stage.journal.entries
    assert isinstance(first.operation, Refusal)
    assert second.operation == Say(30, "x")
    stage.decide(Code.SLOWED, int((stage.now + 1_000_000) * 1000) + 30_000)
    (refused,) = line.hear()
    assert isinstance(refused, Refused)
    assert (refused.number, refused.code, refused.wait_ms) == (1, Code.SLOWED, 30_000)


def test_who_goes_on_asking_beyond_a_quota_ends_with_flood() -> None:
    stage = Stage(CastLimits(session=SessionLimits(flood=Rate(per_s=0.001, burst=3.0))))
    stage.near.limits = Closed(Quota.HISTORY)
    line = stage.connect()
    for id in range(1, 8):
        line.say(History(id, 30, before=9))
    assert line.closed is not None
    assert line.closed[0] == Code.FLOOD
