"""What tests of uploads share: a store in a folder, the jobs done at once, files, and bodies that come in parts."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import trio
from PIL import Image

from actors.uploads import State, Upload, Wanted
from persistence.bridge import Bridge
from persistence.objects import Objects
from persistence.uploads.book import PostgresUploads
from persistence.uploads.collecting import Collector
from persistence.uploads.finishing import Finisher
from persistence.uploads.rules import COLLECT, FINISH, RENDER, Collect, Finish, Render, UploadRules
from persistence.uploads.scanning import Scanner
from sandbox.process import run_in_sandbox
from tests.persistence.world import fetch

RULES = UploadRules(bytes_max=8 << 20, person_bytes_max=16 << 20, space_bytes_max=16 << 20)


class Parts:
    """A body that comes in these parts, and then ends, or hangs as a line does that was cut in silence."""

    def __init__(self, *parts: bytes, hangs: bool = False) -> None:
        self._parts = list(parts)
        self._hangs = hangs
        self.hanging = trio.Event()

    def __aiter__(self) -> Parts:
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        if self._parts:
            return self._parts.pop(0)
        if self._hangs:
            self.hanging.set()
            await trio.sleep_forever()
        raise StopAsyncIteration

    def rest(self) -> bytes:
        rest, self._parts = b"".join(self._parts), []
        return rest


class Once:
    """One attempt at a job, whose effect is a transaction of its own."""

    attempt = 1
    effect_key = "once"
    space = 0

    def __init__(self, bridge: Bridge, payload: Any) -> None:
        self.payload = payload
        self._bridge = bridge

    async def finish(self, effect: Callable[[Any], Awaitable[Any]]) -> Any:
        return await self._bridge.run(effect, deadline_s=5.0)

    def report(self, done: int, total: int = 0, words: str = "") -> None:
        pass


class Desk:
    """Uploads of one installation."""

    def __init__(self, bridge: Bridge, folder: Path, rules: UploadRules = RULES, scanner: str = "") -> None:
        self.bridge = bridge
        self.folder = folder
        self.objects = Objects(f"folder:{folder}")
        self.uploads = PostgresUploads(bridge, self.objects, rules)
        self.finisher = Finisher(bridge, self.objects, Scanner(scanner), run_in_sandbox)
        self.collector = Collector(bridge, self.objects)

    async def send(self, user: int, raw: bytes, name: str = "a file", *, announced: bytes | None = None) -> Upload:
        """A whole file, looked at; not rendered yet."""
        made = await self.uploads.create(user, Wanted(len(raw), name, announced))
        await self.uploads.take(user, made.id, 0, None, Parts(raw))
        await self.do_jobs(FINISH)
        found = await self.uploads.find(user, made.id)
        assert found is not None
        return found

    async def ready(self, user: int, raw: bytes, name: str = "a file") -> Upload:
        found = await self.send(user, raw, name)
        assert found.state is State.READY, found
        return found

    async def do_jobs(self, *kinds: str) -> int:
        """Carries out what was ordered, and what that orders; how many."""
        done = 0
        while rows := await fetch(self.bridge, "delete from jobs where kind = any($1) returning kind, payload", list(kinds)):
            for row in rows:
                await self._do(row["kind"], row["payload"])
                done += 1
        return done

    async def _do(self, kind: str, payload: bytes) -> None:
        if kind == FINISH:
            await self.finisher.finish(Once(self.bridge, msgspec.msgpack.decode(payload, type=Finish)))
        elif kind == RENDER:
            await self.finisher.render(Once(self.bridge, msgspec.msgpack.decode(payload, type=Render)))
        else:
            assert kind == COLLECT, kind
            await self.collector.collect(Once(self.bridge, Collect()))

    async def sweep(self) -> None:
        await self.collector.sweep(Once(self.bridge, Collect()))

    def kept(self) -> list[str]:
        """Names of everything in the store."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())

    async def bytes_of(self, sha256: str, name: str = "original") -> bytes:
        return await self.objects.get(bytes.fromhex(sha256), name, 1 << 30)


def photo(width: int = 300, height: int = 200, kind: str = "JPEG", **options: Any) -> bytes:
    """A picture with something in it."""
    out = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(out, kind, **options)
    return out.getvalue()


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that no two seeds have in common."""
    return hashlib.shake_128(seed.to_bytes(8, "big")).digest(size)
