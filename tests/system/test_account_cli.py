"""`educonnect account` against the running system, as somebody at a terminal uses it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trio

from client import Account, AccountError, SessionEnded, connect
from client.account_cli import account
from tests.system.running import PASSWORD, Dev, register

pytestmark = pytest.mark.xdist_group("system")

BETTER = "seven herons over cold water"


class Terminal:
    """Types commands for one person."""

    def __init__(self, *given: str) -> None:
        self._given = given

    async def __call__(self, *words: str, status: int = 0) -> str:
        printed: list[str] = []
        ended = await account([*self._given, *words], printed.append)
        text = "\n".join([*printed, ""])
        assert ended == status, f"{words}: {ended}\n{text}"
        return text


async def test_devices_are_named_sessions_ended_and_the_password_changed_from_a_terminal(
    dev: Dev, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, last = dev.urls[0], dev.urls[-1]
    phone = await register(first)
    name = phone.login.name
    store = str(tmp_path / "laptop.db")
    laptop = Terminal("--store", store, "--url", last, "--name", name, "--password", PASSWORD)
    assert name in await laptop("show")
    # Later commands need the store alone: it is the same device, with its own tokens.
    again = Terminal("--store", store)
    (device,) = re.findall(r"^ *(\d+) .*this one", await again("devices"), re.MULTILINE)
    assert "is called 'field laptop'" in await again("rename", device, "field laptop")
    listed = (await again("devices")).splitlines()
    assert len(listed) == 2 and "field laptop" in listed[0] and "this one" in listed[0]

    async with connect(first, phone) as session:
        with session.events() as events:
            assert f"Session {phone.login.session} has ended." in await again("end", "--others")
            with trio.fail_after(10), pytest.raises(SessionEnded):
                async for _ in events:
                    pass
    assert (await again("sessions")).count("\n") == 1

    monkeypatch.setenv("EDUCONNECT_NEW_PASSWORD", "password1")
    assert "too easy to guess" in await Terminal("--store", store, "--password", PASSWORD)("password", status=1)
    monkeypatch.setenv("EDUCONNECT_NEW_PASSWORD", BETTER)
    assert "old password is wrong" in await Terminal("--store", store, "--password", "not this")("password", status=1)
    assert "is changed" in await Terminal("--store", store, "--password", PASSWORD)("password")
    async with Account(first) as server:
        with pytest.raises(AccountError):
            await server.login(name, PASSWORD)
        await server.login(name, BETTER)


async def test_what_is_said_of_a_forgotten_password_does_not_depend_on_who_forgot_it(dev: Dev) -> None:
    stranger = Terminal("--url", dev.urls[0])
    known = await register(dev.urls[0])
    assert await stranger("forgot", known.login.name) == await stranger("forgot", "nobody-at-all")
    for command in ("reset", "verify"):
        for link in ("/#/link/0/password=", "/account/link#password="):
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("EDUCONNECT_NEW_PASSWORD", BETTER)
                said = await stranger(command, f"https://learn.example{link}{'c' * 43}", status=1)
            assert "used, or its time is over" in said


async def test_an_address_is_offered_from_a_terminal_right_after_the_password_was_typed(dev: Dev) -> None:
    person = await register(dev.urls[0])
    mine = Terminal("--url", dev.urls[0], "--name", person.login.name, "--password", PASSWORD)
    assert "A link is on its way" in await mine("email", f"{person.login.name}@example.org")
    assert f"under way to {person.login.name}@example.org" in await mine("show")
    assert "allowed: name@domain" in await mine("email", "nobody", status=1)
    assert "none" in await mine("show")
