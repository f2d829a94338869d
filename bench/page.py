"""The app in a real browser over emulated 3G and 2G, on a CPU four times slower: bytes and seconds until it can be used, and while it is.

    sizes      what comes before the door, and before a chat, can be used, as the gateway packed it
    times      from the navigation until it can be used: a phone that was never here, and one that was
    scrolling  ten thousand messages up and down: the main thread's work in each frame
    text       the same screens with text mode and without
    lighthouse its four categories, at the door and in a chat

The link is bench/link.py, the house bench/page_house.py behind its own TLS with a chain as long as public ones, the browser Debian's
Chromium at the link's other end. `--only PART` measures a part and writes nothing down. `--site FOLDER` takes another build of the app.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio
from playwright.sync_api import Error as BrowserError

from bench import page_lighthouse, page_scroll, page_sizes, page_text, page_times
from bench.figures import Measured
from bench.generator import GeneratorFailed
from bench.link import open_link
from bench.page_browser import wrapper
from bench.page_house import LONG_MESSAGES, PHOTOS, Task, open_house
from bench.page_scene import FAST, Scene
from bench.stage import Options
from bench.sync_link_tls import make_tls

Part = Callable[[Scene], list[Measured]]
PARTS: Final[dict[str, Part]] = {
    "sizes": page_sizes.measure,
    "times": page_times.measure,
    "scrolling": page_scroll.measure,
    "text": page_text.measure,
    "lighthouse": page_lighthouse.measure,
}
QUICK_MESSAGES: Final = 1_000
QUICK_PHOTOS: Final = 5


async def measure(options: Options, say: Callable[[str], None]) -> list[Measured]:
    """All parts, or the one that is asked for. Raises `LinkMissing`, `PeerMissing`, `GeneratorFailed`."""
    names = [options.only] if options.only else list(PARTS)
    with tempfile.TemporaryDirectory(prefix="educonnect-page-") as name:
        folder = Path(name)
        tls = make_tls(folder)
        messages, photos = (QUICK_MESSAGES, QUICK_PHOTOS) if options.quick else (LONG_MESSAGES, PHOTOS)
        shown = photos if "text" in names else 0
        task = Task(tls, str(folder / "house"), messages if "scrolling" in names else QUICK_MESSAGES, shown, options.site)
        async with open_link() as link:
            await link.begin(FAST)
            async with open_house(link, task) as house:
                scene = Scene(folder, task, house, link, wrapper(link, folder), options, say)
                measured: list[Measured] = []
                for part in names:
                    try:
                        measured += await trio.to_thread.run_sync(PARTS[part], scene)
                    except BrowserError as error:
                        raise GeneratorFailed(f"{part}: {error}") from error
    return measured
