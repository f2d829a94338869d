"""What every test run says at its end: what could not be run here, and what to install for it.

Tests that need something from outside skip through `tests.needs`; their reasons are gathered, one line each. Where everything is required
(`REQUIRE_ALL=1`), a skip for any reason fails the run, so that the place that is meant to run everything cannot quietly run less.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from importlib.util import find_spec

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import Scheduling

from tests.scratch import scratch
from tests.side_by_side import SideBySide

# Before any test asks for a folder; processes that it starts inherit it.
tempfile.tempdir = os.environ["TMPDIR"] = scratch()

settings.register_profile("house", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")
"""How long an example takes says nothing about what it claims, and much about who else uses the machine."""


LEFT_OUT = pytest.StashKey[int]()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Has our own order where groups are heeded."""
    return SideBySide(config, log) if config.getvalue("dist") == "loadgroup" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what needs an extra that this environment is not meant to have: a run of its own has it."""
    if find_spec("transformers") is not None and find_spec("torch") is not None:
        return
    needing = [item for item in items if item.get_closest_marker("transformers") is not None]
    config.stash[LEFT_OUT] = len(needing)
    if needing:
        config.hook.pytest_deselected(items=needing)
        items[:] = [item for item in items if item.get_closest_marker("transformers") is None]


def _skip_reasons(reporter: pytest.TerminalReporter) -> Counter[str]:
    reasons: Counter[str] = Counter()
    for report in reporter.stats.get("skipped", []):
        if isinstance(report.longrepr, tuple):
            reasons[str(report.longrepr[2]).removeprefix("Skipped: ")] += 1
    return reasons


def _all_required() -> bool:
    return os.environ.get("REQUIRE_ALL") == "1"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names what was left out, just above pytest's closing line."""
    left_out = terminalreporter.config.stash.get(LEFT_OUT, 0)
    if left_out:
        terminalreporter.section("in an environment of their own", "-")
        terminalreporter.write_line(f"{left_out} test{'s' * (left_out > 1)} of torch and transformers: `make test-transformers` runs them")
    reasons = _skip_reasons(terminalreporter)
    if not reasons:
        return
    failed = " (REQUIRE_ALL=1: this is a failure)" if _all_required() else ""
    terminalreporter.section(f"not run here{failed}", "-")
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{count} test{'s' * (count > 1)}: {reason}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fails a run that left something out where everything is required."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == pytest.ExitCode.OK and _all_required() and reporter is not None and _skip_reasons(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
