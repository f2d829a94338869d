"""The audit over an installation's own matches: it finds who is held back, and says nothing where there is nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from actors.model_book import Audited, Met
from ml_actors.auditing import audit, main
from ml_actors.kinds import TooFewRows
from ml_actors.training import TOO_FEW, write_rows


def rows_in(folder: Path, met: Iterable[Met]) -> Path:
    path = folder / "rows"
    with path.open("wb") as file:
        write_rows(file, map(msgspec.msgpack.encode, met))
    return path


def made(count: int, *, marked_down: float, seed: int = 1) -> list[Met]:
    """Matches of two groups that do equally well; the scores of one are lowered."""
    random = np.random.default_rng(seed)
    worth = random.random(count)
    good = random.random(count) < worth
    return [
        Met((0.5,) * 6, bool(went), float(value - marked_down * (place % 3 == 0)), "sw" if place % 3 == 0 else "en")
        for place, (value, went) in enumerate(zip(worth, good, strict=True))
    ]


def test_a_group_that_does_better_than_its_scores_is_named(tmp_path: Path) -> None:
    report = audit("matching", rows_in(tmp_path, made(3_000, marked_down=0.3)))
    assert len(report.alarms) == 1 and report.alarms[0].startswith("sw:")


def test_groups_that_are_treated_alike_raise_no_alarm(tmp_path: Path) -> None:
    report = audit("matching", rows_in(tmp_path, made(3_000, marked_down=0.0)))
    assert report.alarms == () and report.ratio > 0.9
    assert {line.group for line in report.lines} == {"sw", "en"}


def test_a_report_is_left_as_json_and_too_few_rows_are_told_by_the_exit_status(tmp_path: Path) -> None:
    out = tmp_path / "report"
    assert main(["matching", str(rows_in(tmp_path, made(300, marked_down=0.0))), str(out)]) == 0
    assert msgspec.json.decode(out.read_bytes(), type=Audited).rows == 300
    few = rows_in(tmp_path, made(20, marked_down=0.0))
    assert main(["matching", str(few), str(out)]) == TOO_FEW
    with pytest.raises(TooFewRows, match="20 outcomes"):
        audit("matching", few)
