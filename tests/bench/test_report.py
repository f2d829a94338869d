"""What was measured is written down whole, and the page says that and no more."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from bench.__main__ import MEASURES, main
from bench.curves import curves
from bench.figures import Figure, Goal, Measured, keep, load, merge, table, tally
from bench.plots import FULL, PLOTS, groups, plots
from bench.report import PAGE, describe, render

GOALS = {"Socket": Goal(ratio_max=0.25), "uWS": Goal(ratio_max=1.5)}


def figure(measure: str, name: str, value: float, peer: str | None = None) -> Figure:
    (made,) = keep(measure, [Measured(name, value, "µs", peer)], "python -m bench", "2026-01-01", "a machine", {})
    return made


def fan_out() -> list[Measured]:
    theirs = {"Socket": 16.0, "uWS": 2.0, "floor": 4.0}
    return [Measured("fan-out", 3.0, "µs", peer, cost, 3.0 / cost, GOALS.get(peer)) for peer, cost in theirs.items()]


def test_a_goal_that_compares_is_neither_met_nor_missed_without_its_peer() -> None:
    goal = Goal(figure_max=5.0, ratio_max=0.4)
    assert Measured("idle", 4.0, "KiB", goal=goal).met is None
    assert Measured("idle", 4.0, "KiB", "peer", 16.0, 0.25, goal).met is True
    assert Measured("idle", 6.0, "KiB", "peer", 24.0, 0.25, goal).met is False
    assert Measured("idle", 4.0, "KiB", "peer", 8.0, 0.5, goal).met is False
    assert Measured("posts", 9.0, "/s", goal=Goal(figure_min=10.0)).met is False
    assert Measured("posts", 9.0, "/s").met is None


def test_each_peer_has_its_goal_and_verdict_in_the_table() -> None:
    lines = table(fan_out()).splitlines()
    assert [line.split()[-1] for line in lines[1:]] == ["met", "met", "0.75"]
    assert "≤ 0.25 of the peer" in lines[1] and "≤ 1.5 of the peer" in lines[2]
    assert tally([*fan_out(), Measured("pair", 9.0, "µs", goal=Goal(figure_max=3.0)), Measured("x", 1.0, "µs", goal=GOALS["uWS"])]) == (
        "4 goals: 2 met, 1 missed, 1 open"
    )


def test_what_was_measured_again_takes_the_place_of_all_that_its_measure_said() -> None:
    before = [figure("a", "one", 1.0, "its peer 1.0"), figure("a", "two", 1.0), figure("b", "three", 2.0)]
    again = [figure("a", "one", 3.0, "its peer 2.0"), figure("c", "four", 4.0)]
    assert merge(before, again) == [again[0], before[2], again[1]]
    assert merge([], again) == again


def test_every_row_of_one_measure_is_from_one_run() -> None:
    runs = {(one.measure, one.command, one.date, one.machine) for one in load()}
    assert len(runs) == len({measure for measure, *_ in runs})


def test_the_page_and_its_plots_say_what_the_results_say() -> None:
    assert PAGE.read_text() == render(load()), "python -m bench --page writes it again"
    assert {path.name: path.read_text() for path in PLOTS.glob("*.svg")} == plots(load())


def test_a_command_that_is_written_down_names_no_place_of_one_machine() -> None:
    assert [measured.command for measured in load() if "/" in measured.command] == []


def test_a_profile_stands_with_its_measure(tmp_path: Path) -> None:
    (tmp_path / "pair.md").write_text("All of it in the kernel.\n")
    (tmp_path / "pair-wake.md").write_text("And some in waking.\n")
    page = render([figure("pair", "a message", 1.0), figure("wire", "bytes", 2.0)], tmp_path)
    pair = page[page.index("\n## pair") : page.index("\n## wire")]
    assert "All of it in the kernel." in pair and "And some in waking." in pair


def test_a_plot_shows_every_peer_and_how_far_ours_may_reach() -> None:
    figures = keep("fanout", fan_out(), "python -m bench", "2026-01-01", "a machine", {})
    (group,) = groups(figures)
    assert group.bars == (("ours", 3.0), ("Socket", 16.0), ("uWS", 2.0), ("floor", 4.0))
    assert group.bound == 3.0  # 1.5 × 2 is less than 0.25 × 16
    drawn = plots(figures)["fanout.svg"]
    root = ElementTree.fromstring(drawn)
    bars = [bar for bar in root.iter("{http://www.w3.org/2000/svg}rect") if bar.get("class") in ("ours", "peer")]
    assert [float(bar.get("width", "")) for bar in bars] == pytest.approx([FULL * cost / 16 for _, cost in group.bars], abs=0.05)
    assert "prefers-color-scheme: dark" in drawn
    assert plots(figures) == plots(figures) and plots([figure("wire", "bytes", 1.0)]) == {}


def test_rows_that_name_their_peer_are_bars_of_one_group() -> None:
    rows = [
        Measured("a day, median", 5.0, "s", goal=Goal(figure_max=6.0)),
        Measured("a day, median, beside JSON", 5.0, "s", "JSON", 9.0, 0.6),
    ]
    (group,) = groups(keep("sync", rows, "python -m bench", "2026-01-01", "a machine", {}))
    assert (group.name, group.bars, group.bound) == ("a day, median", (("ours", 5.0), ("JSON", 9.0)), 6.0)


def test_what_was_measured_at_several_sizes_is_a_curve_over_them() -> None:
    sizes = {10: 4.0, 1_000: 6.0, 10_000: 5.0}
    rows = [Measured(f"a post at 500/s, {size:,} rooms", cost, "µs", "floor", cost / 2, 2.0) for size, cost in sizes.items()]
    rows += [Measured(f"waited at {rate:,}/s, p{part}", 1.0, "ms") for rate in (1_000, 2_000, 3_000) for part in (50, 99)]
    figures = keep("growth", rows, "python -m bench", "2026-01-01", "a machine", {})
    ((grown, shown), *others) = curves(figures)
    assert grown.name == "a post at 500/s, … rooms" and len(shown) == 3
    assert grown.points == tuple(sizes.items()) and grown.peers == (("floor", ((10, 2.0), (1_000, 3.0), (10_000, 2.5))),)
    assert [curve.name for curve, _ in others] == ["waited at …/s, p50", "waited at …/s, p99"]
    root = ElementTree.fromstring(plots(figures)["growth.svg"])
    assert len(list(root.iter("{http://www.w3.org/2000/svg}polyline"))) == 4
    assert len([bar for bar in root.iter("{http://www.w3.org/2000/svg}rect") if bar.get("class") == "peer"]) == 0


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_says_in_a_line_what_it_measures(name: str) -> None:
    assert re.fullmatch(r"\S.{20,}[.:]", describe(name))


def test_the_list_names_every_measure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    said = capsys.readouterr().out
    assert all(f"{name} " in said for name in MEASURES)
