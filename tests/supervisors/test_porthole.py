"""Claims about looking into a running process."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import trio

from supervisors import porthole
from supervisors.porthole import look, serve_view


async def a_tree() -> bytes:
    return b"a tree"


async def test_whoever_may_enter_the_folder_sees_the_drawing(tmp_path: Path, nursery: trio.Nursery) -> None:
    await nursery.start(serve_view, tmp_path, "gateway", a_tree)
    [(name, drawing)] = await look(tmp_path)
    assert name.startswith("gateway") and drawing == b"a tree"


async def test_a_folder_may_lie_deeper_than_a_sockets_address_reaches(tmp_path: Path, nursery: trio.Nursery) -> None:
    deep = tmp_path / ("a" * 60) / ("b" * 60)
    await nursery.start(serve_view, deep, "gateway", a_tree)
    assert [drawing for _, drawing in await look(deep)] == [b"a tree"]


async def test_looking_at_a_process_without_descriptors_does_not_end_it(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(porthole, "REST_S", 0.0)
    with trio.socket.socket() as sample:
        kind: Any = type(sample)
    accept = kind.accept
    refusals = iter(range(3))

    async def accept_late(self: Any) -> Any:
        if next(refusals, None) is not None:
            await trio.lowlevel.checkpoint()
            raise OSError(errno.EMFILE, "Too many open files")
        return await accept(self)

    monkeypatch.setattr(kind, "accept", accept_late)
    await nursery.start(serve_view, tmp_path, "gateway", a_tree)
    assert [drawing for _, drawing in await look(tmp_path)] == [b"a tree"]
