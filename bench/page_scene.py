"""Where the parts of the page's measurement work: a house, a link, and browsers with profiles of their own.

Invariant: parts run one after the other in a thread, since Playwright blocks; the link is told what to be from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import trio
from playwright.sync_api import BrowserContext, sync_playwright

from bench.link import Conditions, Link, LinkCounts
from bench.page_browser import open_profile
from bench.page_house import House, Task
from bench.stage import Options
from gateway.options import SITE

FAST: Final = Conditions(rate_bit_s=1e8, round_trip_ms=0, loss=0, queue_bytes=4_000_000)
"""For whatever is not measured over a bad link."""


class Scene:
    """What every part is given. Its methods are called in a thread of trio's."""

    def __init__(
        self, folder: Path, task: Task, house: House, link: Link, program: Path, options: Options, say: Callable[[str], None]
    ) -> None:
        self.folder = folder
        self.house = house
        self.options = options
        self.say = say
        self._task = task
        self.tls = task.tls
        self._link = link
        self.program = program

    def begin(self, conditions: Conditions) -> None:
        """The link is so from now on, and counts from 0."""
        trio.from_thread.run(self._link.begin, conditions)

    def counts(self) -> LinkCounts:
        """What the link carried since."""
        return trio.from_thread.run(self._link.counts)

    def at_device(self, command: Sequence[str]) -> list[str]:
        """The command, run at the link's device end."""
        return self._link.in_client(command)

    @contextmanager
    def browser(self, profile: str, *flags: str) -> Iterator[BrowserContext]:
        """A browser that was just started, with what this profile has kept."""
        place = self.folder / f"profile-{profile}"
        with sync_playwright() as playwright, open_profile(playwright, self.program, self.tls, place, *flags) as context:
            yield context

    @property
    def messages(self) -> int:
        """How many the long channel has."""
        return self._task.long_messages

    @property
    def photos(self) -> int:
        """How many the channel of photographs has."""
        return self._task.photos

    @property
    def site(self) -> Path:
        """Where the app's files are."""
        return Path(self._task.site) if self._task.site else SITE

    def chat(self, stream: int) -> str:
        """The address of a channel."""
        return f"{self.house.origin}/#/c/{stream}"
