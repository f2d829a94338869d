"""Bytes before the app can be used, each file as the gateway packed it, and all that the first page takes from the line.

a link as slow as 2G, without losses ─▶ what was whole when the door, and a chat, could be used: that is what was waited for
a fast one ─▶ everything that comes until it is quiet: the worker's copy of the app, the icon, heads and handshakes
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bench.figures import Goal, Measured
from bench.link import Conditions
from bench.page_browser import Fetched, Visit, forget_app, log_in
from bench.page_scene import FAST, Scene

SLOW: Final = Conditions(rate_bit_s=50_000, round_trip_ms=800, loss=0, queue_bytes=1_000_000)
SCRIPT_GOAL: Final = Goal(figure_max=30.0)
CRITICAL_GOAL: Final = Goal(figure_max=20.0)
PAGE_GOAL: Final = Goal(figure_max=60.0)
QUIET_MS: Final = 3000


def measure(scene: Scene) -> list[Measured]:
    """Nothing of it depends on luck or on the machine's speed, but for what comes side by side."""
    with scene.browser("sizes-door") as context:
        visit = Visit(context, slower=1)
        scene.begin(SLOW)
        visit.go(scene.house.origin)
        door = visit.before(visit.usable_ms("door"))
    with scene.browser("sizes-chat") as context:
        scene.begin(FAST)
        log_in(context, scene.house.origin)
        forget_app(context, scene.house.origin)
        visit = Visit(context, slower=1)
        scene.begin(SLOW)
        visit.go(scene.chat(scene.house.chat))
        chat = visit.before(visit.usable_ms("chat"))
    with scene.browser("sizes-whole") as context:
        visit = Visit(context, slower=1)
        scene.begin(FAST)
        visit.go(scene.house.origin)
        visit.usable_ms("door")
        down = _quiet(scene, visit)
    scene.say(f"  before the door: {_said(door)}")
    scene.say(f"  before a chat: {_said(chat)}")
    scene.say(f"  the whole first page: {_said(list(visit.fetched.values()))}")
    files = sum(one.bytes for one in visit.fetched.values()) / 1000
    return [
        Measured("script before the door can be used", _packed(door, "Script"), "kB", goal=SCRIPT_GOAL, note=_said(door, "Script")),
        Measured("script before a chat can be used", _packed(chat, "Script"), "kB", goal=SCRIPT_GOAL, note=_said(chat, "Script")),
        Measured("critical path of the door: page, style and script", _packed(door), "kB", goal=CRITICAL_GOAL, note=_said(door)),
        Measured("whole first page", files, "kB", goal=PAGE_GOAL, note=f"{len(visit.fetched)} files, with the heads of their answers"),
        Measured("whole first page, IP packets down the line", down, "kB", note="the worker's copy of the app, TLS, TCP and IP included"),
    ]


def _quiet(scene: Scene, visit: Visit) -> float:
    """Waits until nothing comes any more; all that came, in kB of packets."""
    before = -1.0
    while (now := scene.counts().down.arrived_bytes / 1000) != before:
        before = now
        visit.page.wait_for_timeout(QUIET_MS)
    return now


def _packed(files: Sequence[Fetched], kind: str = "") -> float:
    return sum(one.body_bytes for one in files if not kind or one.kind == kind) / 1000


def _said(files: Sequence[Fetched], kind: str = "") -> str:
    return ", ".join(f"{one.path.rpartition('/')[2] or '/'} {one.body_bytes:,} B" for one in files if not kind or one.kind == kind)
