"""Lines in, lines out: a terminal with editing and colours, or a pipe without either.

    keyboard or pipe ─thread─▶ read()         write() ─▶ above the line that is being typed

Reading stands in a thread of its own, because neither readline nor a pipe can be waited for otherwise; it is given up, not waited
for, when the program ends, and the terminal's mode is put back.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TextIO

import trio

if sys.platform != "win32":
    import readline
    import termios

CLEAR_LINE = "\r\x1b[K"
PALETTE = (36, 33, 35, 32, 34, 91, 96, 93)
"""Terminal colours that are legible on dark and light grounds, for people's names."""


class Terminal:
    """Standard input and output, as a conversation. Use it as a block."""

    def __init__(self, stdin: TextIO | None = None, stdout: TextIO | None = None) -> None:
        self._stdin = stdin or sys.stdin
        self._stdout = stdout or sys.stdout
        self.interactive = self._stdin.isatty() and self._stdout.isatty() and sys.platform != "win32"
        self._prompt = "> "
        self._typing = False
        self._mode: list[object] | None = None

    def __enter__(self) -> Terminal:
        if self.interactive:
            self._mode = termios.tcgetattr(self._stdin.fileno())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._mode is not None:
            termios.tcsetattr(self._stdin.fileno(), termios.TCSADRAIN, self._mode)  # type: ignore[arg-type]

    async def read(self) -> str | None:
        """The next line that is typed; None at the end of the input."""
        return await trio.to_thread.run_sync(self._read, abandon_on_cancel=True)

    def _read(self) -> str | None:
        if not self.interactive:
            line = self._stdin.readline()
            return line.rstrip("\n") if line else None
        self._typing = True
        try:
            return input(self._prompt)
        except EOFError:
            return None
        finally:
            self._typing = False

    def write(self, text: str) -> None:
        """Prints a line; on a terminal, above what is being typed."""
        if self._typing:
            self._stdout.write(f"{CLEAR_LINE}{text}\n{self._prompt}{readline.get_line_buffer()}")
        else:
            self._stdout.write(text + "\n")
        self._stdout.flush()

    def paint(self, text: str, colour: int) -> str:
        """Colours a text on a terminal, and leaves it alone elsewhere."""
        return f"\x1b[{colour}m{text}\x1b[0m" if self.interactive else text

    def paint_name(self, name: str, user: int) -> str:
        """A person's name, always in the same colour."""
        return self.paint(name, PALETTE[user % len(PALETTE)])

    def dim(self, text: str) -> str:
        """What is said by the way."""
        return self.paint(text, 2)
