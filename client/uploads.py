"""Sending files: resumable, over any number of cuts, and once.

    file ─▶ its SHA-256 ─▶ known already? ask how far it is │ create ─▶ PATCH from there ─ cut ─▶ wait a little, ask, go on
                                                            ╰─▶ all there ─▶ ask until the server has looked at it ─▶ SentFile

What is known of a file (where its upload is) is kept by its hash in `Memory`, which a program may put on disk: then a file goes on where it
was after the program was killed, too. Send files before the message that names them, and what people wrote before any file: files are what
a bad link has time for last.

Invariant: a file that was taken whole is never sent again; what the server has is what was read here, or it is refused.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import httpx
import msgspec
import trio
from msgspec import Struct

from client.errors import AccountError, Unreachable
from client.settings import Grant
from protocol.client_session import backoff_ms

PART_BYTES: Final = 16 * 1024
TUS: Final = {"tus-resumable": "1.0.0"}
SILENCE_S: Final = 15.0
"""How long a line may take nothing, or say nothing, before it is given up for another one."""
ASK_EVERY_S: Final = 0.25
LOOKED_AT_S: Final = 600.0
"""How long the server may take to look at a file."""
_READY: Final = 3
_ATTACHED: Final = 4
_REFUSED: Final = 5
_GONE: Final = (404, 410)
_WAIT: Final = (409, 423, 429, 460, 500, 502, 503, 504)


class SentFile(Struct, frozen=True):
    """A file that a message may name now. `id` goes into `Post.attachments`."""

    id: int
    name: str
    media_type: str
    size: int
    width: int = 0
    height: int = 0


class UploadRefused(Exception):
    """The server will not have this file; the text says why. Sending it again changes nothing."""


class Memory(Protocol):
    """Where uploads are, by the hash of their file."""

    def find(self, digest: str) -> str | None: ...

    def keep(self, digest: str, path: str) -> None: ...

    def forget(self, digest: str) -> None: ...


class ShortMemory:
    """Until this program ends."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def find(self, digest: str) -> str | None:
        return self._known.get(digest)

    def keep(self, digest: str, path: str) -> None:
        self._known[digest] = path

    def forget(self, digest: str) -> None:
        self._known.pop(digest, None)


