"""Positions against a server that loses, repeats and cuts: what is applied is gapless, and on a good network everything arrives."""

from __future__ import annotations

from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import booleans, integers

from client.positions import STALLS_MAX, Heard, Phase, Positions, Verdict

PAGE = 3
STREAM = 50


class PositionsAndServer(RuleBasedStateMachine):
    """One stream; `wire` is what the server has sent and the client has not heard."""

    def __init__(self) -> None:
        super().__init__()
        self.positions = Positions()
        self.positions.want(STREAM)
        self.head = 0
        self.following = False
        self.wire: list[tuple[str, int, int, bool]] = []
        self.applied: list[int] = []
        self.last_id = 0
        self.early = False

    @rule(early=booleans())
    def answer(self, early: bool) -> None:
        self.early = early

    def ask(self) -> None:
        for stream in self.positions.unasked():
            self.last_id += 1
            after = self.positions.asked(stream, self.last_id)
            self.serve(self.last_id, after)

    def serve(self, id: int, after: int) -> None:
        upto = min(after + PAGE, self.head)
        page = [("event", seq, 0, False) for seq in range(after + 1, upto + 1)]
        self.following = upto == self.head
        # With more behind it, a page may say how far it goes before all of it has come.
        told = 1 if self.early and page and not self.following else len(page)
        self.wire += [*page[:told], ("followed", upto, id, self.following), *page[told:]]

    @rule()
    def post(self) -> None:
        self.head += 1
        if self.following:
            self.wire.append(("event", self.head, 0, False))

    @precondition(lambda self: self.wire)
    @rule(room=booleans())
    def hear(self, room: bool) -> None:
        kind, seq, id, live = self.wire.pop(0)
        if kind == "event":
            verdict = self.positions.judge(STREAM, seq)
            if verdict is Verdict.APPLY and room:
                self.positions.apply(STREAM, seq)
                self.applied.append(seq)
            elif verdict is Verdict.APPLY:
                self.positions.rest(STREAM)
                self.positions.want(STREAM)
        else:
            assert self.positions.followed(STREAM, id, seq, live) is not Heard.STALLED or self.lossy
        self.ask()

    lossy = False

    @precondition(lambda self: self.wire)
    @rule(at=integers(0, 20))
    def lose(self, at: int) -> None:
        self.lossy = True
        index = at % len(self.wire)
        if self.wire[index][0] == "event":
            self.wire.pop(index)

    @precondition(lambda self: self.wire)
    @rule(at=integers(0, 20))
    def repeat(self, at: int) -> None:
        self.wire.append(self.wire[at % len(self.wire)])

    @rule()
    def lag(self) -> None:
        self.following = False
        if self.positions.lagged(STREAM):
            self.ask()

    @rule()
    def reconnect(self) -> None:
        self.wire.clear()
        self.following = False
        for cursor in self.positions.hello():
            self.serve(0, cursor.seq)

    @invariant()
    def applied_without_a_gap(self) -> None:
        assert self.applied == list(range(1, len(self.applied) + 1)) and self.positions.cursor(STREAM) == len(self.applied)

    def teardown(self) -> None:
        self.reconnect()
        while self.wire:
            self.hear(True)
        assert len(self.applied) == self.head and self.positions.phase(STREAM) is Phase.LIVE


TestPositionsAndServer = PositionsAndServer.TestCase


def test_a_server_that_promises_more_and_sends_nothing_is_given_up() -> None:
    positions = Positions()
    positions.want(STREAM)
    heard = []
    for id in range(1, STALLS_MAX + 1):
        positions.asked(STREAM, id)
        heard.append(positions.followed(STREAM, id, 5, False))
    assert heard == [Heard.ASK] * (STALLS_MAX - 1) + [Heard.STALLED]


def test_the_answer_to_an_older_question_says_nothing() -> None:
    positions = Positions()
    positions.want(STREAM)
    positions.asked(STREAM, 1)
    positions.lagged(STREAM)
    positions.asked(STREAM, 2)
    assert positions.followed(STREAM, 1, 0, True) is Heard.NOTHING
    assert positions.followed(STREAM, 2, 0, True) is Heard.LIVE


def test_more_cursors_than_hello_takes_are_asked_for_afterwards() -> None:
    positions = Positions()
    for stream in range(1, 301):
        positions.want(stream)
    assert len(positions.hello()) == 256
    assert len(positions.unasked()) == 44


def test_the_next_page_is_asked_for_while_the_last_one_is_under_way() -> None:
    positions = Positions()
    positions.want(STREAM)
    assert positions.asked(STREAM, 1) == 0
    hear(positions, 1)
    assert positions.followed(STREAM, 1, 3, False) is Heard.ASK
    assert positions.unasked() == [STREAM]
    assert positions.asked(STREAM, 2) == 3
    assert positions.unasked() == []
    hear(positions, 2, 3, 4)
    assert positions.followed(STREAM, 2, 4, True) is Heard.LIVE


def test_what_was_asked_ahead_behind_a_hole_is_asked_for_again() -> None:
    positions = Positions()
    positions.want(STREAM)
    positions.asked(STREAM, 1)
    hear(positions, 1)
    positions.followed(STREAM, 1, 3, False)
    assert positions.asked(STREAM, 2) == 3
    assert positions.judge(STREAM, 3) is Verdict.DROP  # the second never came
    assert positions.judge(STREAM, 4) is Verdict.DROP
    assert positions.followed(STREAM, 2, 6, False) is Heard.ASK
    assert positions.asked(STREAM, 3) == 1


def hear(positions: Positions, *seqs: int) -> None:
    for seq in seqs:
        assert positions.judge(STREAM, seq) is Verdict.APPLY
        positions.apply(STREAM, seq)
