"""The simulator: seeds run clean, a seed is repeatable in any process, its story can be read, and what is covered is counted."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from proofs.simulation.coverage import EXCUSED, Coverage, client_rows, code_rows, frame_rows, message_rows, report, server_rows
from proofs.simulation.mutants import MUTANTS, Mutant, seeds_to_find
from proofs.simulation.run import Run
from proofs.simulation.story import WIDTH, Wanted, draw, draw_around
from proofs.simulation.world import Told, Violation

SEED = 7
COPIED_BEFORE_A_RESTORE = 3062
"""A store is copied, the database restored, and a visit of the copy's is on its way while its socket learns of the new epoch."""

SETTLED_BY_A_VISIT = 4920
"""The socket's window is full of mutations whose outcomes come by a visit, and nothing else happens afterwards."""


@pytest.mark.parametrize("seed", [*range(1001, 1013), COPIED_BEFORE_A_RESTORE, SETTLED_BY_A_VISIT])
def test_a_storm_heals_with_every_copy_equal_and_nothing_acknowledged_lost(seed: int) -> None:
    tally = Run(seed).play()
    assert tally.acknowledged > 0


def test_a_seed_is_a_run_whether_it_is_told_or_not() -> None:
    first, second = Run(SEED, tell=True), Run(SEED)
    assert first.play() == second.play()
    assert {name: dict(counts) for name, counts in vars(first.coverage).items()} == {
        name: dict(counts) for name, counts in vars(second.coverage).items()
    }


def test_a_seed_has_the_same_story_in_every_process_whatever_the_seed_of_its_hashes() -> None:
    stories = []
    for hashes in ("0", "4711"):
        environment = {**os.environ, "PYTHONHASHSEED": hashes}
        command = [sys.executable, "-m", "proofs", "simulate", "--story", str(SEED)]
        stories.append(subprocess.run(command, capture_output=True, check=True, env=environment).stdout)
    assert len(stories[0]) > 100_000
    assert stories[0] == stories[1]


# The story


def told_by(seed: int) -> list[Told]:
    run = Run(seed, tell=True)
    run.play()
    assert run.world.story
    return run.world.story


def test_no_line_of_a_story_is_wider_than_a_page_and_time_only_goes_on() -> None:
    lines = draw(told_by(SEED))
    assert max(map(len, lines)) <= WIDTH
    times = [float(line[1:].split()[0]) for line in lines if not line.lstrip().startswith("ms")]
    assert len(times) > 500 and times == sorted(times)


def test_a_story_shows_a_message_from_its_hello_to_its_acknowledgement_and_its_fan_out() -> None:
    told = told_by(SEED)
    said = next(one for one in told if one.to.startswith("g") and one.what.startswith("Mutate") and "Say" in one.what and not one.lost)
    assert any(one.who == said.who and one.to == said.to and one.what.startswith("Hello") and one.at < said.at for one in told)
    after = [one for one in told if one.at >= said.at]
    commit = next(one for one in after if one.to == "pg" and "commits" in one.what and said.streams[0] in one.streams)
    assert commit.who == said.to
    assert any(one.to == said.who and ("Done" in one.what or "Refused" in one.what) for one in after)
    assert any(one.to[:1] == "d" and f"Event {said.streams[0]}#" in one.what for one in after)


def test_a_part_of_a_story_is_about_what_was_asked_for() -> None:
    told = told_by(SEED)
    d1 = draw(told, Wanted(columns=("d1",)))
    assert {name for name in d1[0].split() if name.startswith("d")} == {"d1"}
    window = draw(told, Wanted(from_ms=5_000, to_ms=6_000))
    times = [float(line[1:].split()[0]) for line in window if not line.lstrip().startswith("ms")]
    assert times and min(times) >= 5_000 and max(times) <= 6_000
    stream = next(one.streams[0] for one in told if one.streams)
    assert 0 < len(draw(told, Wanted(streams=(stream,)))) < len(draw(told))


def test_an_arrow_ends_where_the_message_arrived_and_a_lost_one_before_it() -> None:
    told = [
        Told(0.001, "d1", "g1", "Hello", under_way_s=0.0),
        Told(0.002, "g1", "d1", "Welcome", lost=True, under_way_s=0.025),
        Told(0.003, "", "", "the world heals"),
        Told(0.004, "g1", "", "is killed", fault=True),
    ]
    assert draw(told) == [
        "         ms       d1          g1",
        "        1.0        ├───────────▶      Hello",
        "        2.0        │╳──────────┤      Welcome  +25",
        "        3.0        │           │      the world heals",
        "!       4.0        │           █      is killed",
    ]


def test_a_violation_is_told_with_what_concerns_it_and_what_was_done_meanwhile() -> None:
    told = told_by(SEED)
    lines = draw_around(told, Violation("device 1 differs", device=1))
    assert {name for name in lines[0].split() if name.startswith("d")} == {"d1"}


# What is covered


def test_a_row_that_is_never_taken_is_complained_of_and_so_is_one_that_stands_in_no_table_or_needs_no_excuse() -> None:
    coverage = Coverage()
    for counts, rows in (
        (coverage.server, server_rows()),
        (coverage.client, client_rows()),
        (coverage.messages, message_rows()),
        (coverage.frames, frame_rows()),
        (coverage.codes, code_rows()),
    ):
        counts.update(row for row in rows if row not in EXCUSED)
    text, wrong = report(coverage)
    assert wrong == [] and all(row in text for row in server_rows())
    missing = server_rows()[3]
    del coverage.server[missing]
    coverage.client["NOWHERE ─Nothing▶ NOWHERE"] = 1
    coverage.codes[next(iter(EXCUSED))] = 1
    _, wrong = report(coverage)
    assert len(wrong) == 3 and missing in wrong[0]


def test_a_dozen_seeds_meet_more_than_half_of_every_table() -> None:
    coverage = Coverage()
    for seed in range(1, 13):
        run = Run(seed)
        run.play()
        coverage.add(run.coverage)
    for counts, rows in ((coverage.server, server_rows()), (coverage.client, client_rows()), (coverage.messages, message_rows())):
        assert sum(1 for row in rows if counts[row]) > 0.5 * len(rows)


# What it finds


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "_"))
def test_the_simulator_finds(mutant: Mutant) -> None:
    count, what = seeds_to_find(mutant, mutant.first)
    assert count, what
