"""Claims about what the proofs' command lines take: nothing that would be looked at is no search."""

from __future__ import annotations

import pytest

from proofs import faults, fuzz, gap, max_write, rehearse, simulate, sync_model


@pytest.mark.parametrize(
    ("proof", "words"),
    [
        (simulate.main, ["--seeds", "0"]),
        (simulate.main, ["--story", "3", "--only", "device"]),
        (simulate.main, ["--story", "3", "--only", "foo=1"]),
        (faults.main, ["--rounds", "-1"]),
        (fuzz.main, ["--only", "parts", "--targets", "nosuch"]),
        (fuzz.main, ["--only", "sieges", "--sieges", "nosuch"]),
        (fuzz.main, ["--inputs", "0"]),
        (gap.main, ["--seconds", "0"]),
        (sync_model.main, ["--examples", "0"]),
        (max_write.main, ["--runs", "none"]),
        (rehearse.main, ["--users", "0"]),
    ],
)
def test_a_search_through_nothing_is_refused_in_words(proof: object, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(proof)
    with pytest.raises(SystemExit) as ended:
        proof(words)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert repr(words[-1]) in said
    assert "allowed" in said
