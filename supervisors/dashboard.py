"""The dashboard for Grafana: one panel for each question, generated, so that a query is written in one place.

supervisors.questions ─▶ deploy/grafana/educonnect.json
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from supervisors.questions import CHAPTERS, Question

COLUMNS: Final = 24
WIDTH: Final = 8
HEIGHT: Final = 7
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


def render() -> str:
    """The dashboard as JSON, for import."""
    dashboard = {
        "uid": "educonnect",
        "title": "EduConnect",
        "tags": ["educonnect"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]},
        "panels": _panels(),
    }
    return msgspec.json.format(msgspec.json.encode(dashboard), indent=2).decode() + "\n"


def _panels() -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = []
    y = 0
    for chapter in CHAPTERS:
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": chapter.title,
                "gridPos": _place(0, y, COLUMNS, 1),
                "collapsed": False,
                "panels": [],
            }
        )
        y += 1
        for at, question in enumerate(chapter.questions):
            x = at * WIDTH % COLUMNS
            panels.append(_panel(len(panels) + 1, question, _place(x, y + at * WIDTH // COLUMNS * HEIGHT, WIDTH, HEIGHT)))
        y += -(-len(chapter.questions) * WIDTH // COLUMNS) * HEIGHT
    return panels


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(number: int, question: Question, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": question.asks,
        "description": question.then,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": question.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [{"refId": "A", "datasource": _SOURCE, "expr": question.query, "legendFormat": question.legend}],
    }
