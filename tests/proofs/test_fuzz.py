"""The fuzzer: the product takes everything as it must, an attack is repeatable, and each fault we could make in the code is found by it."""

from __future__ import annotations

import ast
import base64
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from actors import session
from actors.session import Session
from gateway import rfc6455
from gateway.tokens import KeySet
from proofs.fuzzing import hunting
from proofs.fuzzing.black_box import BlackBox
from proofs.fuzzing.branches import BRANCHES, MARK, _Weaver
from proofs.fuzzing.corpus import Corpus, shrink
from proofs.fuzzing.frame_targets import weigh_bombs
from proofs.fuzzing.grammar import TERRAIN, Grammar, encode_tree
from proofs.fuzzing.heads import any_knock
from proofs.fuzzing.hunting import Hung, Hunt, Tally, attack_parts, spent_within, weigh
from proofs.fuzzing.mutation import any_message
from proofs.fuzzing.parts import hunt_parts
from proofs.fuzzing.session_target import SessionTarget
from proofs.fuzzing.siege import besiege
from proofs.fuzzing.sieges import SIEGES, besiege_all
from proofs.fuzzing.target import Target, Wrong
from proofs.fuzzing.targets import all_targets
from proofs.fuzzing.verdict import as_source
from protocol import codec
from protocol.codec import decode_command, decode_operation
from protocol.frames import Ping

INPUTS = 3_000
SABOTAGE_INPUTS = 4_000


def nobody(name: str, data: bytes) -> None:
    """Notes nothing."""


def attack(seed: int, inputs: int) -> list[Tally]:
    """All parts, in this process."""
    return attack_parts(all_targets(), seed, inputs, nobody, lambda tally: None)


@pytest.mark.parametrize("seed", [101, 102])
def test_the_pure_parts_take_every_input_as_they_must(seed: int) -> None:
    tallies = attack(seed, INPUTS)
    assert [str(finding) for tally in tallies for finding in tally.findings] == []
    assert abs(sum(tally.inputs for tally in tallies) - INPUTS) < len(tallies)
    assert all(tally.behaviours and tally.corpus for tally in tallies)


def test_the_hunt_is_guided_by_the_branches_of_the_product() -> None:
    parts = hunt_parts(3, 1_000, lambda tally: None, ["reader", "head"])
    assert parts.troubles == [], [str(finding) for finding in parts.findings]
    assert parts.whole is not None
    assert all(tally.branches > 40 for tally in parts.tallies)
    assert parts.whole.taken == sum(tally.branches for tally in parts.tallies)


async def test_a_running_server_takes_every_input_as_it_must_and_its_neighbours_hear_nothing_of_it() -> None:
    """A little; `make prove` sends more."""
    outcome = await besiege(7, 150, 30, lambda line: None, attackers=5)
    assert outcome.troubles == [], [str(finding) for finding in (*outcome.frames.findings, *outcome.heads.findings)]
    assert outcome.frames.inputs >= 150
    assert outcome.frames.outcomes["good mutations done"] > 0
    assert outcome.heads.inputs >= 30
    assert outcome.figures.acknowledged > 0


async def test_every_siege_holds_and_the_good_clients_hear_everything() -> None:
    outcome = await besiege_all(lambda line: None, share=0.02, good=60)
    assert outcome.troubles == []
    assert [siege.name for siege in outcome.sieges] == ["rest", *SIEGES]
    assert sum(siege.window.said for siege in outcome.sieges) > 0
    assert all(siege.window.heard >= siege.window.acknowledged for siege in outcome.sieges)


def test_inputs_follow_from_the_seed() -> None:
    def draw(seed: str) -> list[object]:
        chance = Random(seed)
        grammar = Grammar(chance, TERRAIN)
        return [*(any_message(chance, grammar) for _ in range(200)), *(any_knock(chance, "") for _ in range(200))]

    assert draw("1") == draw("1")
    assert draw("1") != draw("2")


@pytest.mark.parametrize("seed", range(40))
def test_what_the_grammar_makes_is_valid(seed: int) -> None:
    grammar = Grammar(Random(seed), TERRAIN)
    for _ in range(50):
        decode_command(encode_tree(grammar.command()))
        decode_command(encode_tree(grammar.mutate()))
        decode_operation(encode_tree(grammar.operation()))


def let_a_type_error_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def strict(raw: bytes, known: frozenset[int], error: Exception) -> codec.BadFrame:
        raise error

    monkeypatch.setattr(codec, "_diagnose", strict)


def answer_ids_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "ID_MAX", 2**64)
    diagnose = codec._diagnose

    def trusting(raw: bytes, known: frozenset[int], error: Exception) -> codec.BadFrame:
        bad = diagnose(raw, known, error)
        bad.id = bad.id or -5
        return bad

    monkeypatch.setattr(codec, "_diagnose", trusting)


def count_frames_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "BATCH_FRAMES_MAX", 10**9)


def forget_the_mask_between_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = rfc6455.Reader.feed

    def hasty(self: rfc6455.Reader, data: bytes) -> list[rfc6455.Event]:
        events = feed(self, data)
        if self._buffer is not None and len(self._buffer) == 7:
            self._buffer[-1] ^= 1
        return events

    monkeypatch.setattr(rfc6455.Reader, "feed", hasty)


