"""The object store: bytes by their name, in a folder or in S3, through obstore.

    pieces/<upload>/<name>        what has arrived of an upload
    objects/<ab>/<hash>           a whole file, by its SHA-256
    renditions/<ab>/<hash>/<name> what was made of it

obstore blocks and lets the interpreter go meanwhile, so its calls are made in threads, so many at a time.

Invariant: a name in `objects/` has bytes of that hash or is not there: they arrive under another name and are renamed. In a folder what
was written is on the disk before it is told; S3 promises the same.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import obstore
import trio
from msgspec import Struct
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

T = TypeVar("T")

THREADS_MAX: Final = 8
"""Calls to the store at a time, a process: each holds a piece in memory."""
READ_BYTES: Final = 256 * 1024
LIST_MAX: Final = 1000


class S3Options(Struct, frozen=True):
    """How S3 is reached. `endpoint`: another than Amazon's; plain http is taken for one on this machine alone."""

    endpoint: str = ""
    region: str = "us-east-1"
    key_id: str = ""
    secret: str = ""
    path_style: bool = True

    def __repr__(self) -> str:
        return f"S3Options({self.endpoint!r}, {self.region!r})"


class ObjectsAway(OSError):
    """The store did not do what it was asked, or has not what it should."""


class Objects:
    """See the module. `where`: `folder:/path` or `s3://bucket/prefix`. Raises `ValueError` for what is neither."""

    def __init__(self, where: str, s3: S3Options = S3Options()) -> None:  # noqa: B008 (frozen)
        self._limiter: trio.CapacityLimiter | None = None
        self._folder: Path | None = None
        self._store: LocalStore | S3Store | None = None
        scheme, _, rest = where.partition(":")
        if scheme == "folder" and rest:
            self._folder = Path(rest).absolute()
        elif scheme == "s3" and rest.startswith("//") and rest.strip("/"):
            bucket, _, prefix = rest.strip("/").partition("/")
            self._store = S3Store(
                bucket,
                prefix=prefix or None,
                endpoint=s3.endpoint or None,
                region=s3.region,
                access_key_id=s3.key_id or None,
                secret_access_key=s3.secret or None,
                virtual_hosted_style_request=not s3.path_style,
                client_options={"allow_http": s3.endpoint.startswith("http://"), "timeout": "60s", "connect_timeout": "5s"},
            )
        else:
            raise ValueError("where objects are is folder:/path or s3://bucket/prefix")

    async def put_piece(self, upload: int, name: str, data: bytes) -> str:
        """Keeps a piece; its whole name."""
        path = f"pieces/{upload}/{name}"
        await self._do(self._put, path, data)
        return path

    async def put(self, sha256: bytes, name: str, data: bytes) -> None:
        """Keeps a rendition."""
        await self._do(self._put, path_of(sha256, name), data)

    async def hash_pieces(self, pieces: Sequence[tuple[str, int]]) -> tuple[bytes, bytes] | int:
        """SHA-256 of all pieces in order, and the first bytes; or how many of them are whole, if one is not there as it should be."""
        return await self._do(self._hash, pieces)

    async def join(self, pieces: Sequence[tuple[str, int]], upload: int, sha256: bytes) -> None:
        """Makes the object of its pieces. Raises `ObjectsAway` if its bytes are others by now."""
        await self._do(self._join, pieces, upload, sha256)

    async def get(self, sha256: bytes, name: str, bytes_max: int) -> bytes:
        """All of an object or rendition. Raises `ObjectsAway` for a longer one, or none."""
        return await self._do(self._get, path_of(sha256, name), bytes_max)

    async def read(self, sha256: bytes, name: str, start: int, end: int) -> bytes:
        """Its bytes from `start` on, before `end`: at least one, at most `READ_BYTES`. Raises `ObjectsAway`."""
        path = path_of(sha256, name)
        data = await self._do(self._get_range, path, start, min(start + READ_BYTES, end))
        if not data:
            raise ObjectsAway(f"{path} has no bytes at {start}")
        return data

    async def forget_pieces(self, upload: int) -> None:
        """Deletes whatever there is of an upload on its way."""
        await self._do(self._forget, f"pieces/{upload}/")

    async def forget(self, sha256: bytes) -> None:
        """Deletes an object and what was made of it."""
        await self._do(self._forget, f"renditions/{sha256.hex()[:2]}/{sha256.hex()}/")
        await self._do(self._delete, (path_of(sha256, "original"),))

    # In threads

    async def _do(self, call: Callable[..., T], *arguments: object) -> T:
        if self._limiter is None:
            self._limiter = trio.CapacityLimiter(THREADS_MAX)
        try:
            return await trio.to_thread.run_sync(partial(call, *arguments), limiter=self._limiter)
        except (BaseError, FileNotFoundError) as error:
            # Its words may name an address; what the class says is enough for whoever looks into the store's own log.
            raise ObjectsAway(type(error).__name__) from error

    @property
    def _there(self) -> LocalStore | S3Store:
        if self._store is None:
            assert self._folder is not None
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._store = LocalStore(self._folder, automatic_cleanup=True)
        return self._store

    def _put(self, path: str, data: bytes) -> None:
        self._there.put(path, data)
        self._settle(path)

    def _get(self, path: str, bytes_max: int) -> bytes:
        result = self._there.get(path)
        if result.meta["size"] > bytes_max:
            raise ObjectsAway(f"{path} has {result.meta['size']} bytes, and at most {bytes_max} were expected")
        return bytes(result.bytes())

    def _get_range(self, path: str, start: int, end: int) -> bytes:
        return bytes(self._there.get_range(path, start=start, end=end))

    def _hash(self, pieces: Sequence[tuple[str, int]]) -> tuple[bytes, bytes] | int:
        digest, head = hashlib.sha256(), b""
        for at, (path, size) in enumerate(pieces):
            try:
                data = bytes(self._there.get(path).bytes())
            except FileNotFoundError:
                return at
            if len(data) != size:
                return at
            digest.update(data)
            head = head or data[:4096]
        return digest.digest(), head

    def _join(self, pieces: Sequence[tuple[str, int]], upload: int, sha256: bytes) -> None:
        digest = hashlib.sha256()
        # Under a name of its own: whoever reads finds all of it or nothing.
        whole = f"pieces/{upload}/whole"
        # Not `put` with an iterator: obstore runs that inside its own loop, where the store cannot be asked for the next piece.
        with obstore.open_writer(self._there, whole) as writer:
            for path, _ in pieces:
                data = bytes(self._there.get(path).bytes())
                digest.update(data)
                writer.write(data)
        if digest.digest() != sha256:
            raise ObjectsAway("the pieces are not what they were")
        path = path_of(sha256, "original")
        self._settle(whole)
        self._there.rename(whole, path)
        self._settle(path)

    def _forget(self, prefix: str) -> None:
        for group in self._there.list(prefix, chunk_size=LIST_MAX):
            self._delete([meta["path"] for meta in group])

    def _delete(self, paths: Sequence[str]) -> None:
        for path in paths:
            try:
                self._there.delete(path)
            except FileNotFoundError:
                continue  # what was asked for

    def _settle(self, path: str) -> None:
        """In a folder: what was written, and its name, are on the disk."""
        if self._folder is None:
            return
        file = self._folder / path
        for place in (file, file.parent):
            descriptor = os.open(place, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def path_of(sha256: bytes, name: str) -> str:
    """Where an object (`original`) or what was made of it is."""
    digits = sha256.hex()
    return f"objects/{digits[:2]}/{digits}" if name == "original" else f"renditions/{digits[:2]}/{digits}/{name}"
