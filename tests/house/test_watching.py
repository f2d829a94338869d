"""What operators are given agrees with what a process says: metrics, questions, alerts, the dashboard, the page."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
import yaml

from gateway.metrics import Metrics
from supervisors.generated import ROOT
from supervisors.ml_node import MlNode
from supervisors.node import Node
from supervisors.operating_page import metrics, ml_process_metrics
from supervisors.questions import CHAPTERS
from supervisors.readings import node_metrics
from supervisors.readings_models import ml_metrics
from supervisors.settings import Ml
from tests.needs import require
from tests.system.inside import settings_for

ALERTS = ROOT / "deploy/prometheus/alerts.yaml"
DASHBOARD = json.loads((ROOT / "deploy/grafana/educonnect.json").read_text("utf-8"))
PAGE = (ROOT / "docs/operating.md").read_text("utf-8")
QUERIES = [question.query for chapter in CHAPTERS for question in chapter.questions]


@pytest.fixture
async def exposition(tmp_path: Path) -> str:
    """What a node says that has just begun."""
    node = Node(settings_for("postgresql://nobody@localhost/nothing", "redis://localhost:1", tmp_path))
    await trio.lowlevel.checkpoint()
    return Metrics(node_metrics(node)).exposition().decode()


@pytest.fixture
async def ml_exposition(tmp_path: Path) -> str:
    """The same of an ML process."""
    line = Ml(line=f"pipe:{tmp_path}/ml.sock")
    settings = settings_for("postgresql://nobody@localhost/nothing", "redis://localhost:1", tmp_path, ml=line)
    return Metrics(ml_metrics(MlNode(settings))).exposition().decode()


@pytest.fixture
def promtool() -> str:
    return require("promtool", "checks metrics, alert rules and queries")


def run(*command: str | Path, given: str = "") -> None:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def alerts() -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]:
        yield from group["rules"]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def families(text: str) -> set[str]:
    return set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))


def named(text: str) -> set[str]:
    """The metrics that a text names, without what histograms add to their names."""
    names = set(re.findall(r"\b((?:educonnect|process)_\w+)", text))
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}


async def test_every_metric_that_operators_are_told_of_exists(exposition: str, ml_exposition: str) -> None:
    known = families(exposition) | families(ml_exposition)
    told = {
        "questions": " ".join(QUERIES),
        "alerts": " ".join(alert["expr"] + alert["annotations"]["action"] for alert in alerts()),
        "dashboard": json.dumps([panel["targets"] for panel in panels()]),
        "the page": PAGE,
        "deploying": (ROOT / "docs/deploying.md").read_text("utf-8"),
    }
    unknown = {where: named(text) - known for where, text in told.items()}
    assert {where: names - {"process_"} for where, names in unknown.items() if names - {"process_"}} == {}


async def test_every_metric_is_explained_on_the_page(exposition: str, ml_exposition: str) -> None:
    own, of_models = ({name for name in families(text) if name.startswith("educonnect_")} for text in (exposition, ml_exposition))
    assert own == {metric.series for metric in metrics()}, "naming the metrics needs no node, and gives the same ones"
    assert of_models == {metric.series for metric in ml_process_metrics()}
    explained = re.findall(r"^\| `(educonnect_\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(own | of_models) == sorted(explained)


async def test_promtool_finds_nothing_wrong_with_the_metrics(promtool: str, exposition: str, ml_exposition: str) -> None:
    for text in (exposition, ml_exposition):
        run(promtool, "check", "metrics", given="".join(line for line in text.splitlines(keepends=True) if "process_" not in line))


def test_promtool_accepts_the_rules_and_plays_them(promtool: str) -> None:
    run(promtool, "check", "rules", ALERTS)
    run(promtool, "check", "config", ROOT / "deploy/prometheus/prometheus.yaml")
    run(promtool, "test", "rules", ROOT / "deploy/prometheus/alerts.test.yaml")


def test_promtool_can_read_every_question(promtool: str, tmp_path: Path) -> None:
    rules = [{"record": f"question:{at}", "expr": query} for at, query in enumerate(QUERIES)]
    path = tmp_path / "questions.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "questions", "rules": rules}]}), "utf-8")
    run(promtool, "check", "rules", path)


def test_every_alert_says_how_urgent_it_is_and_what_to_do() -> None:
    for alert in alerts():
        assert alert["labels"]["severity"] in ("page", "ticket"), alert["alert"]
        assert alert["annotations"]["summary"] and alert["annotations"]["action"].endswith((".", "?")), alert["alert"]
    names = [alert["alert"] for alert in alerts()]
    assert len(names) == len(set(names)) > 10


def test_the_dashboard_asks_every_question_once_and_its_panels_do_not_overlap() -> None:
    assert [panel["targets"][0]["expr"] for panel in panels()] == QUERIES
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
