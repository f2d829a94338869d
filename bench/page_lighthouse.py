"""Lighthouse's four categories, at the door and in a chat of somebody who is logged in.

    profile (logged in by Playwright, or new) ─▶ Chromium at the link's end ◀─ debugging port ─ Lighthouse ─▶ scores, what lowered them

As it comes: a phone, its simulated slow 4G and a CPU four times slower. In the chat what the browser keeps is left to it, the log-in above
all; at the door Lighthouse begins with nothing.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any, Final

import msgspec

from bench.figures import Goal, Measured
from bench.generator import GeneratorFailed
from bench.page_browser import FLAGS, log_in, trusting
from bench.page_scene import FAST, Scene
from bench.peer import PEERS, install, version

FOLDER: Final = PEERS / "lighthouse"
CATEGORIES: Final = ("performance", "accessibility", "best-practices", "seo")
GOAL: Final = Goal(figure_min=98.0)
RUNS_MAX: Final = 3
PORT: Final = 9222
"""In the device's namespace, where nothing else is."""
RUN_S: Final = 180.0
START_S: Final = 20.0
STOP_S: Final = 10.0


class Judged(msgspec.Struct, frozen=True):
    """One run. `lowered`: the audits that a category lost points by, as it names them, with what they say."""

    scores: dict[str, float]
    lowered: dict[str, tuple[str, ...]]


def measure(scene: Scene) -> list[Measured]:
    """Raises `PeerMissing`."""
    install(FOLDER)
    scene.begin(FAST)
    with scene.browser("judged-reader") as context:
        log_in(context, scene.house.origin)
    pages = {"door": scene.house.origin + "/", "chat": scene.chat(scene.house.chat)}
    measured: list[Measured] = []
    for name, url in pages.items():
        runs = []
        for number in range(min(RUNS_MAX, scene.options.rounds)):
            profile = "judged-reader" if name == "chat" else f"judged-new-{number}"
            with _browser(scene, profile):
                runs.append(judge(scene, url, keep=name == "chat"))
            scene.say(f"  lighthouse, {name}: {runs[-1]}")
        measured += _figures(name, runs, quick=scene.options.quick)
    return measured


def _figures(page: str, runs: Sequence[Judged], quick: bool) -> Iterator[Measured]:
    for category in CATEGORIES:
        score = median(run.scores[category] for run in runs)
        lowered = sorted({audit for run in runs for audit in run.lowered[category]})
        note = f"{len(runs)} runs" + (f"; lowered by {', '.join(lowered)}" if lowered else "")
        name = f"Lighthouse {version('lighthouse', FOLDER)}, {page}: {category}"
        yield Measured(name, score, "of 100", goal=None if quick else GOAL, note=note)


def judge(scene: Scene, url: str, *, keep: bool) -> Judged:
    """One run of it. `keep`: what the browser has is left to it."""
    report = scene.folder / "lighthouse.json"
    command = ["node", str(FOLDER / "node_modules/lighthouse/cli/index.js"), url, f"--port={PORT}", "--quiet", "--output=json"]
    command += [f"--output-path={report}", *(["--disable-storage-reset"] if keep else [])]
    try:
        subprocess.run(scene.at_device(command), check=True, capture_output=True, text=True, timeout=RUN_S)
    except subprocess.CalledProcessError as error:
        raise GeneratorFailed(f"Lighthouse could not judge {url}: {error.stderr[-2000:]}") from error
    return read_report(json.loads(report.read_text()))


def read_report(report: dict[str, Any]) -> Judged:
    """Scores from 0 to 100."""
    scores: dict[str, float] = {}
    lowered: dict[str, tuple[str, ...]] = {}
    for name in CATEGORIES:
        category = report["categories"][name]
        if category["score"] is None:
            raise GeneratorFailed(f"Lighthouse has no score for {name}: {report.get('runtimeError')} {report.get('runWarnings')}")
        scores[name] = category["score"] * 100
        audits = [report["audits"][one["id"]] for one in category["auditRefs"] if one["weight"]]
        lowered[name] = tuple(_said(audit) for audit in audits if audit["score"] is not None and audit["score"] < 0.995)
    return Judged(scores, lowered)


def _said(audit: dict[str, Any]) -> str:
    shown = audit.get("displayValue", "").replace("\xa0", " ")
    return f"{audit['id']} ({shown})" if shown else str(audit["id"])


@contextmanager
def _browser(scene: Scene, profile: str) -> Iterator[None]:
    """Chromium with a debugging port, and nobody else's emulation in it."""
    flags = ["--headless=new", f"--remote-debugging-port={PORT}", f"--user-data-dir={scene.folder / f'profile-{profile}'}", "about:blank"]
    with open(scene.folder / "chromium.log", "w") as log:
        process = subprocess.Popen([str(scene.program), *FLAGS, *trusting(scene.tls), *flags], stdout=log, stderr=log)
    try:
        deadline_s = time.monotonic() + START_S
        while "DevTools listening" not in (scene.folder / "chromium.log").read_text():
            if time.monotonic() > deadline_s or process.poll() is not None:
                raise GeneratorFailed(f"Chromium did not start: {(scene.folder / 'chromium.log').read_text()[-2000:]}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