class FolderMemory:
    """In a folder: a small file for each upload on its way. Blocks for as long as that takes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, digest: str) -> str | None:
        try:
            return (self._folder / digest).read_text("utf-8")
        except FileNotFoundError:
            return None

    def keep(self, digest: str, path: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / digest).write_text(path, "utf-8")

    def forget(self, digest: str) -> None:
        (self._folder / digest).unlink(missing_ok=True)


class _Told(Struct, frozen=True):
    id: int
    state: int
    name: str
    bytes: int
    done: int
    media_type: str = ""
    width: int = 0
    height: int = 0
    why: str = ""


class _Problem(Struct, frozen=True):
    detail: str = ""


class _Later(Unreachable):
    """The server cannot take it now."""

    def __init__(self, status: int, retry_after_s: float) -> None:
        super().__init__(f"HTTP status {status}")
        self.retry_after_s = retry_after_s


class FileSender:
    """Sends files of one account. `spread`: a random number in [0, 1), for waits."""

    def __init__(
        self,
        url: str,
        grant: Grant,
        spread: Callable[[], float],
        memory: Memory | None = None,
        client: httpx.AsyncClient | None = None,
    ) -> None:
        self._grant = grant
        self._spread = spread
        self._memory = memory or ShortMemory()
        self._client = client or httpx.AsyncClient(timeout=httpx.Timeout(SILENCE_S), trust_env=False)
        self._url = (url if "://" in url else f"http://{url}").rstrip("/")
        self.cuts = 0
        """How often a line ended under a file since this was made."""
        self.sent_bytes = 0
        """Of files, what was sent twice included."""

    async def aclose(self) -> None:
        """Closes idle connections, within a second."""
        with trio.move_on_after(1, shield=True):
            await self._client.aclose()

    async def send(self, path: Path, name: str = "", progress: Callable[[int, int], None] = lambda done, size: None) -> SentFile:
        """Sends a file, however long that takes; cancel it to stop, and call it again to go on. Raises `UploadRefused`, `AccountError`,
        `OSError` for a file that cannot be read."""
        size, digest = await trio.to_thread.run_sync(_fingerprint, path)
        failures = 0
        told: _Told | None = None
        while True:
            try:
                if told is None:
                    told = await self._begin(digest, size, name or path.name)
                if told.state < _READY and told.done < size:
                    progress(told.done, size)
                    await self._patch(told, path)
                    told = await self._ask(told.id)
                    failures = 0
                else:
                    return await self._wait_ready(told, digest)
            except (httpx.TransportError, Unreachable) as error:
                self.cuts += 1
                done = told.done if told is not None else 0
                failures += 1
                wait_s = max(error.retry_after_s if isinstance(error, _Later) else 0.0, backoff_ms(failures, self._spread()) / 1000)
                await trio.sleep(wait_s)
                told, went_on = await self._look_again(told, done)
                failures = 0 if went_on else failures

    async def _look_again(self, told: _Told | None, done: int) -> tuple[_Told | None, bool]:
        """Where it is after a cut, if anybody answers, and whether that is further than it was."""
        if told is None:
            return None, False
        try:
            again = await self._ask(told.id)
        except (httpx.TransportError, Unreachable):
            return told, False
        return again, again is not None and again.done > done

    async def _begin(self, digest: str, size: int, name: str) -> _Told:
        known = self._memory.find(digest)
        if known is not None:
            told = await self._ask(int(known))
            if told is not None and told.state not in (_ATTACHED, _REFUSED):
                return told
            self._memory.forget(digest)
        metadata = f"filename {_base64(name.encode())},sha256 {_base64(digest.encode())}"
        response = await self._request("POST", "", {"upload-length": str(size), "upload-metadata": metadata})
        id = response.headers["location"].rpartition("/")[2]
        self._memory.keep(digest, id)
        return _Told(int(id), 1, name, size, 0)

    async def _ask(self, id: int) -> _Told | None:
        """How far it is; None: there is no such upload any more."""
        try:
            response = await self._request("GET", f"/{id}", {})
        except AccountError as error:
            if error.status in _GONE:
                return None
            raise
        return msgspec.json.decode(response.content, type=_Told)

    async def _patch(self, told: _Told, path: Path) -> None:
        fields = {"upload-offset": str(told.done), "content-type": "application/offset+octet-stream"}
        fields["content-length"] = str(told.bytes - told.done)
        await self._request("PATCH", f"/{told.id}", fields, partial(self._parts, path, told.done))

    async def _parts(self, path: Path, offset: int) -> AsyncIterator[bytes]:
        async with await trio.open_file(path, "rb") as file:
            await file.seek(offset)
            while part := await file.read(PART_BYTES):
                self.sent_bytes += len(part)
                yield part

    async def _wait_ready(self, told: _Told, digest: str) -> SentFile:
        with trio.move_on_after(LOOKED_AT_S):
            while told.state < _READY:
                await trio.sleep(ASK_EVERY_S)
                again = await self._ask(told.id)
                if again is None or again.done < again.bytes:
                    raise Unreachable("the server has lost a part of it")
                told = again
            self._memory.forget(digest)
            if told.state == _REFUSED:
                raise UploadRefused(told.why or "the server refused it")
            return SentFile(told.id, told.name, told.media_type, told.bytes, told.width, told.height)
        raise Unreachable(f"the server has not looked at it within {LOOKED_AT_S:g} s")

    async def _request(
        self, method: str, path: str, fields: dict[str, str], content: Callable[[], AsyncIterator[bytes]] | None = None
    ) -> httpx.Response:
        response = await self._exchange(method, path, fields, content)
        if response.status_code == 401:
            await self._grant.renew()
            response = await self._exchange(method, path, fields, content)
        if response.is_success:
            return response
        wait = response.headers.get("retry-after", "")
        retry_after_s = float(wait) if wait.isdecimal() else 0.0
        # Somebody else going on with an upload is asked about again; no room for another one is the answer.
        if response.status_code in _WAIT and (response.status_code, method) != (409, "POST"):
            raise _Later(response.status_code, retry_after_s)
        try:
            problem = msgspec.json.decode(response.content, type=_Problem)
        except msgspec.MsgspecError:
            problem = _Problem()
        raise AccountError(response.status_code, "", f"HTTP status {response.status_code}", problem.detail, retry_after_s)

    async def _exchange(
        self, method: str, path: str, fields: dict[str, str], content: Callable[[], AsyncIterator[bytes]] | None
    ) -> httpx.Response:
        headers = {**TUS, **fields, "authorization": f"Bearer {self._grant.access_token}"}
        body = None if content is None else content()
        return await self._client.request(method, f"{self._url}/api/v1/uploads{path}", headers=headers, content=body)


def _fingerprint(path: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
            size += len(part)
    return size, digest.hexdigest()


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
