"""What the proof of checking first finds wrong: the verdict on a log and on what is held, without a server."""

from __future__ import annotations

from msgspec.structs import replace

from proofs.reviewing.verdict import Row, Stood, account, judge
from protocol.events import Edited, Posted, Said
from protocol.values import HeldForm, HeldState

FINE = Row(1, 9, HeldForm.MESSAGE, HeldState.RELEASED, "fine", "model@1", 0, 0, 1)
EDIT = Row(2, 9, HeldForm.EDIT, HeldState.RELEASED, "finer", "model@1", 0, 1, 2)
LOG = [Stood(9, 1, Posted("finer", edited=True)), Stood(9, 2, Edited(1, "finer"))]


def test_what_a_model_or_a_person_let_through_is_no_violation() -> None:
    assert judge([Stood(9, 1, Said("fine"))], [FINE]) == []
    assert judge([Stood(9, 1, Said("fine"))], [replace(FINE, judged_by="", decided_by=5)]) == []
    assert judge(LOG, [FINE, EDIT]) == []


def test_a_message_or_an_edit_that_nobody_let_through_is_found() -> None:
    for row in (replace(FINE, state=HeldState.CHECKING), replace(FINE, judged_by="lexicon"), replace(FINE, became=3)):
        assert judge([Stood(9, 1, Said("fine"))], [row])
    assert len(judge(LOG, [FINE])) == 2, "the edit, and the message that reads as it says"
    assert judge([Stood(9, 1, Posted("other", edited=True))], [FINE])


def test_an_older_edit_in_place_of_a_newer_one_is_found() -> None:
    newer = replace(EDIT, id=3, text="finest", became=3)
    log = [Stood(9, 1, Posted("finer", edited=True)), Stood(9, 2, Edited(1, "finer")), Stood(9, 3, Edited(1, "finest"))]
    assert judge(log, [FINE, EDIT, newer]) == ["stream 9: event 1 does not read as what was let through last"]


def test_what_is_hateful_or_let_through_twice_is_found() -> None:
    assert judge([Stood(9, 1, Said("worthless"))], [replace(FINE, text="worthless")])
    assert judge([], [FINE, replace(FINE, id=5)])


def test_what_was_acknowledged_and_is_neither_there_nor_held_is_found() -> None:
    assert account([FINE, EDIT], 1, 1) == []
    assert account([FINE, EDIT], 2, 1)
    assert account([FINE, EDIT, replace(EDIT, id=4)], 1, 2)
