"""Who looks at records hears which of them changed, each once however often, at their own pace.

    put ─▶ names not yet taken (each once) ─▶ async for

Invariant: a name that was put after it was last taken is taken again, by itself or as a part of its stream (entity and key 0).
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

import trio

Name = tuple[int, int, int]
"""A record: stream, entity, key. Entity and key 0: any of the stream."""
NAMES_MAX = 1024
"""Names that wait to be taken. Beyond it streams take the place of their records: who is that far behind had better list anew."""


class Watch:
    """An async iterator over names of changed records. Leave it with `close`, or use it as a context."""

    def __init__(self, closed: Callable[[Watch], None]) -> None:
        self._closed = closed
        self._names: dict[Name, None] = {}
        self._wake = trio.Event()
        self._over = False

    def put(self, name: Name) -> None:
        """A record changed. Never waits."""
        whole = (name[0], 0, 0)
        if self._over or name in self._names or whole in self._names:
            return
        if name == whole or len(self._names) >= NAMES_MAX:
            self._names = {one: None for one in self._names if one[0] != name[0]}
            name = whole
        self._names[name] = None
        if len(self._names) > NAMES_MAX:
            self._names = dict.fromkeys((stream, 0, 0) for stream, _, _ in self._names)
        self._wake.set()

    def take_nowait(self) -> list[Name]:
        """All names that wait, oldest first."""
        names, self._names = list(self._names), {}
        return names

    def close(self) -> None:
        """No more names; whoever waits is let go."""
        if not self._over:
            self._over = True
            self._closed(self)
            self._wake.set()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> Name:
        await trio.lowlevel.checkpoint()
        while not self._names:
            if self._over:
                raise StopAsyncIteration
            self._wake = trio.Event()
            await self._wake.wait()
        name = next(iter(self._names))
        del self._names[name]
        return name
