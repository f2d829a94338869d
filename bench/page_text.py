"""The same screens with text mode and without: all bytes that cross the line for them.

    logged in, all scripts of the app on the device ─▶ communities ─▶ a channel with photographs, scrolled through ─▶ a lesson ─▶ notices

Each mode has a profile of its own, which has seen none of these screens before. Packets of both directions are counted, with all their
headers; opening the first screen begins the session, which costs the same in both.
"""

from __future__ import annotations

from typing import Final

from playwright.sync_api import BrowserContext

from bench.figures import Goal, Measured
from bench.generator import GeneratorFailed
from bench.page_browser import Visit, log_in
from bench.page_scene import FAST, Scene

GOAL: Final = Goal(ratio_max=0.1)
QUIET_MS: Final = 1500
SETTLED: Final = 2
"""So many looks in a row at which nothing more has come."""
SCROLL: Final = "document.querySelector('.said')?.scrollBy(0, -400) ?? 0"
AT_TOP: Final = "(document.querySelector('.said')?.scrollTop ?? 0) < 1"
THROWS_MAX: Final = 200
FETCH_ALL: Final = "names => Promise.all(names.map(name => fetch(`/app/${name}`).then(answer => answer.arrayBuffer()))).then(() => true)"
PICTURES: Final = "document.querySelectorAll('.page img').length"


def measure(scene: Scene) -> list[Measured]:
    """Rows of the single screens, and the sum, which has the goal."""
    whole, text = (_screens(scene, mode) for mode in ("", "?text"))
    peer = "without text mode"
    most, least = sum(whole.values()), sum(text.values())
    goal = None if scene.options.quick else GOAL
    others = ", ".join(f"{name} {text[name]:.1f} kB beside {whole[name]:.1f}" for name in whole)
    note = f"{scene.photos} photographs, each as wide as the phone shows it; packets both ways: {others}"
    return [Measured("text mode, bytes of the same screens", least, "kB", peer, most, least / most, goal, note)]


def _screens(scene: Scene, mode: str) -> dict[str, float]:
    """kB of each screen."""
    house = scene.house
    scene.begin(FAST)
    with scene.browser(f"text{mode.strip('?')}") as context:
        log_in(context, house.origin)
        _keep_scripts(scene, context)
        visit = Visit(context, slower=1)
        scene.begin(FAST)
        visit.go(f"{house.origin}/{mode}#/")
        visit.usable_ms("online")
        spent = {"communities": _spent(scene, visit)}
        screens = {
            "a channel with photographs": (f"#/c/{house.photos}", "chat"),
            "a lesson": (f"#/lesson/{house.space}/{house.lesson}", ""),
            "notices": ("#/notices", ""),
        }
        for name, (place, usable) in screens.items():
            scene.begin(FAST)
            visit.page.evaluate("place => { location.hash = place; }", place)
            visit.until("!!document.querySelector('.page h1')")
            if usable:
                visit.usable_ms(usable)
                _scroll_through(visit)
            spent[name] = _spent(scene, visit)
            scene.say(f"  {mode or 'with everything'}, {name}: {spent[name]:.1f} kB, {visit.page.evaluate(PICTURES)} pictures")
        if visit.wrong:
            raise GeneratorFailed(f"the page went wrong: {visit.wrong}")
    return spent


def _keep_scripts(scene: Scene, context: BrowserContext) -> None:
    """Through the worker, which keeps what it fetches: a person who has been everywhere once."""
    page = context.new_page()
    page.goto(scene.house.origin)
    page.evaluate(FETCH_ALL, [path.name for path in scene.site.glob("app/*.js")])
    page.close()


def _scroll_through(visit: Visit) -> None:
    """From the newest message to the oldest, so that everything comes in sight."""
    for _ in range(THROWS_MAX):
        visit.page.wait_for_timeout(100)
        if visit.page.evaluate(AT_TOP):
            return
        visit.page.evaluate(SCROLL)
    raise GeneratorFailed("the channel's beginning was not reached")


def _spent(scene: Scene, visit: Visit) -> float:
    """kB of all packets, once nothing comes any more."""
    before, still = -1.0, 0
    while still < SETTLED:
        visit.page.wait_for_timeout(QUIET_MS)
        counts = scene.counts()
        now = (counts.up.bytes + counts.down.bytes) / 1000
        still = still + 1 if now - before < 0.5 else 0
        before = now
    return before
