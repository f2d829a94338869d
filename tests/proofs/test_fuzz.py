"""The fuzzer: the product takes everything as it must, an attack is repeatable, and each fault we could make in the code is found by it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from actors import session
from actors.session import Session
from gateway import rfc6455
from gateway.tokens import KeySet
from proofs.fuzzing.grammar import Grammar, encode_tree
from proofs.fuzzing.heads import any_knock
from proofs.fuzzing.siege import besiege
from proofs.fuzzing.targets import TERRAIN, SessionTarget, any_message, attack_pure
from protocol import codec
from protocol.codec import decode_command, decode_operation
from protocol.frames import Ping

ROOT = Path(__file__).resolve().parents[2]
INPUTS = 3_000
SABOTAGE_INPUTS = 4_000


@pytest.mark.parametrize("seed", [101, 102])
def test_the_pure_parts_take_every_input_as_they_must(seed: int) -> None:
    report = attack_pure(seed, INPUTS)
    assert [str(finding) for finding in report.findings] == []
    assert report.inputs >= INPUTS - 10
    assert len(report.kinds) == 6


async def test_a_running_server_takes_every_input_as_it_must_and_its_neighbours_hear_nothing_of_it() -> None:
    outcome = await besiege(7, 400, 60, lambda line: None, attackers=5)
    assert outcome.troubles == [], [str(finding) for finding in (*outcome.frames.findings, *outcome.heads.findings)]
    assert outcome.frames.inputs >= 400
    assert outcome.frames.outcomes["good mutations done"] > 0
    assert outcome.heads.inputs >= 60
    assert outcome.figures.acknowledged > 0


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
    assert attack_pure(1, SABOTAGE_INPUTS).findings


def test_a_crash_of_an_actor_is_a_finding_and_the_attack_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(session._WORK, Ping, lambda self, command: 1 / 0)
    target = SessionTarget(1)
    found = 0
    for number in range(600):
        try:
            target.attack(Random(f"crash:{number}"))
        except Exception as wrong:  # noqa: BLE001 - any of them is what is looked for
            assert "ZeroDivisionError" in str(wrong)
            found += 1
    assert found > 1


def test_every_test_that_the_page_on_security_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/security.md").read_text("utf-8")))
    defined = {name for path in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)\(", path.read_text("utf-8"))}
    assert named
    assert named - defined == set()
