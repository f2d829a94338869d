"""`proofs revocation`, small, and that it can fail."""

from __future__ import annotations

import pytest

from proofs.revocation import Ended, Part, main, quantile
from protocol.codes import Code

GOOD = Ended("log out", True, 0.2, Code.REVOKED, ())


def test_a_small_run_finds_every_socket_closed_and_nobody_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--short"]) == 0
    said = capsys.readouterr().out
    assert "0 violations" in said
    for part in ("with Redis ", "Redis killed, from then on", "with Redis again"):
        assert part in said


def test_what_is_too_slow_closed_otherwise_or_back_is_a_violation() -> None:
    assert Part("a", (GOOD,) * 200).violations == []
    assert Part("a", (GOOD,) * 97 + (Ended("log out", True, 1.2, Code.REVOKED, ()),) * 3).violations == ["a: p99 is 1200 ms"]
    assert Part("a", (GOOD, Ended("log out", True, 0.2, 1006, ()))).violations
    assert Part("a", (GOOD, Ended("log out", True, 0.2, Code.REVOKED, ("HTTP took the token",)))).violations
    assert Part("a", ()).violations


def test_the_quantile_is_one_of_the_values() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([1.0] * 99 + [9.0], 0.99) == 9.0
