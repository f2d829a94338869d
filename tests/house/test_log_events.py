"""The log's vocabulary: what the source writes is what the table says, each name once, in the past tense, without a word of anybody."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from supervisors.generated import ROOT
from supervisors.log_events import EVENTS

ROOMS = ("actors", "client", "gateway", "ml_actors", "persistence", "protocol", "sandbox", "supervisors")
LEVELS = {"debug": "info", "info": "info", "warning": "warning", "error": "error", "exception": "error"}
PAST = re.compile(r"(^|_)(\w+ed|began|gave|fell|kept|lost|made|rewound|stuck|unread)(_|$)")
"""A verb in the past tense, somewhere in the name."""
FORBIDDEN_FIELDS = {"text", "password", "token", "secret", "name", "body", "payload", "operation", "address", "email", "ticket"}


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            yield path, ast.parse(path.read_text("utf-8"))


def calls() -> Iterator[tuple[str, ast.Call, str]]:
    """Every call that writes to a log: the method, the call, where it stands."""
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
                logger = node.func.value
                if isinstance(logger, ast.Name) and logger.id.lower() in ("log", "logger"):
                    yield node.func.attr, node, f"{path.relative_to(ROOT)}:{node.lineno}"


def written() -> Counter[str]:
    """Event names, with how many places write each."""
    found: Counter[str] = Counter()
    for _, call, _ in calls():
        if isinstance(call.args[0], ast.Constant):
            found[str(call.args[0].value)] += 1
    for _, tree in sources():
        for node in ast.walk(tree):
            # What a tree reports is written under the name that it reports.
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "report":
                if node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
                    found.setdefault(node.args[0].value, 1)
    return found


def test_the_source_writes_what_the_table_says_each_in_one_place() -> None:
    found = written()
    assert set(found) == set(EVENTS)
    assert [name for name, places in found.items() if places > 1] == []


def test_only_a_tree_writes_names_that_it_was_told() -> None:
    told = {place.partition(":")[0] for _, call, place in calls() if not isinstance(call.args[0], ast.Constant)}
    assert told == {"supervisors/tree.py", "supervisors/dev.py"}


def test_every_name_is_in_the_past_tense() -> None:
    assert [name for name in EVENTS if not PAST.search(name)] == []


def test_no_line_is_more_urgent_than_the_table_says() -> None:
    urgency = ["info", "warning", "error"]
    for method, call, place in calls():
        if isinstance(call.args[0], ast.Constant):
            said = EVENTS[str(call.args[0].value)].level
            assert urgency.index(LEVELS[method]) <= urgency.index(said), place


def test_no_line_has_a_field_for_what_people_wrote_or_are_called() -> None:
    for _, call, place in calls():
        fields = {keyword.arg for keyword in call.keywords if keyword.arg}
        assert not fields & FORBIDDEN_FIELDS, (place, fields)
