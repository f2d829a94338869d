"""The proof of rings: it holds for small populations, and finds what it is to find."""

from __future__ import annotations

import pytest

import actors.trust_flow
from actors.trust_flow import settle_all
from proofs import rings
from proofs.ringing.attack import WayIn, attack
from proofs.ringing.population import DAY, populate

PEOPLE = 400


def test_a_small_platform_withstands_every_way_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert rings.main(["--people", str(PEOPLE), "--seed", "3", "--quick"]) == 0
    out = capsys.readouterr().out
    assert "Without a way in: 0.000 points" in out and "in 18 of 18" in out


def test_the_proof_finds_a_ring_that_feeds_itself(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where one passes on all that one received, what goes round adds up."""
    monkeypatch.setattr(actors.trust_flow, "PASSED_ON", 1.0)
    monkeypatch.setattr(actors.trust_flow, "RETURNED", 1.0)
    monkeypatch.setattr(actors.trust_flow, "CIRCLED", 0.0)
    assert rings.main(["--people", str(PEOPLE), "--seed", "3", "--quick"]) == 1
    assert "BROKEN" in capsys.readouterr().err


def test_a_population_is_the_same_for_the_same_seed_and_has_heavy_tails() -> None:
    one, two = populate(3000, 5), populate(3000, 5)
    assert one.web.outs == two.web.outs and one.web.seeds == two.web.seeds
    degrees = sorted(len(endorsers) for endorsers in one.web.ins.values())
    assert degrees[-1] > 10 * degrees[len(degrees) // 2]


def test_an_attack_that_is_over_leaves_nothing_behind() -> None:
    population = populate(PEOPLE, 1)
    settle_all(population.web, DAY)
    before = dict(population.web.levels)
    for way in WayIn:
        attack(population, way, "one way", 12, 1)
    assert population.web.levels == before
