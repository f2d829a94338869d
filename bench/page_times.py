"""Seconds from the navigation until the app can be used, and what had come by then: over 3G and 2G, the first time and again.

    door  cold: a profile that was never here            chat  cold: logged in, all that the app is made of has gone from the phone
          warm: the app is kept by its service worker          warm: it is kept, and the conversation is on the device

Each run has a browser that was just started, so no connection is open and no TLS session known; each has losses of its own. The door can be
used when its form takes what is typed and its button may be pressed; then it is: name and password are typed and sent, and the second
figure is when the request left. A chat can be used when its messages stand there and its line takes what is typed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Final

import msgspec
from playwright.sync_api import BrowserContext

from bench.figures import Goal, Measured
from bench.generator import GeneratorFailed
from bench.link import Conditions
from bench.page_browser import CPU_SLOWER, Visit, forget_app, log_in
from bench.page_house import PASSWORD, READER
from bench.page_scene import FAST, Scene

LINKS: Final = {
    "3G": Conditions(rate_bit_s=400_000, round_trip_ms=400, loss=0.01, queue_bytes=64_000),
    "2G": Conditions(rate_bit_s=50_000, round_trip_ms=800, loss=0.02),
}
GOALS_S: Final = {("3G", "cold"): 3.0, ("3G", "warm"): 1.0, ("2G", "cold"): 10.0}
LOG_IN: Final = "/api/v1/auth/login"


class Run(msgspec.Struct, frozen=True):
    """One visit, in seconds since its navigation; kB of IP packets that had come down by then; names of the files."""

    usable_s: float
    pressed_s: float
    down_kb: float
    files: tuple[str, ...]

    def __str__(self) -> str:
        pressed = f", what was pressed left after {self.pressed_s:.2f} s" if self.pressed_s else ""
        return f"{self.usable_s:.2f} s{pressed}, {self.down_kb:.1f} kB down: {' '.join(self.files)}"


def measure(scene: Scene) -> list[Measured]:
    """All of them, round by round."""
    _prepare(scene)
    runs: dict[tuple[str, str, str], list[Run]] = {}
    for number in range(scene.options.rounds):
        for link, conditions in LINKS.items():
            seeded = msgspec.structs.replace(conditions, seed=number + 1)
            for (what, how), visit in VISITS.items():
                run = visit(scene, seeded, f"{link}-{number}")
                runs.setdefault((link, what, how), []).append(run)
                scene.say(f"  {what}, {link}, {how}: {run}")
    measured: list[Measured] = []
    for (link, what, how), some in runs.items():
        measured += figures(scene, link, what, how, some)
    return measured


def figures(scene: Scene, link: str, what: str, how: str, runs: Sequence[Run]) -> list[Measured]:
    """The median has the goal; beside it the worst."""
    bound_s = None if scene.options.quick else GOALS_S.get((link, how))
    note = (
        f"{len(runs)} runs, worst {max(run.usable_s for run in runs):.2f} s; {runs[0].down_kb:.1f} kB of packets down;"
        f" {LINKS[link]}; {CPU_SLOWER}× slower CPU"
    )
    name = f"{what} over {link}, {how}: it can be used, median"
    rows = [Measured(name, median(run.usable_s for run in runs), "s", goal=Goal(figure_max=bound_s) if bound_s else None, note=note)]
    if pressed := [run.pressed_s for run in runs if run.pressed_s]:
        rows.append(Measured(f"{what} over {link}, {how}: what is pressed at once has left, median", median(pressed), "s"))
    return rows


def _prepare(scene: Scene) -> None:
    """Profiles of somebody who was at the door, and of somebody who is logged in and has read the channel."""
    scene.begin(FAST)
    with scene.browser("door") as context:
        visit = Visit(context, slower=1)
        visit.go(scene.house.origin)
        visit.usable_ms("door")
        visit.until("!!navigator.serviceWorker.controller")
        visit.page.wait_for_timeout(1000)
    with scene.browser("reader") as context:
        log_in(context, scene.house.origin)
        visit = Visit(context, slower=1)
        visit.go(scene.chat(scene.house.chat))
        visit.usable_ms("chat")
        visit.usable_ms("online")
        visit.page.wait_for_timeout(2000)


def _door_cold(scene: Scene, conditions: Conditions, name: str) -> Run:
    with scene.browser(f"new-{name}") as context:
        return _visit(scene, context, conditions, scene.house.origin, "door")


def _door_warm(scene: Scene, conditions: Conditions, name: str) -> Run:
    with scene.browser("door") as context:
        return _visit(scene, context, conditions, scene.house.origin, "door")


def _chat_cold(scene: Scene, conditions: Conditions, name: str) -> Run:
    with scene.browser("reader") as context:
        forget_app(context, scene.house.origin)
        run = _visit(scene, context, conditions, scene.chat(scene.house.chat), "chat")
        scene.begin(FAST)
        page = context.pages[-1]
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        page.wait_for_timeout(500)
        return run


def _chat_warm(scene: Scene, conditions: Conditions, name: str) -> Run:
    with scene.browser("reader") as context:
        return _visit(scene, context, conditions, scene.chat(scene.house.chat), "chat")


VISITS: Final[dict[tuple[str, str], Callable[[Scene, Conditions, str], Run]]] = {
    ("door", "cold"): _door_cold,
    ("door", "warm"): _door_warm,
    ("chat", "cold"): _chat_cold,
    ("chat", "warm"): _chat_warm,
}


def _visit(scene: Scene, context: BrowserContext, conditions: Conditions, url: str, what: str) -> Run:
    visit = Visit(context)
    scene.begin(conditions)
    visit.go(url)
    usable_ms = visit.usable_ms(what)
    down_kb = scene.counts().down.arrived_bytes / 1000
    pressed_ms = _press(visit) if what == "door" else _type(visit)
    if visit.wrong:
        raise GeneratorFailed(f"the page went wrong: {visit.wrong}")
    files = tuple(f"{Path(one.path).name or '/'}" for one in visit.before(usable_ms))
    return Run(usable_ms / 1000, pressed_ms / 1000, down_kb, files)


def _press(visit: Visit) -> float:
    """Proves that the door can be used; when the request of a log-in left."""
    page = visit.page
    page.locator("#name").press_sequentially(READER)
    page.locator("#password").press_sequentially(PASSWORD)
    if page.locator("#name").input_value() != READER:
        raise GeneratorFailed("the door lost what was typed")
    page.locator("#password").press("Enter")
    return visit.asked_ms(LOG_IN)


def _type(visit: Visit) -> float:
    """Proves that the line takes what is typed."""
    line = visit.page.locator(".talk textarea")
    line.press_sequentially("yes")
    if line.input_value() != "yes":
        raise GeneratorFailed("the line lost what was typed")
    line.fill("")
    return 0.0
