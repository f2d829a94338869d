"""The bytes of one request on their way into the store, in pieces, so that a line may be cut anywhere.

    body ─▶ piece ─full, or the end, or a cut─▶ the store ─▶ written down: from now on it counts
              at most 512 KiB in memory

A piece is put under a name nobody else has, then written down by comparing where the upload was. What a cancelled request has in hand is
kept before it goes; a piece of which nobody knows whether it was written down ends the request, and the next one asks where it is.

Invariant: what is written down is the bytes in their order, without a hole; bytes with a checksum are written down all or none.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog
import trio

from actors.storage_port import StorageError
from actors.uploads import Body, Refused, Upload
from persistence.objects import Objects

log = structlog.get_logger("uploads")

PIECE_BYTES: Final = 512 * 1024
"""What is in memory of one request, and what a killed gateway may lose of it."""
KEEP_S: Final = 5.0
"""How long what had arrived may take to be kept, when its line was cut."""
PUT_S: Final = 30.0
"""How long a piece may take to be put and written down: not less than a store that answers slowly needs."""

Keep = Callable[[int, int, Sequence[tuple[str, int]]], Awaitable[None]]
"""Writes pieces (name, bytes) of an upload down, from an offset on. Raises `Refused`, `StorageError`."""


class Intake:
    """One request's."""

    def __init__(self, objects: Objects, keep: Keep, user: int, found: Upload, checksum: tuple[str, bytes] | None) -> None:
        self._objects = objects
        self._keep = keep
        self._upload = found.id
        self._offset = found.done
        self._left = found.bytes - found.done
        self._piece = bytearray()
        self._unproven: list[tuple[str, int]] = []
        self._digest = None if checksum is None else hashlib.new(checksum[0], usedforsecurity=False)
        self._wanted = b"" if checksum is None else checksum[1]
        self._sound = True
        """Nothing is in doubt: every piece that was put is written down, or waits for the checksum."""
        self._scope = trio.CancelScope()
        self.user = user
        self.over = trio.Event()

    async def run(self, body: Body) -> None:
        """Until the request's end. Raises `Refused`, `StorageError`, `OSError`; cancelled, it keeps what came."""
        ended = False
        try:
            with self._scope:
                async for data in body:
                    await self._write(data)
                await self._end()
                ended = True
            if not ended:
                raise Refused(Refused.Why.OFFSET, "another request goes on with this upload")
        finally:
            if not ended:
                await self._save(body.rest())

    async def give_way(self) -> None:
        """Ends this request for another one's sake, and waits until what it had is kept, for some seconds at most."""
        self._scope.cancel()
        with trio.move_on_after(2 * KEEP_S):
            await self.over.wait()

    async def _write(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self._sound = False
            raise Refused(Refused.Why.TOO_LARGE, "that is more than was announced")
        if self._digest is not None:
            self._digest.update(data)
        self._piece += data
        while len(self._piece) >= PIECE_BYTES:
            await self._put(PIECE_BYTES)

    async def _end(self) -> None:
        if self._piece:
            await self._put(len(self._piece))
        if self._digest is None:
            return
        if not secrets.compare_digest(self._digest.digest(), self._wanted):
            raise Refused(Refused.Why.CHECKSUM, "the bytes are not those of the checksum; none of them were kept", self._offset)
        if self._unproven:
            await self._write_down(self._unproven)

    async def _save(self, rest: bytes) -> None:
        """Of bytes with a checksum nothing: whether they are what was sent is known at their end."""
        if not self._sound or self._digest is not None:
            return
        try:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + KEEP_S):
                rest = rest[: max(self._left, 0)]
                if rest:
                    await self._write(rest)
                if self._piece:
                    await self._put(len(self._piece))
        except (Refused, StorageError, OSError) as error:
            # Nobody is there to be told; whoever comes back asks where it is, and sends this part again.
            log.info("upload_part_not_kept", upload=self._upload, error=type(error).__name__)

    async def _put(self, size: int) -> None:
        """Not to be cancelled half-way: then nobody would know whether it counts."""
        piece = bytes(self._piece[:size])
        self._sound = False
        with trio.CancelScope(shield=True, deadline=trio.current_time() + PUT_S) as scope:
            name = await self._objects.put_piece(self._upload, secrets.token_hex(8), piece)
            if self._digest is None:
                await self._write_down([(name, size)])
            else:
                self._unproven.append((name, size))
            del self._piece[:size]
            self._sound = True
        if scope.cancelled_caught:
            raise OSError(f"a piece was not kept within {PUT_S:g} s")

    async def _write_down(self, pieces: Sequence[tuple[str, int]]) -> None:
        await self._keep(self._upload, self._offset, pieces)
        self._offset += sum(size for _, size in pieces)
