"""The house whose pages are measured: a gateway with TLS at the link's server end, and a community that somebody reads.

    teacher, reader, a dozen others ─ at the front door ─▶ one community: a lively channel, a long one, one with photographs, a course
    gateway-1   https://learn.example at the link, where the browser goes          gateway-2   plain, on its own loopback: prepares

The long channel's messages are appended as the journal appends them, since nobody types ten thousand; everything else is asked for as
people ask for it. The photographs are noise with as much detail at each size as landscapes have, so that their renditions weigh as much.

    python -m bench.page_house JSON     (run by bench/page.py at the server's end of the link)
"""

from __future__ import annotations

import io
import logging
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import asyncpg
import httpx
import msgspec
import numpy as np
import structlog
import trio
from PIL import Image

from actors.storage import Entry
from bench.link import SERVER_ADDRESS, Link
from bench.peer import read_line
from bench.sync_link_tls import TlsFiles
from client import Account, Credentials, Session, connect
from client.uploads import FileSender
from persistence.bridge import Bridge, BridgeOptions
from persistence.operations.hot import Columns
from protocol.operations import CreateChannel, CreateCommunity, Invite, Join, Post, React, Say
from protocol.values import Role
from supervisors.demo_lessons import HALVES, make_lessons
from supervisors.dev import Installation
from supervisors.tree import running

HOST: Final = "learn.example"
PORT: Final = 443
READER: Final = "wanjiru"
PASSWORD: Final = "forty goats and a bridge"
OTHERS: Final = 12
CHAT_MESSAGES: Final = 60
LONG_MESSAGES: Final = 10_000
PHOTOS: Final = 20
PHOTO_SIZE: Final = (1600, 1200)
STEP: Final = 500
SEED: Final = 7
START_S: Final = 120.0
STOP_S: Final = 20.0
RENDERED_S: Final = 300.0
ENVIRONMENT: Final = {
    # A dozen people sign up from one address within a second, and say much.
    "EDUCONNECT_ACCOUNTS_REGISTER_ADDRESS_BURST": "1000",
    "EDUCONNECT_ACCOUNTS_LOGIN_ADDRESS_BURST": "1000",
    "EDUCONNECT_MODERATION_FLOODING": "false",
    "EDUCONNECT_DRAIN_GRACE_S": "0",
    "EDUCONNECT_DRAIN_SPREAD_S": "0",
    "EDUCONNECT_LOG_LEVEL": "error",
}
WORDS: Final = (
    "and the of water river school half quarter number loaf bread why because tomorrow teacher question answer seven goats market"
    " count share equal pieces I think we could first draw line then each side longer shorter understand again please thank you today"
    " lesson page exercise third hard easy together"
).split()


class Task(msgspec.Struct, frozen=True):
    """What is to be there. `site`: the folder of the app; empty: ours."""

    tls: TlsFiles
    folder: str
    long_messages: int = LONG_MESSAGES
    photos: int = 0
    site: str = ""


class House(msgspec.Struct, frozen=True):
    """What the house says when it is ready: where the reader finds what is measured."""

    space: int
    chat: int
    long: int
    photos: int
    lesson: int

    @property
    def origin(self) -> str:
        return f"https://{HOST}"


def sentence(chance: random.Random) -> str:
    """A few words, now and then many."""
    count = min(60, max(1, round(chance.lognormvariate(2.0, 0.8))))
    return " ".join(chance.choice(WORDS) for _ in range(count)).capitalize() + "."


def make_photo(seed: int) -> bytes:
    """A JPEG whose amplitudes fall with the frequency, as in photographs, from a few colours."""
    width, height = PHOTO_SIZE
    chance = np.random.default_rng(seed)
    x, y = np.fft.rfftfreq(width)[None, :], np.fft.fftfreq(height)[:, None]
    falling = 1.0 / np.maximum(np.hypot(x, y), 1.0 / width) ** 1.2
    planes = []
    for _ in range(3):
        phases = np.exp(2j * np.pi * chance.random(falling.shape))
        plane = np.fft.irfft2(falling * phases, s=(height, width))
        planes.append(plane / plane.std())
    light, warm, green = planes
    mixed = np.stack([light + 0.3 * warm, light + 0.25 * green, light - 0.3 * warm], axis=-1)
    out = io.BytesIO()
    Image.fromarray(np.clip(128 + 48 * mixed, 0, 255).astype(np.uint8)).save(out, "JPEG", quality=88)
    return out.getvalue()


async def serve(task: Task) -> None:
    """The house, until this process' input ends."""
    tls = {
        "EDUCONNECT_LISTEN_HOST": SERVER_ADDRESS,
        "EDUCONNECT_LISTEN_TLS_CERTIFICATE": task.tls.chain,
        "EDUCONNECT_LISTEN_TLS_KEY": task.tls.key,
    }
    environment = {**ENVIRONMENT, **({"EDUCONNECT_LISTEN_SITE": task.site} if task.site else {})}
    installation = Installation(Path(task.folder), port=PORT, gateways=2, environment=environment, environments={"gateway-1": tls})
    async with running(installation.spec()):
        house = await prepare(installation, task)
        print(msgspec.json.encode(house).decode(), flush=True)
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)


