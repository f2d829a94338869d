"""`educonnect dev` as a process of its own, the way a person starts it; and people who use it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import trio

from client import Account, Credentials, Session, connect
from protocol.operations import CreateCommunity, Invite, Join
from protocol.values import Role

START_S = 60.0
NAMES = count(1)
PASSWORD = "a long enough word"
CHEAP = {
    "EDUCONNECT_PASSWORDS_MEMORY_KIB": "8192",
    "EDUCONNECT_PASSWORDS_ROUNDS": "1",
    "EDUCONNECT_LOG_LEVEL": "error",
    "EDUCONNECT_MODERATION_FLOODING": "false",
    "EDUCONNECT_ACCOUNTS_REGISTER_ADDRESS_BURST": "10000",
    "EDUCONNECT_ACCOUNTS_LOGIN_ADDRESS_BURST": "10000",
    "EDUCONNECT_ACCOUNTS_PASSWORD_ADDRESS_BURST": "10000",
}
"""Tests register many people from one address; what a hash costs, and what one address may ask for, is claimed elsewhere."""


class Dev:
    """One run of `educonnect dev`; with models only where a test asks for them, since they are most of what a start costs."""

    def __init__(self, folder: Path, *arguments: str, ml: bool = False) -> None:
        self.folder = folder
        self._arguments = arguments if ml else ("--no-ml", *arguments)
        self.said = ""
        self.process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "supervisors.cli", "dev", "--data", str(self.folder), "--port", "0", *self._arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **CHEAP}, start_new_session=True)
        assert process.stdout is not None
        deadline = time.monotonic() + START_S
        self.said = ""
        while "Ctrl-C" not in self.said:
            line = process.stdout.readline()
            assert line, f"dev ended with status {process.wait()}:\n{self.said}"
            assert time.monotonic() < deadline, self.said
            self.said += line
        return process

    @property
    def urls(self) -> list[str]:
        return re.findall(r"gateway\s+(http://\S+)", self.said)

    def again(self) -> None:
        """Starts it anew on the same folder."""
        self.process = self._start()

    def kill(self) -> None:
        """As a power cut ends it."""
        self.process.kill()
        self._wait()

    def stop(self) -> int:
        """As Ctrl-C ends it; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self._wait()

    def _wait(self) -> int:
        with self.process:
            return self.process.wait(timeout=60)


async def register(url: str, name: str = "") -> Credentials:
    """Somebody new."""
    name = name or f"person{next(NAMES)}-{os.getpid()}"
    async with Account(url) as account:
        return await account.register(name, PASSWORD)


@asynccontextmanager
async def community(url: str, *others: tuple[Session, Role], founder: Credentials | None = None) -> AsyncIterator[tuple[Session, int, int]]:
    """A new community with these members: its owner's session, its space, its general channel."""
    async with connect(url, founder or await register(url)) as owner:
        space = await owner.do(CreateCommunity("A school"))
        for session, role in others:
            await owner.do(Invite(space, session.user, role))
            await session.do(Join(space))
        overview = await owner.overview()
        here = next(s for s in overview.spaces if s.space == space)
        yield owner, space, next(s.stream for s in here.streams if s.name == "general")


async def texts(session: Session, stream: int, until: str) -> list[str]:
    """Follows `stream` and gives its texts, up to and including `until`."""
    session.follow(stream)
    heard: list[str] = []
    with trio.fail_after(20):
        async for event in session.events(stream):
            body = getattr(event, "body", None)
            if hasattr(body, "text"):
                heard.append(body.text)
                if body.text == until:
                    break
    return heard


async def ended(session: Session, within_s: float = 20.0) -> int:
    """Waits until a session is over for good; the code it ended with."""
    with trio.fail_after(within_s):
        async for status in session.statuses():
            if status.state == "ended":
                return status.code
    raise AssertionError("the statuses ended before the session did")
