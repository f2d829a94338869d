"""Asking somebody else whether a file may be here: a program, or an address over HTTP, by setting.

    bytes ─▶ a program: on its standard input; 0 is clean, 1 is not, anything else: it could not say
          ─▶ http://…:  POST; 200 or 204 is clean, 403 or 406 is not, anything else: it could not say

Invariant: what nobody could judge is tried again and stays unread meanwhile; only a plain yes lets a file through.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

import h11
import trio

SCAN_S: Final = 120.0
WORDS_MAX: Final = 200
Read = Callable[[int, int], Awaitable[bytes]]
"""The bytes of the file from one place on, before another: at least one."""
_CLEAN: Final = frozenset({200, 204})
_REFUSED: Final = frozenset({403, 406})


class ScanFailed(Exception):
    """The scanner did not say whether the file is clean."""


class Scanner:
    """`how`: a command line, an address, or nothing: then everything is clean."""

    def __init__(self, how: str) -> None:
        self._how = how

    async def scan(self, size: int, read: Read) -> bool:
        """Whether a file of so many bytes is clean. Raises `ScanFailed`, `OSError`."""
        if not self._how:
            return True
        with trio.move_on_after(SCAN_S):
            if self._how.startswith("http://"):
                return await _ask(self._how, size, read)
            return await _run(shlex.split(self._how), size, read)
        raise ScanFailed(f"no answer within {SCAN_S:g} s")


async def _run(command: list[str], size: int, read: Read) -> bool:
    process = await trio.lowlevel.open_process(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    assert process.stdin is not None
    try:
        try:
            async with process.stdin as pipe:
                at = 0
                while at < size:
                    part = await read(at, size)
                    await pipe.send_all(part)
                    at += len(part)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # it has read as much as it needs: its status says what it found
        status = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
    if status not in (0, 1):
        raise ScanFailed(f"the scanner ended with status {status}")
    return status == 0


async def _ask(address: str, size: int, read: Read) -> bool:
    url = urlsplit(address)
    assert url.hostname is not None
    stream = await trio.open_tcp_stream(url.hostname, url.port or 80)
    connection = h11.Connection(h11.CLIENT)
    async with stream:
        try:
            fields = [
                ("host", url.netloc),
                ("content-type", "application/octet-stream"),
                ("content-length", str(size)),
                ("connection", "close"),
            ]
            target = (url.path or "/") + (f"?{url.query}" if url.query else "")
            await stream.send_all(connection.send(h11.Request(method="POST", target=target, headers=fields)) or b"")
            at = 0
            while at < size:
                part = await read(at, size)
                await stream.send_all(connection.send(h11.Data(data=part)) or b"")
                at += len(part)
            await stream.send_all(connection.send(h11.EndOfMessage()) or b"")
            while not isinstance(event := connection.next_event(), h11.Response):
                if event is not h11.NEED_DATA:
                    raise ScanFailed("the scanner did not answer")
                connection.receive_data(await stream.receive_some(16_384))
        except (h11.ProtocolError, trio.BrokenResourceError) as error:
            raise ScanFailed(f"the scanner hung up: {error}"[:WORDS_MAX]) from error
    if event.status_code in _CLEAN:
        return True
    if event.status_code in _REFUSED:
        return False
    raise ScanFailed(f"the scanner answered {event.status_code}")
