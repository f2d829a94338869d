"""Anybody can measure the model on a table of their own, and is told plainly what is wrong with one."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from actors.inference import Harm
from actors.model_book import Ruled
from ml_actors.evaluating import evaluate
from ml_actors.kinds import TooFewRows
from ml_actors.moderation.audit import report as audit_report
from ml_actors.moderation.auditing import report as job_report
from ml_actors.moderation.data import Unreadable, positives, read_davidson, read_germeval, read_table
from ml_actors.moderation.measuring import figures, to_prior

ROWS = [
    ("You are an idiot.", "1"),
    ("See you tomorrow, thank you!", "0"),
    ("what a stupid bitch", "1"),
    ("Can you help me with maths?", "0"),
]


def _table(path: Path, delimiter: str = ",", packed: bool = False) -> Path:
    words = f"id{delimiter}text{delimiter}label\n" + "".join(
        f'{at}{delimiter}"{text}"{delimiter}{label}\n' for at, (text, label) in enumerate(ROWS)
    )
    path.write_bytes(gzip.compress(words.encode()) if packed else words.encode("utf-8-sig"))
    return path


@pytest.mark.parametrize(("name", "delimiter", "packed"), [("a.csv", ",", False), ("a.tsv.gz", "\t", True), ("a.csv", ";", False)])
def test_any_table_is_measured(name: str, delimiter: str, packed: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = _table(tmp_path / name, delimiter, packed), tmp_path / "out.json"
    assert evaluate("moderation", ["--file", str(path), "--text", "text", "--label", "label", "--json", str(out)]) == 0
    assert "AUC" in capsys.readouterr().out
    found = json.loads(out.read_bytes())["file"]["levels"]["threshold 0.5"]
    assert found["auc"] == 1.0 and found["rows"] == 4 and found["toxic"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--text", "words"], "has no column 'words'; it has: 'id', 'text', 'label'"),
        (["--positive", "bad"], "no label is bad; there are: 0, 1"),
        (["--positive", "0,1"], "all rows are toxic"),
        (["--delimiter", ";"], "has no column 'text'"),
        (["--delimiter", ";;"], "one character"),
    ],
)
def test_a_wrong_question_is_answered_in_plain_words(
    arguments: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate("moderation", ["--file", str(_table(tmp_path / "a.csv")), *arguments]) == 1
    said = capsys.readouterr().err
    assert reason in said and "Traceback" not in said


def test_labels_in_words_and_shares_are_understood_and_others_are_asked_for() -> None:
    assert positives(["Hate", "none", "offensive"], []).tolist() == [True, False, True]
    assert positives(["0.1", "0.9", "0.5"], []).tolist() == [False, True, True]
    assert positives(["a", "b"], ["b"]).tolist() == [False, True]
    with pytest.raises(Unreadable, match="--positive; there are: red, white"):
        positives(["red", "white"], [])


def test_the_two_collections_are_read_and_strange_ones_refused(tmp_path: Path) -> None:
    davidson = tmp_path / "davidson.csv"
    davidson.write_text(',count,class,tweet\n0,3,0,"one, two"\n1,3,1,three\n2,3,2,four\n')
    assert [(row.toxic, row.hate) for row in read_davidson(davidson)] == [(True, True), (True, False), (False, False)]
    german = tmp_path / "german.txt"
    german.write_text('sagt "nichts\tOTHER\tOTHER\nschimpft\tOFFENSE\tINSULT\n')
    assert [(row.text, row.toxic, row.insult) for row in read_germeval(german)] == [
        ('sagt "nichts', False, False),
        ("schimpft", True, True),
    ]
    german.write_text("one column\n")
    with pytest.raises(Unreadable, match="line 1"):
        read_germeval(german)
    with pytest.raises(Unreadable, match="No such file"):
        read_table(tmp_path / "none.csv", "a", "b")


def test_a_lone_quotation_mark_swallows_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "tweets.tsv"
    path.write_text('"text"\tlabel\n"one said\t1\n"two ""said"" it"\t0\nthree"\t1\n')
    assert read_table(path, "text", "label") == (['"one said', 'two "said" it', 'three"'], ["1", "0", "1"])
    path.write_text('text\tlabel\n"over two\nlines"\t1\nthree\t0\n')
    assert read_table(path, "text", "label") == (["over two\nlines", "three"], ["1", "0"])


def test_a_table_without_a_heading_has_numbered_columns(tmp_path: Path) -> None:
    path = tmp_path / "bare.txt"
    path.write_text("sagt nichts\tOTHER\tOTHER\nschimpft\tOFFENSE\tINSULT\n")
    assert read_table(path, "1", "2") == (["sagt nichts", "schimpft"], ["OTHER", "OFFENSE"])
    with pytest.raises(Unreadable, match="it has: '1', '2', '3'"):
        read_table(path, "1", "9")


def test_figures_are_those_one_counts_by_hand() -> None:
    chances, toxic = np.array([0.9, 0.8, 0.4, 0.1]), np.array([True, False, True, False])
    found = figures(chances, toxic, 0.5)
    assert (found.auc, found.precision, found.recall, found.f1) == (0.75, 0.5, 0.5, 0.5)
    assert found.brier == pytest.approx((0.01 + 0.64 + 0.36 + 0.01) / 4)
    assert found.ece == pytest.approx((0.1 + 0.8 + 0.6 + 0.1) / 4)
    assert to_prior(np.array([True, False, False, False]), 0.5).tolist() == pytest.approx([2.0, 2 / 3, 2 / 3, 2 / 3])


def test_the_audit_tells_of_a_group_with_more_false_alarms() -> None:
    toxic = np.array([False] * 200 + [True] * 20)
    said = np.array([True] * 30 + [False] * 70 + [True] * 5 + [False] * 95 + [True] * 20)
    groups = ["north"] * 100 + ["south"] * 100 + ["south"] * 20
    found = audit_report("by place", groups, toxic, said)
    north, south = found.lines
    assert north.alarm and not south.alarm
    assert (north.fpr, south.fpr, south.fnr) == pytest.approx((0.30, 0.05, 0.0))
    assert found.difference == pytest.approx(0.25)


def test_the_job_tells_where_decisions_part_by_language() -> None:
    ruled = [Ruled(f"no idea what to say, number {at}", at % 10 != 0, (Harm.TOXIC,), "de") for at in range(60)]
    ruled += [Ruled(f"no idea what to say, place {at}", at % 10 == 0, (Harm.TOXIC,), "en") for at in range(60)]
    found = job_report(ruled)
    assert [(line.group, line.cases, line.share) for line in found.lines[:2]] == [("de", 60, 0.1), ("en", 60, 0.9)]
    assert len(found.alarms) == 1 and found.ratio == pytest.approx(1 / 9)
    with pytest.raises(TooFewRows, match="5 decisions"):
        job_report(ruled[:5])
