"""A photo of 2 MB over a link of 400 kbit/s that is cut every five seconds: it arrives once and intact, or this fails.

    python -m proofs uploads [--bytes N] [--seed N] [--silent] [--folder DIR]

Two network namespaces with real TCP between them (`bench/link.py`): an installation at one end, the Python client at the other.
`--silent`: nobody is told of a cut; packets vanish. What is printed: how long it took, how often the line was cut under the file, what was
sent twice, and how many objects and uploads there are in the end.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import io
import logging
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
import structlog
import trio
from msgspec import Struct
from PIL import Image

from bench.link import SERVER_ADDRESS, Conditions, LinkMissing, open_link
from bench.ours import ENVIRONMENT
from bench.peer import read_line
from client import Account
from client.uploads import FileSender, SentFile
from supervisors.dev import Installation
from supervisors.tree import running

LINK: Final = Conditions(rate_bit_s=400_000, round_trip_ms=400, loss=0.01, queue_bytes=64_000, cut_every_s=5.0, cut_s=1.0)
START_S: Final = 120.0
SEND_S: Final = 600.0


class Served(Struct, frozen=True):
    """What the server's end says when it is ready."""

    port: int
    dsn: str
    access_token: str
    expires_at: float


class Told(Struct, frozen=True):
    """What the client's end says when the file is there."""

    file: SentFile
    seconds: float
    cuts: int
    sent_bytes: int


class _Grant(Struct, frozen=True):
    access_token: str
    expires_at: float
    user: int = 0
    device: int = 0
    inbox: int = 0

    async def renew(self) -> None:
        raise AssertionError("a run is shorter than a token's life")


def photo(size: int, seed: int) -> bytes:
    """A JPEG of about so many bytes: noise, which packs badly, as photos do."""
    luck = random.Random(seed)
    side = int((size * 1.4) ** 0.5)
    picture = Image.frombytes("RGB", (side, side), luck.randbytes(side * side * 3))
    quality, out = 95, io.BytesIO()
    while quality > 5:
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=quality)
        if out.tell() <= size:
            break
        quality -= 10
    # A photo's maker leaves room behind the end for another one.
    return out.getvalue() + b"\0" * (size - out.tell())


async def serve(folder: Path) -> None:
    """The server's end, until its standard input ends."""
    installation = Installation(folder, port=0, environment={**ENVIRONMENT, "EDUCONNECT_LISTEN_HOST": SERVER_ADDRESS})
    async with running(installation.spec()):
        url = installation.urls[0]
        async with Account(url) as account:
            login = (await account.register("ada", "a long enough word")).login
        port = int(url.rpartition(":")[2])
        print(msgspec.json.encode(Served(port, installation.dsn, login.access_token, login.expires_at)).decode(), flush=True)
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)


async def send(path: Path, served: Served) -> None:
    """The client's end."""
    sender = FileSender(f"http://{SERVER_ADDRESS}:{served.port}", _Grant(served.access_token, served.expires_at), random.Random(1).random)
    began_s = time.monotonic()
    file = await sender.send(path, "holiday.jpg")
    print(msgspec.json.encode(Told(file, time.monotonic() - began_s, sender.cuts, sender.sent_bytes)).decode(), flush=True)
    await sender.aclose()


async def run(size: int, seed: int, silent: bool, folder: Path) -> int:
    """One file; the exit status."""
    raw = photo(size, seed)
    path = folder / "photo.jpg"
    path.write_bytes(raw)
    conditions = msgspec.structs.replace(LINK, seed=seed, resets=not silent)
    async with open_link() as link:
        me = [sys.executable, "-m", "proofs.uploads"]
        command = link.in_server([*me, "--serve", "--folder", str(folder / "data")])
        pipe = subprocess.PIPE
        server = await trio.lowlevel.open_process(command, stdin=pipe, stdout=pipe)
        try:
            with trio.fail_after(START_S):
                served = msgspec.json.decode(await read_line(server), type=Served)
            await link.begin(conditions)
            client = await trio.lowlevel.open_process(
                link.in_client([*me, "--send", msgspec.json.encode(served).decode(), "--folder", str(folder)]), stdout=pipe
            )
            try:
                with trio.fail_after(SEND_S):
                    told = msgspec.json.decode(await read_line(client), type=Told)
            finally:
                client.terminate()
                await client.wait()
            counts = await link.counts()
            rows = await trio.to_thread.run_sync(partial(asyncio.run, _rows(served.dsn)))
        finally:
            server.terminate()
            await server.wait()
    digest = hashlib.sha256(raw).hexdigest()
    objects = [file for file in (folder / "data" / "files" / "objects").rglob("*") if file.is_file()]
    intact = [file.name for file in objects] == [digest] and hashlib.sha256(objects[0].read_bytes()).hexdigest() == digest
    print(f"link       {conditions}")
    print(f"file       {len(raw)} bytes, {told.file.media_type}, {told.file.width} x {told.file.height}")
    print(f"took       {told.seconds:.1f} s; {len(raw) * 8 / conditions.rate_bit_s:.1f} s is the least that the link allows without a cut")
    print(f"cuts       {counts.cuts} of the link, {told.cuts} under the file")
    print(f"sent       {told.sent_bytes} bytes of the file by the client, {told.sent_bytes / len(raw):.2f} times its size")
    print(f"arrived    {'intact' if intact else 'NOT INTACT'}; {len(objects)} object, {rows} upload")
    return 0 if intact and rows == 1 and counts.cuts > 0 else 1


async def _rows(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        count: int = await connection.fetchval("select count(*) from uploads where state = 3")
        return count
    finally:
        await connection.close()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m proofs uploads", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--bytes", type=int, default=2_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--silent", action="store_true", help="nobody is told of a cut")
    parser.add_argument("--folder", type=Path, help="where everything is kept; otherwise in a temporary one")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--send", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.serve:
        # Standard output is for the one line that the other side waits for.
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR), logger_factory=structlog.PrintLoggerFactory(sys.stderr)
        )
        trio.run(serve, options.folder)
        return 0
    if options.send:
        trio.run(send, options.folder / "photo.jpg", msgspec.json.decode(options.send, type=Served))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        try:
            return trio.run(run, options.bytes, options.seed, options.silent, options.folder or Path(temporary))
        except LinkMissing as missing:
            print(f"the link cannot be emulated here: {missing}", file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main())