async def prepare(installation: Installation, task: Task) -> House:
    """Everybody and everything of it."""
    url = installation.urls[1]
    chance = random.Random(SEED)
    async with Account(url) as account, AsyncExitStack() as stack:

        async def arrive(name: str, display: str) -> tuple[Credentials, Session]:
            known = await account.register(name, PASSWORD, display)
            return known, await stack.enter_async_context(connect(url, known))

        teacher_is, teacher = await arrive("atieno", "Atieno Odhiambo")
        _, reader = await arrive(READER, "Wanjiru Kamau")
        others = [(await arrive(f"learner{n}", f"Learner {n}"))[1] for n in range(OTHERS)]
        space = await teacher.do(CreateCommunity("Seven springs school", open_to_all=True))
        for session in (reader, *others):
            await teacher.do(Invite(space, session.user, Role.LEARNER))
            await session.do(Join(space))
        long = await teacher.do(CreateChannel(space, "questions"))
        photos = await teacher.do(CreateChannel(space, "photographs"))
        overview = await teacher.overview()
        here = next(one for one in overview.spaces if one.space == space)
        chat = next(one.stream for one in here.streams if one.name == "general")
        for n in range(CHAT_MESSAGES):
            mentions = (reader.user,) if n % 10 == 0 else ()
            await others[n % 5].do(Post(chat, sentence(chance), mentions=mentions))
        await make_lessons(teacher, reader, space)
        await _show_photos(url, teacher_is, teacher, photos, task)
        bridge = Bridge(BridgeOptions(installation.dsn))
        async with trio.open_nursery() as nursery:
            await nursery.start(bridge.serve)
            users = [session.user for session in others]
            await bridge.run(partial(_say_much, stream=long, users=users, count=task.long_messages), deadline_s=START_S)
            nursery.cancel_scope.cancel()
    return House(space, chat, long, photos, HALVES)


async def _say_much(connection: asyncpg.Connection, stream: int, users: Sequence[int], count: int) -> None:
    """A long conversation: every twelfth message answers one, and every tenth has a reaction."""
    chance = random.Random(SEED)
    said: list[int] = []
    while len(said) < count:
        entries = []
        for _ in range(min(STEP, count - len(said))):
            user, text = chance.choice(users), sentence(chance)
            answers = said and chance.random() < 1 / 12
            entries.append(Entry(user, 0, 0, 0, 0, Post(stream, text, chance.choice(said[-40:])) if answers else Say(stream, text)))
        fresh = await _append(connection, entries)
        said += fresh
        liked = chance.sample(fresh, len(fresh) // 10)
        await _append(connection, [Entry(chance.choice(users), 0, 0, 0, 0, React(stream, seq, chance.choice("👍❤🎉"))) for seq in liked])


async def _append(connection: asyncpg.Connection, entries: Sequence[Entry]) -> list[int]:
    """Their places in the stream."""
    columns = Columns(entries)
    decided, facts = columns.read(await columns.append(connection))
    assert not any(one.code for one in decided)
    return [fact.seq for fact in facts]


async def _show_photos(url: str, who: Credentials, teacher: Session, stream: int, task: Task) -> None:
    """Sends them, and waits until every one has its renditions."""
    sender = FileSender(url, who, random.Random(SEED).random)
    sent = []
    for n in range(task.photos):
        path = trio.Path(task.folder) / f"photo-{n + 1}.jpg"
        await path.write_bytes(await trio.to_thread.run_sync(make_photo, n))
        file = await sender.send(Path(path))
        sent.append(await teacher.do(Post(stream, f"Photograph {n + 1}", attachments=(file.id,))))
    await sender.aclose()
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {who.login.access_token}"}, trust_env=False) as http:
        with trio.fail_after(RENDERED_S):
            for seq in sent:
                while not await _rendered(http, stream, seq):  # noqa: ASYNC110 (another process does it)
                    await trio.sleep(0.5)


async def _rendered(http: httpx.AsyncClient, stream: int, seq: int) -> bool:
    answer = await http.post("/api/v1/media/links", json={"stream": stream, "messages": [seq]})
    answer.raise_for_status()
    return all(file["renditions"] for file in answer.json()["files"])


@asynccontextmanager
async def open_house(link: Link, task: Task) -> AsyncIterator[House]:
    """The house at the link's server end, for the length of the block."""
    command = [sys.executable, "-m", "bench.page_house", msgspec.json.encode(task).decode()]
    process = await trio.lowlevel.open_process(link.in_server(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        with trio.fail_after(START_S + RENDERED_S):
            house = msgspec.json.decode(await read_line(process), type=House)
        yield house
    finally:
        with trio.CancelScope(shield=True):
            if process.stdin is not None:
                await process.stdin.aclose()
            with trio.move_on_after(STOP_S):
                await process.wait()
            process.kill()
            await process.wait()


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    trio.run(serve, msgspec.json.decode(sys.argv[1], type=Task))


if __name__ == "__main__":
    main()