def trust_the_algorithm_of_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    check = KeySet._check

    def careless(self: KeySet, token: str) -> object:
        if token.count(".") != 2:
            raise IndexError(token)
        return check(self, token)

    monkeypatch.setattr(KeySet, "_check", careless)


def keep_the_number_of_a_broken_mutation(monkeypatch: pytest.MonkeyPatch) -> None:
    submit = Session._submit

    def forgetful(self: Session, number: int, operation: bytes) -> None:
        if number % 3:
            submit(self, number, operation)

    monkeypatch.setattr(Session, "_submit", forgetful)


def end_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "_end", lambda self, code, detail, wait_ms=0: self._outlet.close(int(code), detail))


@pytest.mark.parametrize(
    "sabotage",
    [
        let_a_type_error_out,
        answer_ids_that_are_none,
        count_frames_late,
        forget_the_mask_between_pieces,
        trust_the_algorithm_of_a_token,
        keep_the_number_of_a_broken_mutation,
        end_without_a_word,
    ],
)
def test_the_fuzzer_finds(sabotage: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    sabotage(monkeypatch)
    targets = all_targets()
    found = any(Hunt(target, 1, nobody, shrink_s=0.1).run(SABOTAGE_INPUTS // len(targets)).findings for target in targets)
    assert found or weigh_bombs(Random(1), 40, weigh)[1]


def test_a_crash_of_an_actor_is_a_finding_that_is_told_in_its_smallest_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(session._WORK, Ping, lambda self, command: 1 / 0)
    tally = Hunt(SessionTarget(), 1, nobody, shrink_s=1.0).run(400)
    assert tally.broken
    assert any("ZeroDivisionError" in finding.what and len(finding.data) < 40 for finding in tally.findings)


class Trap(Target):
    """Falls for one byte; thinks for ever about another."""

    name = "trap"

    def draw(self, chance: Random) -> tuple[bytes, str]:
        return chance.randbytes(20), "trap:noise"

    def take(self, data: bytes) -> list[int]:
        if 7 in data:
            raise Wrong("seven")
        while 9 in data:
            pass
        if 11 in data:
            return list(bytes(1_000_000))
        return [len(data)]


def test_what_fails_hangs_or_takes_too_much_memory_is_found_and_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hunting, "HANG_S", 0.25)
    tally = Hunt(Trap(), 1, nobody, shrink_s=2.0).run(64)
    found = {finding.what: finding.data for finding in tally.findings}
    assert found["Wrong: seven"] == b"\x07"
    assert any("took longer" in what and b"\x09" in data for what, data in found.items())
    assert any("bytes of memory" in what and b"\x0b" in data for what, data in found.items())


def test_what_goes_on_for_ever_is_ended() -> None:
    with pytest.raises(Hung), spent_within(0.1):
        while True:
            pass


def test_a_process_that_an_input_ends_leaves_that_input_behind(tmp_path: Path) -> None:
    box = BlackBox(tmp_path / "box")
    box.note("codec", b"the last one")
    assert BlackBox(tmp_path / "box").read() == (1, "codec", b"the last one")


def test_only_what_shows_something_new_is_kept() -> None:
    corpus = Corpus()
    assert corpus.judge(b"a", ["first"], 0)
    assert not corpus.judge(b"b", ["first"], 0)
    assert corpus.judge(b"c", ["first"], 2)
    assert corpus.entries == [b"a", b"c"]


def test_a_failing_input_is_made_as_small_as_it_can_be() -> None:
    data = b"-".join([b"abc"] * 20 + [b"x1"] + [b"abc"] * 20)
    assert shrink(data, [data[at : at + 4] for at in range(0, len(data), 4)], lambda some: b"x" in some) == b"x"
    assert shrink(b"never", [b"never"], lambda some: False) == b"never"


@pytest.mark.parametrize("data", [b"", b"\x00\xff", b"x" * 50_000])
def test_a_finding_is_shown_as_a_test_can_hold_it(data: bytes) -> None:
    assert eval(as_source(data), {"zlib": zlib, "base64": base64}) == data
    assert len(as_source(data)) < 2_000


WOVEN = """
def pick(a, b=None):
    "Says something."
    if a:
        return "yes"
    for _ in range(2):
        b = b or a
    return "big" if b is None else [n for n in (1, 2) if n > 1 and n]
"""


def test_weaving_changes_nothing_but_that_branches_are_seen() -> None:
    tree = ast.fix_missing_locations(_Weaver().visit(ast.parse(WOVEN)))
    marks = bytearray(len(BRANCHES.marks))
    woven: dict[str, Any] = {MARK: marks}
    plain: dict[str, Any] = {}
    exec(compile(tree, "woven", "exec"), woven)
    exec(WOVEN, plain)
    seen = []
    for a in (1, 0):
        assert woven["pick"](a) == plain["pick"](a)
        assert woven["pick"].__doc__ == plain["pick"].__doc__
        seen.append(sum(marks))
        marks[:] = bytes(len(marks))
    assert seen == [2, 6]
