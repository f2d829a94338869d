"""`educonnect tree --live`: every process of an installation, as it is now, again and again.

    portholes of the folders ─ look, all at once, a second ─▶ views ─▶ text, redrawn in place (plain ANSI)
                                                                   ╰─▶ --once: printed; --json: as it came

Invariant: the terminal is left as it was found, however this ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import trio

from supervisors.live_drawing import draw_view
from supervisors.porthole import look
from supervisors.view import NodeView

AGAIN_S: Final = 1.0
"""Between two looks, each of which takes a second itself."""
_ENTER: Final = "\x1b[?1049h\x1b[?25l"
"""The terminal's other screen, without a cursor; and back."""
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_HOME: Final = "\x1b[H"
_TO_LINE_END: Final = "\x1b[K"
_TO_SCREEN_END: Final = "\x1b[J"

_decode = msgspec.json.Decoder(NodeView).decode

Seen = tuple[str, NodeView | str]
"""The name of a process, and its view or why there is none."""


async def see(folders: Sequence[Path]) -> list[Seen]:
    """Every process whose porthole is in one of the folders."""
    found: dict[Path, list[tuple[str, bytes | str]]] = {}

    async def into(folder: Path) -> None:
        found[folder] = await look(folder)

    async with trio.open_nursery() as nursery:
        for folder in folders:
            nursery.start_soon(into, folder)
    return [(name, _read(shown)) for folder in folders for name, shown in found[folder]]


def render(seen: Sequence[Seen], *, whole: bool) -> str:
    """All of them as text."""
    return "\n".join(f"{name}  {view}\n" if isinstance(view, str) else draw_view(name, view, whole=whole) for name, view in seen)


def render_json(seen: Sequence[Seen]) -> str:
    """All of them as one JSON object, by name; where there is no view, the text that says why."""
    return msgspec.json.format(msgspec.json.encode(dict(seen)), indent=2).decode()


async def watch(folders: Sequence[Path], write: Callable[[str], None], size: Callable[[], tuple[int, int]]) -> None:
    """Redraws until cancelled. `size` gives the terminal's columns and lines: what does not fit is cut."""
    write(_ENTER)
    try:
        while True:
            write(frame(render(await see(folders), whole=False) or "nothing runs here\n", *size()))
            await trio.sleep(AGAIN_S)
    finally:
        write(_LEAVE)


def frame(text: str, columns: int, lines: int) -> str:
    """One screenful, drawn over the last one."""
    shown = [line[:columns] for line in text.splitlines()[: lines - 1]]
    return _HOME + "".join(f"{line}{_TO_LINE_END}\r\n" for line in shown) + _TO_SCREEN_END


def _read(shown: bytes | str) -> NodeView | str:
    if isinstance(shown, str):
        return shown
    try:
        return _decode(shown)
    except msgspec.MsgspecError as error:
        return f"of another version, whose view cannot be read: {error}"
